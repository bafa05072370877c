"""What can be rebuilt, checked against what it was built from: vectors, indexes, cached graphs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from honed.catalog import Catalog, documents
from honed.catalog import vectors as vectors_
from honed.catalog.integrity import trimmed_to
from honed.errors import HonedError
from honed.index.generation import CURRENT, MANIFEST, Generation, Manifest, faults, is_older, open_current, space_folder
from honed.models.artefacts import HASHES
from honed.models.probe import MIN_COSINE
from honed.protocols import Embedder
from honed.session import Session
from honed.upkeep.finding import Finding, plural
from honed.workspace import read_json, tree_hashes

LENGTH_TOLERANCE = 1e-3
"""A unit vector may differ from length 1 by this; encoders in bfloat16 stay below 1e-5 because they normalise last."""

ENCODED_ANEW = 32
"""Passages that `--deep` encodes again and compares with what is kept."""

_AT_ONCE = 4096


def damaged_vectors(catalog: Catalog) -> list[tuple[str, bytes]]:
    """(space, hash) of every kept vector that has another dimension than its space, or is not of unit length.

    Descriptors of images are kept raw: those only have to be numbers.
    """
    usual = vectors_.usual_bytes(catalog)
    bad: list[tuple[str, bytes]] = []
    rows = vectors_.stored(catalog)
    while batch := list(islice(rows, _AT_ONCE)):
        for space in {row.space for row in batch}:
            own = [row for row in batch if row.space == space]
            whole = [row for row in own if len(row.data) == usual[space] and len(row.data) % 4 == 0]
            bad += [row[:2] for row in own if row not in whole]
            if whole:
                matrix = np.frombuffer(b"".join(row.data for row in whole), np.float32).reshape(len(whole), -1)
                lengths = np.linalg.norm(matrix.astype(np.float64), axis=1)
                raw = np.array([row.of_image for row in whole])
                # A comparison with what is not a number is False.
                close = (np.abs(lengths - 1.0) <= LENGTH_TOLERANCE) | (raw & (lengths < np.inf))
                bad += [row[:2] for row, good in zip(whole, close, strict=True) if not good]
    return bad


def vectors(session: Session, space: str) -> Iterator[Finding]:
    """Shape and length of every vector, and one of the live space for every live passage."""
    bad = damaged_vectors(session.catalog)
    if bad:
        message = f"{plural(len(bad), 'vector')} of a wrong dimension or not of unit length."
        yield Finding("vectors", "wrong", message, "honed doctor --repair encodes the passages again", "vectors")
    missing = len(session.catalog.missing_vectors(space))
    if missing:
        message = f"{plural(missing, 'text')} without a vector: found by keywords only."
        yield Finding("vectors", "unfinished", message, "honed add again, or honed doctor --repair", "index")
    if not bad and not missing:
        yield Finding("vectors", "ok", f"Every passage has a sound vector in the live space {space[:12]}.")


def encoded_anew(session: Session, embedder: Embedder) -> Iterator[Finding]:
    """Whether the kept vectors, if sound, are those that the live model gives, by a sample. Loads the model."""
    if damaged_vectors(session.catalog):
        return
    rowids, kept = session.catalog.vectors(embedder.space)
    rows = np.linspace(0, len(rowids) - 1, min(ENCODED_ANEW, len(rowids))).astype(np.int64)
    passages = documents.by_rowid(session.catalog, rowids[rows].tolist())
    texts = [passages[rowid].embedded_text for rowid in rowids[rows].tolist()]
    if not texts:
        return
    cosines = np.sum(np.asarray(embedder.encode_document(texts)) * kept[rows], axis=1)
    if cosines.min() < MIN_COSINE:
        message = f"A kept vector has a cosine of {cosines.min():.3f} to the one that the live model gives."
        yield Finding("vectors", "wrong", message, "honed doctor --deep --repair encodes all passages again", "vectors")
    else:
        message = f"{plural(len(texts), 'passage')} encoded anew: cosine {cosines.min():.4f} or more."
        yield Finding("vectors", "ok", message)


_OLDER = "was made by an earlier version: it is built anew when it is searched."


def index(session: Session, space: str) -> Iterator[Finding]:
    """The live space's index: hashes of its files, the passages that it holds, how far it has followed the catalog."""
    catalog = session.catalog
    hint = "honed doctor --repair"
    if is_older(session.workspace.index, space):
        yield Finding("index", "unfinished", f"The live index {_OLDER}", hint, "rebuild")
        return
    generation = open_current(session.workspace.index, space, verify="hashes")
    if generation is None:
        if not (space_folder(session.workspace.index, space) / CURRENT).exists():
            message = "There is no index for the live space yet."
            yield Finding("index", "unfinished", message, f"honed add again, or {hint}", "index")
        else:
            reason = _reason(session.workspace.index, space)
            yield Finding("index", "wrong", f"The live index cannot be used: {reason}.", hint, "rebuild")
        return
    contradiction = _contradiction(catalog, generation)
    if contradiction:
        yield Finding("index", "wrong", contradiction, hint, "rebuild")
    elif generation.seq < catalog.seq:
        behind = plural(catalog.seq - generation.seq, "change")
        message = f"The live index is {behind} behind the catalog: what went is hidden, what came waits."
        yield Finding("index", "unfinished", message, f"honed add again, or {hint}", "index")
    elif generation.manifest.vectors < generation.manifest.passages:
        message = f"The live index holds vectors of {generation.manifest.vectors:,} of its passages."
        yield Finding("index", "unfinished", message, f"honed add again, or {hint}", "index")
    else:
        message = f"{plural(len(generation.rowids), 'passage')} at change {generation.seq:,}; all hashes are right."
        yield Finding("index", "ok", message)


