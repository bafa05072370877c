"""Inverted lists with 8-bit codes: they name the rows that deserve an exact look.

The codes never decide an order, they only pick a pool that `dense.py` scores again from the stored vectors. How many
lists a search visits is measured when the lists are trained, because a fixed share is either slow or blind.
"""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import faiss
import numpy as np

from honed.index.rows import RowIds
from honed.types import Vectors

RECALL = 0.99
"""Recall@10 that training asks of its own probe. Live queries lie further off and reach a little less."""

_PROBES = 256
_SAMPLE_PER_LIST = 64
_SEED = 20


class Ivf:
    """Trained lists over row ids. Never changed in place: `changed` returns another one."""

    def __init__(self, index: Any, nprobe: int, path: Path | None = None) -> None:
        self.index = index
        self.nprobe = nprobe
        self._path = path

    @classmethod
    def train(cls, rowids: RowIds, matrix: Vectors) -> Ivf:
        """Cluster the rows into about sqrt(n) lists, fill them, and measure how many a search has to visit."""
        count, dimension = matrix.shape
        lists = max(1, round(math.sqrt(count)))
        quantizer = faiss.IndexFlatIP(dimension)
        index = faiss.IndexIVFScalarQuantizer(
            quantizer, dimension, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        index.cp.spherical, index.cp.seed = True, _SEED
        index.cp.max_points_per_centroid = _SAMPLE_PER_LIST
        sample = np.random.default_rng(_SEED).choice(count, min(count, lists * _SAMPLE_PER_LIST), replace=False)
        index.train(np.ascontiguousarray(matrix[np.sort(sample)]))
        index.add_with_ids(matrix, rowids)
        return cls(index, _enough_lists(index, rowids, matrix))

    @classmethod
    def read(cls, path: Path, nprobe: int) -> Ivf:
        """Map a file of `write` into memory: opening takes a millisecond, pages come when they are used."""
        return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY), nprobe, path)

    def write(self, path: Path) -> None:
        """Write the lists to a file."""
        faiss.write_index(self._in_memory(), str(path))

    def changed(self, remove: RowIds, rowids: RowIds, matrix: Vectors) -> Ivf:
        """The same lists without `remove` and with more rows; centroids and `nprobe` stay."""
        index = faiss.clone_index(self._in_memory())
        if remove.size:
            index.remove_ids(faiss.IDSelectorBatch(remove))
        if rowids.size:
            index.add_with_ids(np.ascontiguousarray(matrix), rowids)
        return Ivf(index, self.nprobe)

    def pool(self, queries: Vectors, size: int, allowed: RowIds | None = None) -> RowIds:
        """Row ids [n, size] worth an exact score, -1 where there are no more.

        With a filter, only lists that hold an allowed row count as visited; otherwise a filter that is far from the
        query would find its lists never visited and return nothing.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        if allowed is None:
            return cast(RowIds, self.index.search(queries, size, params=_visiting(self.nprobe))[1])
        occupied = np.unique(self._list_of(allowed))
        closeness = queries @ self._centroids[occupied].T
        visits = min(self.nprobe, len(occupied))
        best = np.argpartition(-closeness, visits - 1, axis=1)[:, :visits]
        lists = np.ascontiguousarray(occupied[best], np.int64)
        return self._search_lists(queries, size, (lists, np.take_along_axis(closeness, best, axis=1)), allowed)

    def _search_lists(self, queries: Vectors, size: int, visit: tuple[RowIds, Vectors], allowed: RowIds) -> RowIds:
        """Search chosen lists of each query. FAISS's Python method takes no filter here, its C method does."""
        lists, closeness = np.ascontiguousarray(visit[0]), np.ascontiguousarray(visit[1])
        params = _visiting(lists.shape[1], sel=_selector(allowed))
        scores = np.empty((len(queries), size), np.float32)
        rowids = np.empty((len(queries), size), np.int64)
        pointers = [faiss.swig_ptr(array) for array in (queries, lists, closeness, scores, rowids)]
        query, keys, distances, score, label = pointers
        self.index.search_preassigned_c(len(queries), query, size, keys, distances, score, label, False, params)
        return rowids

    def _in_memory(self) -> Any:
        """The index as one that can be copied and written; a mapped one cannot."""
        return faiss.read_index(str(self._path)) if self._path else self.index

    def _list_of(self, rowids: RowIds) -> RowIds:
        """The list of each row that is there."""
        ids, lists = self._assignment
        at = np.minimum(np.searchsorted(ids, rowids), len(ids) - 1)
        return cast(RowIds, lists[at[ids[at] == rowids]])

    @cached_property
    def _assignment(self) -> tuple[RowIds, RowIds]:
        inverted = self.index.invlists
        sizes = [inverted.list_size(number) for number in range(self.index.nlist)]
        ids = np.concatenate(
            [
                faiss.rev_swig_ptr(inverted.get_ids(number), size).copy() if size else np.empty(0, np.int64)
                for number, size in enumerate(sizes)
            ]
        )
        lists = np.repeat(np.arange(self.index.nlist, dtype=np.int64), sizes)
        order = np.argsort(ids)
        return ids[order], lists[order]

    @cached_property
    def _centroids(self) -> Vectors:
        return cast(Vectors, self.index.quantizer.reconstruct_n(0, self.index.nlist))


def _visiting(lists: int, **options: Any) -> Any:
    make: Any = faiss.SearchParametersIVF  # Its stub lacks the keyword arguments.
    return make(nprobe=lists, **options)


def _selector(allowed: RowIds) -> Any:
    """A filter for FAISS: one bit a row number, or a hash set where the numbers lie too far apart for that."""
    highest = int(allowed.max())
    if allowed.min() < 0 or highest > 64 * len(allowed) + 1_000_000:
        return faiss.IDSelectorBatch(allowed)
    mask = np.zeros(highest + 1, np.bool_)
    mask[allowed] = True
    make: Any = faiss.IDSelectorBitmap  # Its stub lacks the array form.
    return make(np.packbits(mask, bitorder="little"))


def _enough_lists(index: Any, rowids: RowIds, matrix: Vectors) -> int:
    """The smallest number of visited lists (in steps of a quarter) that reaches `RECALL` on blurred rows.

    A row plus noise of its own length (cosine .71 to the row) stands in for a query: a row itself would be found in
    its own list and prove nothing.
    """
    rng = np.random.default_rng(_SEED)
    rows = matrix[np.sort(rng.choice(len(matrix), min(_PROBES, len(matrix)), replace=False))]
    noise = rng.standard_normal(rows.shape, np.float32)
    queries = rows + noise / np.linalg.norm(noise, axis=1, keepdims=True)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    depth = min(10, len(matrix))
    truth = rowids[np.argpartition(-(queries @ matrix.T), depth - 1, axis=1)[:, :depth]]
    nprobe = 1
    while nprobe < index.nlist:
        pools = index.search(queries, 4 * depth, params=_visiting(nprobe))[1]
        hits = sum(len(np.intersect1d(want, got)) for want, got in zip(truth, pools, strict=True))
        if hits >= RECALL * truth.size:
            break
        nprobe = max(nprobe + 1, nprobe * 5 // 4)
    return min(nprobe, int(index.nlist))
