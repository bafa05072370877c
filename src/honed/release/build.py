"""Make a release, make it live, take it back. The live release is one row, changed by compare-and-swap with its audit row."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from honed.catalog import Catalog, history
from honed.errors import IntegrityError, MissingError, UsageError
from honed.release.manifest import NAME, Manifest, Part, faults, read_manifest
from honed.workspace import Workspace, fsync_folder, fsync_tree, make_folder, sha256_file, tree_hashes, write_json


@dataclass(frozen=True, slots=True, eq=False)
class Shipment:
    """Contents of a new release that differ from the one before.

    Attributes:
        what: One line for a person.
        parts: Role -> its new part; the files are copied.
        lineage: How it came to be: run, parent release, proof.
    """

    what: str
    parts: Mapping[str, Part]
    lineage: Mapping[str, Any] = field(default_factory=dict)


def build(
    workspace: Workspace,
    catalog: Catalog,
    shipment: Shipment,
    *,
    expected: int | None,
    reason: str,
    also: Callable[[], None] | None = None,
) -> str:
    """Write a release folder, record it and make it live, in this order; returns its name.

    A kill leaves either nothing that counts (a folder without a row, swept by the next build) or a live release.

    Args:
        shipment: The parts that are new; all others are those of the release that is built on. `lineage` names the run that
            it comes from, if it comes from one.
        expected: Number of the release that this one is built on, and that must be live still; None for a first one.
        also: What has to become true in the same commit, such as that the run has ended.

    Raises:
        UsageError: Another release is live by now. Nothing is kept of this one.
        BusyError: Another process is changing the workspace.
    """
    with workspace.writing():
        history.check_live(catalog, expected)
        _sweep(workspace, catalog)
        number = history.next_release_number(catalog)
        folder = _written(workspace, shipment, _contents(workspace, catalog, shipment, expected), f"r{number}")
        try:
            with catalog.transaction():
                digest, run = sha256_file(folder / NAME), shipment.lineage.get("run")
                history.add_release(catalog, number, digest, run=run, note=shipment.what)
                history.switch_live(catalog, "release", expected, number, reason)
                if also:
                    also()
        except UsageError:  # before the commit, so no row names the folder
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder.name


def _written(workspace: Workspace, shipment: Shipment, contents: Mapping[str, Part], name: str) -> Path:
    """The complete and durable folder of a release."""
    make_folder(workspace.releases)
    half = Path(tempfile.mkdtemp(dir=workspace.releases, prefix=".building-"))
    half.chmod(0o755)
    try:
        parts = {role: _copied(half, role, part) for role, part in contents.items()}
        manifest = Manifest(name, history.now(), shipment.what, parts, dict(shipment.lineage), tree_hashes(half))
        write_json(half / NAME, manifest.as_dict())
        fsync_tree(half)
        folder = workspace.releases / name
        half.rename(folder)
        fsync_folder(workspace.releases)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    return folder


def part_of(workspace: Workspace, manifest: Manifest, role: str) -> Part:
    """A release's part for a role, with full paths; an empty one where the role is untuned."""
    return manifest.parts.get(role, Part()).below(workspace.releases / manifest.release)


def consequences(before: Mapping[str, Part], shipment: Shipment) -> tuple[str, ...]:
    """Sentences for the user: one for each part that fits the release before and is void in the next."""
    after = {**before, **shipment.parts}
    kept = before.keys() - shipment.parts.keys()
    return tuple(
        part.otherwise
        for role, part in before.items()
        if role in kept and part.otherwise and part.fits(before) and not part.fits(after)
    )


def _contents(workspace: Workspace, catalog: Catalog, shipment: Shipment, expected: int | None) -> dict[str, Part]:
    """The parts of the release that is built on, replaced by those that are shipped, without those that are void then."""
    parts: dict[str, Part] = {}
    if expected is not None:
        before = manifest_of(workspace, row_of(catalog, f"r{expected}"))
        parts = {role: part_of(workspace, before, role) for role in before.parts}
    parts |= shipment.parts
    return {role: part for role, part in parts.items() if part.lasts or part.fits(parts)}


def _copied(folder: Path, role: str, part: Part) -> Part:
    """Copy a part's files into the release's folder for its role; what a training left behind stays behind."""
    files = {}
    for name, source in part.files.items():
        files[name] = Path(role, name + source.suffix)
        target = folder / files[name]
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("checkpoint-*", ".*"))
        else:
            shutil.copyfile(source, target)
    return replace(part, files=files)


def _sweep(workspace: Workspace, catalog: Catalog) -> None:
    """Remove folders that a killed build left: those that no row names."""
    if not workspace.releases.is_dir():
        return
    names = {release.name for release in history.releases(catalog)}
    for folder in workspace.releases.iterdir():
        if folder.is_dir() and folder.name not in names:
            shutil.rmtree(folder, ignore_errors=True)


def row_of(catalog: Catalog, name: str) -> history.ReleaseRow:
    """The catalog's row of a release; "live" names the live one.

    Raises:
        UsageError: There is no such release.
    """
    rows = history.releases(catalog)
    for row in rows:
        if row.name == name or (name == "live" and row.live):
            return row
    listing = ", ".join(row.name for row in rows) or "none yet"
    raise UsageError(f"There is no release '{name}'.", hint=f"releases are: {listing}")


def manifest_of(workspace: Workspace, row: history.ReleaseRow) -> Manifest:
    """A release's manifest, checked against the catalog."""
    return read_manifest(workspace.releases / row.name, row.manifest_sha256)


def manifests(workspace: Workspace, catalog: Catalog) -> list[Manifest]:
    """The manifests of all releases, oldest first."""
    return [manifest_of(workspace, row) for row in history.releases(catalog)]


def promote(
    workspace: Workspace, catalog: Catalog, name: str, *, expected: int | None, reason: str, action: str = "promote"
) -> str:
    """Make a release live after checking every byte of it; returns its name.

    Args:
        expected: Number of the release that was live when this was decided on.

    Raises:
        IntegrityError: A file of the release is missing or changed.
        UsageError: There is no such release, or another one went live in the meantime.
    """
    row = row_of(catalog, name)
    folder = workspace.releases / row.name
    wrong = faults(folder, manifest_of(workspace, row))
    if wrong:
        raise IntegrityError(f"Release {row.name} cannot go live: {wrong[0]}.", hint="honed doctor")
    with catalog.transaction():
        history.check_live(catalog, expected)
        if expected != row.number:
            history.switch_live(catalog, action, expected, row.number, reason)
    return row.name


def previous(catalog: Catalog) -> history.ReleaseRow:
    """The release that was live before the present one: what a rollback goes back to.

    Raises:
        UsageError: There was none.
    """
    number = history.previous_live(catalog)
    if number is None:
        raise UsageError("There is no earlier release to go back to.", hint="honed releases")
    return row_of(catalog, f"r{number}")


def live_manifest(workspace: Workspace, catalog: Catalog) -> Manifest:
    """The manifest of the live release.

    Raises:
        MissingError: Nothing is live: no document was added yet.
    """
    number = history.live_release(catalog)
    if number is None:
        raise MissingError("Nothing is live yet.", hint="honed add PATH, or honed import DIR")
    return manifest_of(workspace, row_of(catalog, f"r{number}"))
