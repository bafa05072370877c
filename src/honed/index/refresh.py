"""Brings the index up to the catalog: nothing, a delta on a clone, or a full build; then moves the pointer (folders.py)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from honed.index.dense import DenseIndex
from honed.index.folders import (
    MANIFEST,
    Builder,
    Progress,
    faults,
    records,
    renewed,
)
from honed.index.generation import Generation, IndexSettings, Manifest, open_current, space_folder
from honed.index.lexical import LexicalIndex
from honed.index.rows import Catalog, IndexRow, RowIds, net_changes
from honed.types import Vectors
from honed.workspace import write_json

STEPS = ("read", "lexical", "dense", "sync", "rename", "publish", "prune")
"""Names of the steps that `on_progress` is called with, in order."""

DELTA_SHARE = 0.2
"""Changed rows since the last full build, as a share of all, from which on a full build is made."""


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
    builder = Builder(
        space_folder(root, space),
        open=lambda: open_current(root, space),
        is_fresh=lambda current: _is_fresh(current, catalog, settings),
        write=lambda scratch, current, tell: _build(
            _Job(catalog, space, catalog.seq, scratch, tell), current, settings, rebuild
        ),
    )
    return renewed(builder, rebuild=rebuild, on_progress=on_progress)


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
    stored = _within(rowids, *job.catalog.vectors(job.space, None))
    dense = DenseIndex.build(*stored, exact_up_to=settings.exact_up_to)
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
    stored = job.catalog.vectors(job.space, wanted) if wanted.size else (wanted, np.empty((0, 0), np.float32))
    dense = current.dense.updated(*_within(rowids, *stored), delta.changed)
    churn = old.churn + len(delta)
    _save(job, rowids, dense, Manifest(job.space, job.seq, len(rowids), len(dense), churn, old.settings, {}), current)


def _noting(rows: Iterator[tuple[int, str, str, tuple[str, ...]]], seen: list[int]) -> Iterator[IndexRow]:
    """The same rows; their ids are noted on the way, so that they are read once."""
    for row in rows:
        seen.append(row[0])
        yield IndexRow._make(row)


def _within(rowids: RowIds, stored: RowIds, vectors: Vectors) -> tuple[RowIds, Vectors]:
    """The vectors of indexed passages; a passage that came between two reads waits for the next refresh."""
    inside = np.isin(stored, rowids)
    return (stored, vectors) if inside.all() else (stored[inside], vectors[inside])


def _save(job: _Job, rowids: RowIds, dense: DenseIndex, manifest: Manifest, cloned: Generation | None) -> None:
    """Write what is still in memory, then the manifest. A file shared with `cloned` keeps its verified hash."""
    np.save(job.scratch / "rowids.npy", rowids)
    dense.save(job.scratch)
    for lock in (job.scratch / "lexical").glob("*.lock"):
        lock.unlink()
    shared = (cloned.folder, cloned.manifest.files) if cloned else None
    files = records(job.scratch, shared)
    write_json(job.scratch / MANIFEST, replace(manifest, files=files).to_json())


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
