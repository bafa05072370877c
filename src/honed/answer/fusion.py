"""Fusion of the vector side and the keyword side: how scores are made comparable, and how much each side counts.

The default has no parameter that was fitted anywhere: z-scores of the best hundred of each side, at equal weight. A convex
combination of scores beats rank fusion in and out of domain (Bruch, Gai and Ingber 2022, arXiv:2210.11934); reciprocal ranks
(Cormack, Clarke and Buettcher 2009) stay among the choices because users know them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from honed.types import Ranking, Vectors

Normalisation = Literal["z", "min-max", "best", "ranks"]
"""How a side's scores become comparable, given the best of them, down to a depth:

- "z": the score above the lowest of these, in standard deviations. That is the z-score up to a constant of the query.
- "min-max": the score above the lowest of these, as a share of the way to the highest.
- "best": the score as a share of the highest; nothing is cut off.
- "ranks": 1 / (60 + rank).

With all but "best", what a side does not have among its best counts as its lowest.
"""

WEIGHTS: NDArray[np.float64] = np.round(np.linspace(0.0, 1.0, 21), 2)
"""The grid that tuning picks from: 0 is BM25 alone, 1 is dense alone."""

_RANK_OFFSET = 60


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """How both sides become one ranking; the default has nothing to fit.

    Attributes:
        normalisation: How scores are made comparable.
        weight: Of the vector side; the keyword side has the rest.
        depth: How many of each side's best are fused; what comes after them keeps its order behind them.
    """

    normalisation: Normalisation = "z"
    weight: float = 0.5
    depth: int = 100


@dataclass(frozen=True, slots=True)
class Pool:
    """The candidates of one query with both scores; n is at most twice the pool size.

    Attributes:
        rowids: [n] passages, ascending.
        dense: [n] cosine similarities, exact for every candidate.
        lexical: [n] BM25 scores; 0 for a candidate that the keyword side did not return.
    """

    rowids: NDArray[np.int64]
    dense: NDArray[np.float32]
    lexical: NDArray[np.float32]

    def scores(self, settings: FusionSettings) -> NDArray[np.float32]:
        """Both sides' scores as one, 0 or more where a side's best counts; a side alone keeps its own scores."""
        if settings.weight in (0.0, 1.0):
            return self.dense if settings.weight else self.lexical
        return self._fused(settings)[0]

    def ranked(self, settings: FusionSettings) -> Ranking:
        """Passages and scores, best first; ties keep the order of row ids, so that a result never flickers.

        A passage that neither side of non-zero weight knows is left out: weight 0 is BM25 alone, exactly.
        """
        if settings.weight in (0.0, 1.0):
            scores = self.scores(settings)
            order = np.argsort(-scores, kind="stable")
        else:
            scores, beyond = self._fused(settings)
            order = np.lexsort((-beyond, -scores))
        if settings.weight == 0.0:
            order = order[self.lexical[order] > 0]
        return self.rowids[order], scores[order]

    def _fused(self, settings: FusionSettings) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scores where each side counts down to the depth, and the same where both count to the end, which breaks ties."""
        (dense, deep), (lexical, low) = (_comparable(side, settings) for side in (self.dense, self.lexical))
        share = settings.weight
        scores = (share * dense + (1.0 - share) * lexical).astype(np.float32)
        return scores, (share * deep + (1.0 - share) * low).astype(np.float32)


def _comparable(
    scores: NDArray[np.float32], settings: FusionSettings
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One side's scores as `Normalisation` says, and the same without the cut at the depth.

    A keyword side with fewer hits than the depth is filled up with passages that share no word, which score exactly 0.
    """
    if not scores.size:
        return scores, scores
    if settings.normalisation == "ranks":
        ranks = _ranks(scores)
        deep = np.where(scores != 0, 1.0 / (_RANK_OFFSET + ranks), 0.0).astype(np.float32)
        return np.where(ranks <= settings.depth, deep, np.float32(0)), deep
    if settings.normalisation == "best":
        best = float(scores.max())
        shares = scores / best if best > 0 else scores
        return shares, shares
    best_ones = np.sort(scores)[::-1][: settings.depth].astype(np.float64)
    lowest = float(best_ones[-1])
    scale = float(best_ones.std() if settings.normalisation == "z" else best_ones[0] - lowest)
    above = (scores - lowest) / (scale if scale > 0 else 1.0)
    return np.maximum(above, 0.0), above


def _ranks(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """1 for the highest score; equal scores rank by place."""
    ranks = np.empty(len(scores), np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks


def pooled(dense: Ranking, lexical: Ranking, missing: tuple[NDArray[np.int64], NDArray[np.float32]]) -> Pool:
    """Join the two sides' candidates.

    Args:
        dense: Best passages of the vector side with cosine similarities.
        lexical: Best passages of the keyword side with BM25 scores.
        missing: Row ids that only the keyword side returned, and their cosine similarities; -inf, which is that of a
            passage without a vector, counts as 0.
    """
    rowids = np.union1d(dense[0], lexical[0])
    cosine = np.zeros(len(rowids), np.float32)
    bm25 = np.zeros(len(rowids), np.float32)
    cosine[np.searchsorted(rowids, dense[0])] = dense[1]
    # A passage without a vector yet scores minus infinity on the vector side: it counts as unlike, not as never.
    cosine[np.searchsorted(rowids, missing[0])] = np.where(np.isfinite(missing[1]), missing[1], 0.0)
    bm25[np.searchsorted(rowids, lexical[0])] = lexical[1]
    return Pool(rowids, cosine, bm25)


class VectorSide(Protocol):
    """Anything that knows the cosine of a query and a passage: a dense index, or a view of one."""

    def scores_for(self, queries: Vectors, rowids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Cosines [n, m] of queries [n, d] and given rows [n, m]."""


def hybrid_pools(
    queries: Vectors,
    hits: tuple[NDArray[np.float32], NDArray[np.int64]],
    lexical: Sequence[Ranking],
    side: VectorSide,
) -> list[Pool]:
    """The candidates of many queries; live search and evaluation both collect them here.

    Args:
        queries: [n, d] query vectors.
        hits: Scores and row ids [n, k] of the vector side; row -1 is no hit.
        lexical: What the keyword side found for each query.
        side: Gives the cosine of what only the keyword side found.
    """
    result = []
    for position, (scores, rowids, words) in enumerate(zip(*hits, lexical, strict=True)):
        near = rowids[rowids >= 0]
        rest = np.setdiff1d(words[0], near)
        cosine = side.scores_for(queries[position : position + 1], rest[None, :])[0]
        result.append(pooled((near, scores[rowids >= 0]), words, (rest, cosine)))
    return result