def other_indexes(session: Session, spaces: set[str]) -> Iterator[Finding]:
    """Indexes of releases that are not live, as far as there are any: promoting builds what is missing."""
    for space in sorted(spaces):
        there = (space_folder(session.workspace.index, space) / CURRENT).exists()
        if there and is_older(session.workspace.index, space):
            message = f"The index of the space {space[:12]}, which is not live, {_OLDER}"
            yield Finding("index", "unfinished", message, "honed doctor --repair", "rebuild")
        elif there and open_current(session.workspace.index, space, verify="hashes") is None:
            reason = _reason(session.workspace.index, space)
            message = f"The index of the space {space[:12]}, which is not live, cannot be used: {reason}."
            yield Finding("index", "wrong", message, "honed doctor --repair", "rebuild")


def damaged_graphs(cache: Path) -> list[Path]:
    """Folders of cached graphs whose files do not match the hashes beside them, or have none."""
    folders = [path for path in sorted(cache.glob("encoders/*/*")) if path.is_dir() and not path.name.startswith(".")]
    return [folder for folder in folders if not _intact(folder)]


def cache(session: Session) -> Iterator[Finding]:
    """Cached graphs against their hashes. A wrong one is never used: it is built again when it is needed."""
    bad = damaged_graphs(session.workspace.cache)
    for path in bad:
        message = f"{path.relative_to(session.workspace.cache)} does not match its hash; it will not be used."
        yield Finding("cache", "unfinished", message, "honed doctor --repair", "cache")
    if not bad:
        yield Finding("cache", "ok", "Every cached graph matches its hash.")


def _intact(folder: Path) -> bool:
    try:
        expected = read_json(folder / HASHES)
    except (OSError, HonedError):
        return False
    hashes = tree_hashes(folder)
    hashes.pop(HASHES, None)
    return bool(hashes == expected)


def _contradiction(catalog: Catalog, generation: Generation) -> str:
    """How an index that opens contradicts the catalog, or ""."""
    if generation.seq > catalog.seq:
        return "The live index is newer than the catalog: an older catalog was put in place."
    if generation.seq < trimmed_to(catalog):
        return "The live index is older than the log of changes reaches back."
    live = documents.rowids(catalog)
    changed = {change.rowid for change in catalog.changes_since(generation.seq)}
    differing = np.setxor1d(live, generation.rowids)
    if not set(differing.tolist()) <= changed:
        return "The live index holds other passages than the catalog: one of the two was restored from a backup."
    if len(generation.lexical) != len(generation.rowids) or len(generation.dense) != generation.manifest.vectors:
        return "The parts of the live index do not hold the same passages."
    return ""


def _reason(root: Path, space: str) -> str:
    """Why an index cannot be opened, in words."""
    folder = space_folder(root, space)
    try:
        name = (folder / CURRENT).read_text(errors="replace").strip()
        manifest = Manifest.from_json(read_json(folder / name / MANIFEST))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, HonedError) as error:
        return str(getattr(error, "message", error)).rstrip(".")
    wrong = faults(folder / name, manifest, "hashes")
    if manifest.space != space:
        wrong.append("it belongs to another space")
    return "; ".join(wrong) or "its files cannot be read"
