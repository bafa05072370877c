"""The image index: unit vectors of one encoder through one image head, and perceptual hashes for near-copies.

    ROOT/images/KEY12/SEQ-N/   see folders.py; KEY: of the encoder's space and the head
      rowids.npy               the images that were there, rising
      phashes.npy              their perceptual hashes, 64 bits each
      dense.*                  vectors of those that have a descriptor, see dense.py
      manifest.json            written last: format, encoder, head, seq, counts, sha256 and size of each file

A tuned head means another key, so the index of the live release stays while that of a candidate is built, from descriptors
that the catalog keeps: no picture is looked at again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from honed.index import folders
from honed.index.dense import EXACT_UP_TO, DenseIndex, Hits
from honed.index.folders import (
    MANIFEST,
    Builder,
    FileRecord,
    Flawed,
    Progress,
    Verify,
    faults,
    place,
    records,
    renewed,
)
from honed.index.rows import Change, RowIds, net_changes
from honed.types import Vectors
from honed.workspace import read_json, write_json

FORMAT = 1
"""Raised when the layout or the meaning of the files changes; another number means rebuild."""

IMAGE_STEPS = ("read", "dense", "sync", "rename", "publish", "prune")
"""Names of the steps that `on_progress` is called with, in order."""

DELTA_SHARE = 0.2
"""Changed images since the last full build, as a share of all, from which on a full build is made."""

Descriptors = NDArray[np.float32]
"""Raw features of an encoder, [n, d], not of unit length."""


class ImageSource(Protocol):
    """The questions that the image index asks the truth."""

    @property
    def seq(self) -> int:
        """Number of the last change to images; 0 when there was none."""

    def changes_since(self, seq: int) -> Sequence[Change]:
        """Changes with a number above `seq`, in order; `rowid` is the image."""

    def phashes(self) -> tuple[RowIds, NDArray[np.uint64]]:
        """Every live image and its perceptual hash, row ids rising."""

    def descriptor_blocks(self, space: str, rowids: RowIds | None = None) -> Iterator[tuple[RowIds, Descriptors]]:
        """Live images (all, or those of `rowids` that live) that have a descriptor in a space, a few thousand at a time."""


class Head(Protocol):
    """What turns descriptors into vectors, such as `honed.models.vision.head.ImageHead`."""

    @property
    def key(self) -> str:
        """Fingerprint."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def apply(self, descriptors: Descriptors) -> Vectors:
        """Descriptors [n, d] to unit vectors [n, dimension]."""


@dataclass(frozen=True, slots=True)
class ImageSpace:
    """What the vectors of one image index are: descriptors of an encoder that went through a head.

    Attributes:
        encoder: Fingerprint of the encoder (its `space`).
        head: What its descriptors go through.
        exact_up_to: Images up to which a search looks at all of them.
    """

    encoder: str
    head: Head
    exact_up_to: int = EXACT_UP_TO

    @property
    def key(self) -> str:
        """Fingerprint of encoder and head."""
        return hashlib.sha256(f"{self.encoder}\0{self.head.key}".encode()).hexdigest()[:32]

    def folder(self, root: Path) -> Path:
        """The place of its index below the folder of all indexes."""
        return place(root / "images", self.key)


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """What a generation was built from and what it consists of. `churn`: rows that deltas changed since the last full build."""

    encoder: str
    head: str
    seq: int
    images: int
    vectors: int
    churn: int
    exact_up_to: int
    files: Mapping[str, FileRecord]
    format: int = FORMAT

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ImageManifest:
        """Read what was written. Raises ValueError, TypeError or KeyError for anything else."""
        if value["format"] != FORMAT:
            raise ValueError(f"format {value['format']}, this version reads {FORMAT}")
        files = {name: FileRecord(**record) for name, record in value["files"].items()}
        manifest = cls(**{**value, "files": files})
        numbers = (manifest.seq, manifest.images, manifest.vectors, manifest.churn, manifest.exact_up_to)
        if not all(type(number) is int for number in numbers):
            raise ValueError("a count is not a whole number")
        return manifest


@dataclass(frozen=True, eq=False)
class ImageGeneration:
    """The image index at one change number of the catalog, open for reading. Keeps its folder alive while it lives."""

    folder: Path
    manifest: ImageManifest
    rowids: RowIds
    phashes: NDArray[np.uint64]
    dense: DenseIndex

    @property
    def seq(self) -> int:
        """The catalog's change number that this generation holds."""
        return self.manifest.seq

    def search(self, vectors: Vectors, k: int, *, allowed: RowIds | None = None) -> Hits:
        """The k images nearest to each vector [n, dimension]; see `DenseIndex.search`."""
        return self.dense.search(vectors, k, allowed=allowed)

    def near_copies(self, phash: int, max_distance: int) -> tuple[RowIds, NDArray[np.int64]]:
        """Images whose perceptual hash differs in at most so many of its 64 bits, and in how many, nearest first."""
        distances = np.bitwise_count(self.phashes ^ np.uint64(phash)).astype(np.int64)
        near = np.flatnonzero(distances <= max_distance)
        near = near[np.argsort(distances[near], kind="stable")]
        return self.rowids[near], distances[near]

    @cached_property
    def waiting(self) -> RowIds:
        """Images that had no descriptor when this was built."""
        return np.setdiff1d(self.rowids, self.dense.rowids, assume_unique=True)


