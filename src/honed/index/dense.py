"""Inner-product search over the unit vectors of one embedding space.

Up to `exact_up_to` rows every score is computed, by numpy's matrix product: it is faster than FAISS's flat search
there, and a one-shot search need not import FAISS. Above that, inverted lists choose a pool and the pool is scored exactly,
so a score means the same at every size.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from honed.errors import InputError, UsageError
from honed.index.rows import RowIds
from honed.types import Vectors

if TYPE_CHECKING:
    from honed.index.ivf import Ivf

EXACT_UP_TO = 50_000
"""Rows up to which a search looks at all of them."""

FILTER_EXACT_UP_TO = 10_000
"""Allowed rows up to which a filtered search looks at all of them, whatever the index's size (15 MB at 384 numbers)."""

_BLOCK = 1 << 24
"""Numbers held at once while scoring: 64 MB."""

_CHANCE_SAMPLE = 4096

Hits = tuple[NDArray[np.float32], RowIds]
"""Scores [n, k], best first, and row ids [n, k]; where there are fewer than k hits, -inf and -1."""


@dataclass(frozen=True, eq=False, slots=True)
class DenseIndex:
    """Row ids (rising), their vectors [n, dimension], and inverted lists when there are many."""

    rowids: RowIds
    matrix: Vectors
    ivf: Ivf | None = None
    exact_up_to: int = EXACT_UP_TO

    @classmethod
    def build(cls, rowids: RowIds, vectors: Vectors, *, exact_up_to: int = EXACT_UP_TO) -> DenseIndex:
        """An index over row ids [n] and unit vectors [n, dimension].

        Raises:
            UsageError: A row id occurs twice, or the shapes do not agree.
            InputError: A vector holds something that is not a number.
        """
        rowids = np.asarray(rowids, np.int64)
        matrix = np.ascontiguousarray(vectors, np.float32)
        if matrix.ndim != 2 or len(matrix) != len(rowids):
            raise UsageError(f"{len(rowids)} row ids do not fit vectors of shape {matrix.shape}.")
        if not np.isfinite(matrix).all():
            raise InputError("A vector holds NaN or infinity.", hint="embed these passages again")
        if np.any(rowids[1:] <= rowids[:-1]):
            order = np.argsort(rowids, kind="stable")
            rowids, matrix = rowids[order], matrix[order]
        if np.any(rowids[1:] == rowids[:-1]):
            raise UsageError("A row id occurs twice in one index.")
        return cls(rowids, matrix, _lists(rowids, matrix, exact_up_to), exact_up_to)

    def __len__(self) -> int:
        return len(self.rowids)

    def search(self, queries: Vectors, k: int, *, allowed: RowIds | None = None) -> Hits:
        """The k best rows of each query [n, dimension]; equal scores in the order of row ids.

        Args:
            queries: Unit vectors, one a row.
            k: How many hits.
            allowed: Only these rows may be hits. Unknown ones are ignored; an empty array allows none.
        """
        queries = self._checked(queries)
        at = None if allowed is None else self._positions(allowed)
        count = len(self) if at is None else len(at)
        if k < 1 or not count or not len(queries):
            return _no_hits(len(queries), max(k, 0))
        if self.ivf is None or (at is not None and count <= FILTER_EXACT_UP_TO):
            return self._scan(queries, k, at)
        pool = self.ivf.pool(queries, min(2 * k + 50, count), None if at is None else self.rowids[at])
        scores, nearest = self._ordered(queries, pool, k)
        short = np.flatnonzero((nearest >= 0).sum(axis=1) < min(k, count))
        if short.size:
            scores[short], nearest[short] = self._scan(queries[short], k, at)
        return scores, nearest

    def scores_for(self, queries: Vectors, rowids: RowIds) -> NDArray[np.float32]:
        """Exact scores [n, m] of given rows [n, m]; -inf for -1 and for rows that are not here."""
        queries = self._checked(queries)
        out = np.full(rowids.shape, -np.inf, np.float32)
        if not len(self) or not rowids.size:
            return out
        at = np.minimum(np.searchsorted(self.rowids, rowids), len(self) - 1)
        present = self.rowids[at] == rowids
        step = max(1, _BLOCK // (rowids.shape[1] * self.matrix.shape[1]))
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            out[part] = np.matmul(self.matrix[at[part]], queries[part, :, None])[:, :, 0]
        out[~present] = -np.inf
        return out

    def chance(self, queries: Vectors) -> NDArray[np.float32]:
        """Mean score [n] of queries [n, dimension] and passages, from an even sample of these: what chance gives."""
        if not len(self):
            return np.zeros(len(queries), np.float32)
        sample = self.matrix[:: -(-len(self) // _CHANCE_SAMPLE)]
        return np.asarray(self._checked(queries) @ sample.mean(axis=0), np.float32)

    def updated(self, add_rowids: RowIds, add_vectors: Vectors, remove: RowIds) -> DenseIndex:
        """Another index without `remove` and with more rows; a row that is added again replaces its older self."""
        add_rowids = np.asarray(add_rowids, np.int64)
        gone = np.union1d(np.asarray(remove, np.int64), add_rowids)
        keep = ~np.isin(self.rowids, gone)
        if not add_rowids.size:
            add_vectors = np.empty((0, self.matrix.shape[1]), np.float32)
        kept = self.matrix[keep] if keep.any() else np.empty((0, add_vectors.shape[1]), np.float32)
        plain = DenseIndex.build(
            np.concatenate([self.rowids[keep], add_rowids]),
            np.concatenate([kept, np.asarray(add_vectors, np.float32)]),
            exact_up_to=len(kept) + len(add_rowids),
        )
        if self.ivf is None or len(plain) <= self.exact_up_to:
            ivf = _lists(plain.rowids, plain.matrix, self.exact_up_to)
        else:
            ivf = self.ivf.changed(self.rowids[~keep], add_rowids, np.asarray(add_vectors, np.float32))
        return DenseIndex(plain.rowids, plain.matrix, ivf, self.exact_up_to)

    def save(self, folder: Path) -> None:
        """Write `dense.json`, `dense.rowids.npy`, `dense.vectors.npy` and, when there are lists, `dense.ivf`."""
        np.save(folder / "dense.rowids.npy", self.rowids)
        np.save(folder / "dense.vectors.npy", self.matrix)
        if self.ivf is not None:
            self.ivf.write(folder / "dense.ivf")
        head = {"exact_up_to": self.exact_up_to, "nprobe": self.ivf.nprobe if self.ivf else None}
        (folder / "dense.json").write_text(json.dumps(head), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> DenseIndex:
        """Map the files of `save` into memory; nothing is read until a search needs it."""
        head = json.loads((folder / "dense.json").read_text(encoding="utf-8"))
        rowids = np.load(folder / "dense.rowids.npy")
        # A plain array over the mapped pages: a numpy.memmap costs a Python call for every slice.
        matrix = np.asarray(np.load(folder / "dense.vectors.npy", mmap_mode="r"))
        if rowids.ndim != 1 or matrix.ndim != 2 or len(rowids) != len(matrix):
            raise ValueError(f"dense index of {rowids.shape} row ids and {matrix.shape} vectors")
        if head["nprobe"] is None:
            return cls(rowids, matrix, None, head["exact_up_to"])
        from honed.index.ivf import Ivf

        return cls(rowids, matrix, Ivf.read(folder / "dense.ivf", head["nprobe"]), head["exact_up_to"])

    def _checked(self, queries: Vectors) -> Vectors:
        queries = np.ascontiguousarray(queries, np.float32)
        if queries.ndim != 2 or (len(self) and queries.shape[1] != self.matrix.shape[1]):
            raise UsageError(
                f"Queries of shape {queries.shape} do not fit an index of {self.matrix.shape[1]} dimensions.",
                hint="the index belongs to another embedding space; rebuild it with `honed doctor --repair`",
            )
        return queries

    def _positions(self, allowed: RowIds) -> RowIds:
        allowed = np.unique(np.asarray(allowed, np.int64))
        at = np.searchsorted(self.rowids, allowed)
        inside = at < len(self)
        inside[inside] = self.rowids[at[inside]] == allowed[inside]
        return at[inside]

    def _scan(self, queries: Vectors, k: int, at: RowIds | None) -> Hits:
        """Score all rows, or the rows at some positions. Copying many rows together costs more than scoring all."""
        gather = at is not None and 4 * len(at) < len(self)
        matrix = self.matrix[at] if gather else self.matrix
        rowids = self.rowids if at is None else self.rowids[at]
        scores, nearest = _no_hits(len(queries), k)
        step = max(1, _BLOCK // len(matrix))
        for start in range(0, len(queries), step):
            block = queries[start : start + step] @ matrix.T
            if at is not None and not gather:
                block = block[:, at]
            for row, values in enumerate(block, start):
                best = _best(values, k)
                scores[row, : len(best)], nearest[row, : len(best)] = values[best], rowids[best]
        return scores, nearest

    def _ordered(self, queries: Vectors, pool: RowIds, k: int) -> Hits:
        """Score a pool exactly and keep its k best."""
        pool = np.sort(pool, axis=1)
        exact = self.scores_for(queries, pool)
        order = np.argsort(-exact, axis=1, kind="stable")[:, :k]
        scores, nearest = _no_hits(len(queries), k)
        scores[:, : order.shape[1]] = np.take_along_axis(exact, order, axis=1)
        nearest[:, : order.shape[1]] = np.take_along_axis(pool, order, axis=1)
        return scores, nearest


def merged(hits: list[Hits], k: int) -> Hits:
    """The k best of several searches of the same queries over disjoint rows."""
    scores = np.concatenate([part[0] for part in hits], axis=1)
    rowids = np.concatenate([part[1] for part in hits], axis=1)
    order = np.lexsort((rowids, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rowids, order, axis=1)


def _lists(rowids: RowIds, matrix: Vectors, exact_up_to: int) -> Ivf | None:
    if len(rowids) <= exact_up_to:
        return None
    from honed.index.ivf import Ivf

    return Ivf.train(rowids, matrix)


def _no_hits(queries: int, k: int) -> Hits:
    return np.full((queries, k), -np.inf, np.float32), np.full((queries, k), -1, np.int64)


def _best(values: NDArray[np.float32], k: int) -> RowIds:
    """Positions of the k largest values, the earlier of equal ones first."""
    if k < len(values):
        near = np.flatnonzero(values >= np.partition(values, len(values) - k)[len(values) - k])
    else:
        near = np.arange(len(values))
    return near[np.argsort(-values[near], kind="stable")[:k]]
