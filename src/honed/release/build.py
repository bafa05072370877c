"""Make a release, make it live, take it back. The live release is one row, changed by compare-and-swap with its audit row."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from honed.catalog import Catalog, history
from honed.errors import IntegrityError, MissingError, UsageError
from honed.models.towers import save_towers
from honed.release.manifest import NAME, ImageSide, Manifest, faults, read_manifest
from honed.release.parts import ImageParts, Parts
from honed.workspace import Workspace, fsync_folder, fsync_tree, make_folder, sha256_file, tree_hashes, write_json

MODEL_FOLDER = "model"
ADAPTER_FILE = "adapter.safetensors"
ENCODER_FOLDER = "image-encoder"
HEAD_FILE = "image-head.safetensors"
PAINTER_FOLDER = "painter"


def build(
    workspace: Workspace,
    catalog: Catalog,
    parts: Parts,
    *,
    expected: int | None,
    reason: str,
    also: Callable[[], None] | None = None,
) -> str:
    """Write a release folder, record it and make it live, in this order, under the writer lock; returns its name.

    A kill leaves either nothing that counts (a folder without a row, swept by the next build) or a live release.

    Args:
        parts: `lineage` names the run that it comes from, if it comes from one.
        expected: Number of the release that was live when `parts` were decided on; None if there was none.
        also: What has to become true in the same commit, such as that the run has ended.

    Raises:
        UsageError: Another release is live by now. Nothing is kept of this one.
        BusyError: Another process is changing the workspace.
    """
    with workspace.writing():
        history.check_live(catalog, expected)
        _sweep(workspace, catalog)
        number = history.next_release_number(catalog)
        folder = _written(workspace, parts, f"r{number}")
        run = (parts.lineage or {}).get("run")
        try:
            with catalog.transaction():
                history.add_release(catalog, number, sha256_file(folder / NAME), run=run, note=parts.what)
                history.switch_live(catalog, "release", expected, number, reason)
                if also:
                    also()
        except UsageError:  # before the commit, so no row names the folder
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder.name


def _written(workspace: Workspace, parts: Parts, name: str) -> Path:
    """The complete and durable folder of a release."""
    make_folder(workspace.releases)
    half = Path(tempfile.mkdtemp(dir=workspace.releases, prefix=".building-"))
    half.chmod(0o755)
    try:
        manifest = _fill(half, name, parts)
        write_json(half / NAME, manifest.as_dict())
        fsync_tree(half)
        folder = workspace.releases / name
        half.rename(folder)
        fsync_folder(workspace.releases)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    return folder


def _fill(folder: Path, name: str, parts: Parts) -> Manifest:
    embedder = parts.embedder
    if parts.query_folder and parts.document_folder:
        save_towers(parts.query_folder, parts.document_folder, folder / MODEL_FOLDER)
        embedder = MODEL_FOLDER
    if parts.adapter:
        shutil.copyfile(parts.adapter, folder / ADAPTER_FILE)
    images = _images(folder, parts.images) if parts.images else None
    if parts.painter:
        shutil.copytree(parts.painter, folder / PAINTER_FOLDER, ignore=shutil.ignore_patterns("checkpoint-*", ".*"))
    return Manifest(
        release=name,
        created=history.now(),
        what=parts.what,
        embedder=embedder,
        adapter=ADAPTER_FILE if parts.adapter else "",
        space=parts.space,
        weight=parts.weight,
        pool=parts.pool,
        language=parts.language,
        images=images,
        painter=PAINTER_FOLDER if parts.painter else "",
        lineage=parts.lineage or {},
        files=tree_hashes(folder),
    )


def _images(folder: Path, parts: ImageParts) -> ImageSide:
    if parts.folder:
        shutil.copytree(parts.folder, folder / ENCODER_FOLDER)
    if parts.head:
        shutil.copyfile(parts.head, folder / HEAD_FILE)
    return ImageSide(
        encoder=ENCODER_FOLDER if parts.folder else parts.encoder,
        space=parts.space,
        text_space=parts.text_space,
        head=HEAD_FILE if parts.head else "",
        neighbours=parts.neighbours,
        weight=parts.weight,
        leads=parts.leads,
    )


def _sweep(workspace: Workspace, catalog: Catalog) -> None:
    """Remove folders that a killed build left: those that no row names."""
    if not workspace.releases.is_dir():
        return
    known = {release.name for release in history.releases(catalog)}
    for folder in workspace.releases.iterdir():
        if folder.is_dir() and folder.name not in known:
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