def open_images(root: Path, space: ImageSpace, *, verify: Verify = "sizes") -> ImageGeneration | None:
    """The generation that CURRENT names; None, with the reason in the log, when there is none or it is not whole.

    Args:
        root: Folder of all indexes.
        space: Encoder and head; an index of others is refused.
        verify: "sizes" compares the size of each file with the manifest, "hashes" its bytes.
    """
    return folders.open_current(space.folder(root), lambda folder: _read(folder, space, verify))


def refresh_images(
    source: ImageSource,
    root: Path,
    space: ImageSpace,
    *,
    rebuild: bool = False,
    on_progress: Progress | None = None,
) -> ImageGeneration:
    """The generation that holds the catalog's images as they are now; built if need be.

    Descriptors pass through the head in blocks, so memory grows with the vectors and not with the descriptors.

    Args:
        source: The truth.
        root: Folder of all indexes.
        space: Encoder and head.
        rebuild: Build from nothing and keep no older generation.
        on_progress: Called with the name of each step as it begins; not at all when there is nothing to do.

    Raises:
        BusyError: Another process has been building this index for ten minutes.
        IntegrityError: What was written cannot be read back.
    """
    job = _Job(source, space)
    builder = Builder(
        space.folder(root),
        open=lambda: open_images(root, space),
        is_fresh=job.is_fresh,
        write=partial(job.write, rebuild=rebuild),
    )
    return renewed(builder, rebuild=rebuild, on_progress=on_progress)


@dataclass(frozen=True, eq=False, slots=True)
class _Job:
    """Source and space of an index that is being built."""

    source: ImageSource
    space: ImageSpace

    def is_fresh(self, current: ImageGeneration) -> bool:
        same = current.seq == self.source.seq and current.manifest.exact_up_to == self.space.exact_up_to
        return same and not self._described_since(current).size

    def write(self, scratch: Path, current: ImageGeneration | None, tell: Progress, *, rebuild: bool) -> None:
        """Write all files of the next generation: a delta on the present one if few images changed, else from nothing.

        The change number is read before any row: what changes meanwhile is then seen twice, and that is harmless.
        """
        seq = self.source.seq
        rowids, phashes = self.source.phashes()
        tell("dense")
        delta = None if rebuild or current is None else self._delta(current, seq)
        if delta is None or current is None:
            dense, churn = self._full(rowids), 0
        else:
            changed, fresh = delta
            dense = current.dense.updated(*self._vectors(fresh, rowids), changed)
            churn = current.manifest.churn + len(np.union1d(changed, fresh))
        np.save(scratch / "rowids.npy", rowids)
        np.save(scratch / "phashes.npy", phashes)
        dense.save(scratch)
        counts = len(rowids), len(dense), churn
        made_of = self.space.encoder, self.space.head.key
        manifest = ImageManifest(*made_of, seq, *counts, self.space.exact_up_to, records(scratch))
        write_json(scratch / MANIFEST, asdict(manifest))

    def _full(self, rowids: RowIds) -> DenseIndex:
        return DenseIndex.build(*self._vectors(None, rowids), exact_up_to=self.space.exact_up_to)

    def _delta(self, current: ImageGeneration, seq: int) -> tuple[RowIds, RowIds] | None:
        """Images that changed, and images whose vector is to be added; None when a full build is due."""
        if seq < current.seq or current.manifest.exact_up_to != self.space.exact_up_to:
            return None
        changed, alive = net_changes(self.source.changes_since(current.seq))
        fresh = np.union1d(alive, np.setdiff1d(self._described_since(current), changed))
        churn = current.manifest.churn + len(np.union1d(changed, fresh))
        if churn >= DELTA_SHARE * len(current.rowids) or not len(current.dense):
            return None
        # What is built on must not carry a flaw on under a fresh hash.
        return None if faults(current.folder, current.manifest, "hashes") else (changed, fresh)

    def _described_since(self, current: ImageGeneration) -> RowIds:
        """Images of a generation that had no descriptor when it was built and have one now."""
        if not current.waiting.size:
            return current.waiting
        blocks = self.source.descriptor_blocks(self.space.encoder, current.waiting)
        return np.concatenate([np.empty(0, np.int64), *(rowids for rowids, _ in blocks)])

    def _vectors(self, wanted: RowIds | None, live: RowIds) -> tuple[RowIds, Vectors]:
        """Vectors of those images (all, or the wanted ones) that live and have a descriptor, block by block into one matrix."""
        size = len(live if wanted is None else wanted)
        kept, vectors = np.empty(size, np.int64), np.empty((size, self.space.head.dimension), np.float32)
        count = 0
        for rowids, descriptors in self.source.descriptor_blocks(self.space.encoder, wanted) if size else ():
            inside = np.isin(rowids, live)  # An image that came between two reads waits for the next refresh.
            part = slice(count, count + int(inside.sum()))
            kept[part], vectors[part] = rowids[inside], self.space.head.apply(descriptors[inside])
            count = part.stop
        return kept[:count], vectors[:count]


def _read(folder: Path, space: ImageSpace, verify: Verify) -> ImageGeneration:
    manifest = ImageManifest.from_json(read_json(folder / MANIFEST))
    wrong = faults(folder, manifest, verify)
    if (manifest.encoder, manifest.head) != (space.encoder, space.head.key):
        wrong.append("it belongs to another encoder or head")
    if wrong:
        raise Flawed("; ".join(wrong))
    rowids, phashes = np.load(folder / "rowids.npy"), np.load(folder / "phashes.npy")
    if rowids.shape != phashes.shape or phashes.dtype != np.uint64:
        raise ValueError("row ids and perceptual hashes do not fit each other")
    return ImageGeneration(folder, manifest, rowids, phashes, DenseIndex.load(folder))
