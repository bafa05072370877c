"""Brings the index up to the catalog: nothing, a delta on a clone, or a full build; then moves the pointer.

A kill at any moment leaves the old generation or the new one. Half-built folders carry the prefix `.building-` and are
swept by the next refresh, which alone holds the lock.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from honed.errors import BusyError, IntegrityError
from honed.index.dense import DenseIndex
from honed.index.generation import (
    CURRENT,
    MANIFEST,
    FileRecord,
    Generation,
    IndexSettings,
    Manifest,
    faults,
    generation_folders,
    open_current,
    space_folder,
)
from honed.index.lexical import LexicalIndex
from honed.index.rows import Catalog, IndexRow, RowIds, net_changes
from honed.types import Vectors
from honed.workspace import fsync_folder, fsync_tree, read_json, sha256_file, write_atomic, write_json

Progress = Callable[[str], None]
"""Told each step as it begins: one of `STEPS`."""

STEPS = ("read", "lexical", "dense", "sync", "rename", "publish", "prune")

DELTA_SHARE = 0.2
"""Changed rows since the last full build, as a share of all, from which on a full build is made."""

KEEP = 2
"""Generations that stay: the current one and the one before, for readers that are about to open it."""

_BUILDING = ".building-"
_LOCK_SECONDS = 600.0


def refresh(
    catalog: Catalog,
    root: Path,
    space: str,
    *,
    settings: IndexSettings | None = None,
    rebuild: bool = False,
    on_progress: Progress | None = None,
) -> Generation:
    """The generation that holds the catalog as it is now; built if need be.

    Args:
        catalog: The truth.
        root: Folder of all indexes.
        space: Fingerprint of the embedding space whose vectors are indexed.
        settings: None keeps those of the present generation, or takes the defaults for a first one.
        rebuild: Build from nothing and keep no older generation, so that no word of a deleted passage stays in a file.
        on_progress: Called with the name of each step as it begins; not at all when there is nothing to do.

    Raises:
        BusyError: Another process has been building this index for ten minutes.
        IntegrityError: What was written cannot be read back.
    """
    if not rebuild:
        current = open_current(root, space)
        if current is not None and _is_fresh(current, catalog, settings):
            return current
    folder = space_folder(root, space)
    folder.mkdir(parents=True, exist_ok=True)
    with _building(folder):
        current = open_current(root, space)  # Another process may have built it while this one waited.
        if current is not None and not rebuild and _is_fresh(current, catalog, settings):
            return current
        _sweep(folder)
        tell = on_progress or (lambda step: None)
        tell("read")
        scratch = Path(tempfile.mkdtemp(dir=folder, prefix=_BUILDING))
        scratch.chmod(0o755)
        try:
            _build(_Job(catalog, space, catalog.seq, scratch, tell), current, settings, rebuild)
            _publish(folder, scratch, tell)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        del current  # Its lock would keep it from being pruned.
        fresh = open_current(root, space)
        if fresh is None:
            raise IntegrityError(f"The index in {folder} was written but cannot be opened.", hint="honed doctor")
        tell("prune")
        _prune(folder, fresh.folder, keep=1 if rebuild else KEEP)
        return fresh


@dataclass(frozen=True, eq=False, slots=True)
class _Job:
    """One build. `seq` is read before any row.

    Rows that change meanwhile are then seen twice, by this build and by the next delta, and replaying a change twice is
    harmless; the other way round one could be missed.
    """

    catalog: Catalog
    space: str
    seq: int
    scratch: Path
    tell: Progress


@dataclass(frozen=True, eq=False, slots=True)
class _Delta:
    """Rows that changed since a generation, those of them that live, and older ones whose vector has come."""

    changed: RowIds
    alive: RowIds
    embedded: RowIds

    def __len__(self) -> int:
        return len(self.changed) + len(self.embedded)


def _is_fresh(current: Generation, catalog: Catalog, settings: IndexSettings | None) -> bool:
    same = current.seq == catalog.seq and settings in (None, current.manifest.settings)
    return same and not _embedded_since(current, catalog).size


def _embedded_since(current: Generation, catalog: Catalog) -> RowIds:
    """Passages of a generation that had no vector when it was built and have one now."""
    waiting = np.setdiff1d(current.rowids, current.dense.rowids, assume_unique=True)
    return catalog.vectors(current.space, waiting)[0] if waiting.size else waiting


def _build(job: _Job, current: Generation | None, settings: IndexSettings | None, rebuild: bool) -> None:
    """Write all files of the next generation."""
    if current is not None and not rebuild and settings in (None, current.manifest.settings):
        delta = _delta(job, current)
        if delta is not None:
            _patched(job, current, delta)
            return
    _full(job, settings or (current.manifest.settings if current else IndexSettings()))


def _delta(job: _Job, current: Generation) -> _Delta | None:
    """What to replay on a clone of `current`; None when a full build is due."""
    if job.seq < current.seq:  # The catalog was replaced by an older one.
        return None
    changed, alive = net_changes(job.catalog.changes_since(current.seq))
    delta = _Delta(changed, alive, np.setdiff1d(_embedded_since(current, job.catalog), changed))
    if current.manifest.churn + len(delta) >= DELTA_SHARE * len(current.rowids):
        return None
    # A clone must not carry a flaw on under a fresh hash.
    return None if faults(current.folder, current.manifest, "hashes") else delta


def _full(job: _Job, settings: IndexSettings) -> None:
    job.tell("lexical")
    seen: list[int] = []
    rows = _noting(job.catalog.index_rows(None), seen)
    LexicalIndex.build(rows, job.scratch / "lexical", language=settings.language)
    rowids = np.array(sorted(seen), np.int64)
    job.tell("dense")
    found = _within(rowids, *job.catalog.vectors(job.space, None))
    dense = DenseIndex.build(*found, exact_up_to=settings.exact_up_to)
    _save(job, rowids, dense, Manifest(job.space, job.seq, len(rowids), len(dense), 0, settings, {}), None)


def _patched(job: _Job, current: Generation, delta: _Delta) -> None:
    old = current.manifest
    job.tell("lexical")
    _link_tree(current.folder / "lexical", job.scratch / "lexical")
    seen: list[int] = []
    rows = _noting(job.catalog.index_rows(delta.alive), seen) if delta.alive.size else iter(())
    LexicalIndex.update(job.scratch / "lexical", rows, delta.changed, language=old.settings.language)
    rowids = np.union1d(np.setdiff1d(current.rowids, delta.changed), np.array(seen, np.int64))
    job.tell("dense")
    wanted = np.union1d(delta.alive, delta.embedded)
    found = job.catalog.vectors(job.space, wanted) if wanted.size else (wanted, np.empty((0, 0), np.float32))
    dense = current.dense.updated(*_within(rowids, *found), delta.changed)
    churn = old.churn + len(delta)
    _save(job, rowids, dense, Manifest(job.space, job.seq, len(rowids), len(dense), churn, old.settings, {}), current)


def _noting(rows: Iterator[tuple[int, str, str, tuple[str, ...]]], seen: list[int]) -> Iterator[IndexRow]:
    """The same rows; their ids are noted on the way, so that they are read once."""
    for row in rows:
        seen.append(row[0])
        yield IndexRow._make(row)


def _within(rowids: RowIds, found: RowIds, vectors: Vectors) -> tuple[RowIds, Vectors]:
    """The vectors of indexed passages; a passage that came between two reads waits for the next refresh."""
    inside = np.isin(found, rowids)
    return (found, vectors) if inside.all() else (found[inside], vectors[inside])


def _save(job: _Job, rowids: RowIds, dense: DenseIndex, manifest: Manifest, cloned: Generation | None) -> None:
    """Write what is still in memory, then the manifest. A file shared with `cloned` keeps its verified hash."""
    np.save(job.scratch / "rowids.npy", rowids)
    dense.save(job.scratch)
    for lock in (job.scratch / "lexical").glob("*.lock"):
        lock.unlink()
    files = {}
    for path in sorted(path for path in job.scratch.rglob("*") if path.is_file()):
        name = str(path.relative_to(job.scratch))
        known = cloned.manifest.files.get(name) if cloned else None
        if known is None or cloned is None or not path.samefile(cloned.folder / name):
            known = FileRecord(path.stat().st_size, sha256_file(path))
        files[name] = known
    write_json(job.scratch / MANIFEST, replace(manifest, files=files).to_json())


def _publish(folder: Path, scratch: Path, tell: Progress) -> None:
    """Make a complete folder durable, give it its name, and point at it."""
    tell("sync")
    fsync_tree(scratch)
    tell("rename")
    built = generation_folders(folder)
    number = int(built[-1].name.partition("-")[2]) + 1 if built else 1
    name = f"{read_json(scratch / MANIFEST)['seq']}-{number}"
    scratch.rename(folder / name)
    fsync_folder(folder)
    tell("publish")
    write_atomic(folder / CURRENT, f"{name}\n".encode("ascii"))


def _prune(folder: Path, current: Path, *, keep: int) -> None:
    """Remove all but the newest generations, leaving those that a reader holds."""
    others = [path for path in generation_folders(folder) if path.name != current.name]
    for path in others[: max(0, len(others) - (keep - 1))]:
        with _removable(path) as free:
            if free:
                trash = folder / f"{_BUILDING}{path.name}"
                path.rename(trash)  # One step for a reader: there, or not there.
                shutil.rmtree(trash)


@contextmanager
def _removable(folder: Path) -> Iterator[bool]:
    """Whether no reader holds a generation; none can take it while the block runs."""
    try:
        fd = os.open(folder / MANIFEST, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield True  # Without a manifest nobody can open it.
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = True
    except OSError:
        free = False
    try:
        yield free
    finally:
        os.close(fd)


def _sweep(folder: Path) -> None:
    """Remove what a killed refresh left."""
    for path in folder.glob(f"{_BUILDING}*"):
        shutil.rmtree(path)
    for path in folder.glob(f".{CURRENT}.*.tmp"):
        path.unlink()


def _link_tree(source: Path, target: Path) -> None:
    """Clone a flat folder by hard links, or by copies where the file system has none. Lock files are left out."""
    target.mkdir()
    for path in source.iterdir():
        if path.suffix == ".lock":
            continue
        try:
            os.link(path, target / path.name)
        except OSError:
            shutil.copyfile(path, target / path.name)


@contextmanager
def _building(folder: Path) -> Iterator[None]:
    """Hold the lock of those who build; waits for another process that does."""
    until = time.monotonic() + _LOCK_SECONDS
    with (folder / "lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise BusyError(f"Another process is building {folder}.", hint="wait until it ends") from None
                time.sleep(0.05)
        yield
