"""Fusion of the vector side and the keyword side: how scores are made comparable, and how much each side counts.

The default has no parameter that was fitted anywhere: each side as a share of what it could say at most, at equal weight. A
convex combination of scores beats rank fusion in and out of domain, and theoretical bounds beat those of the list (Bruch, Gai
and Ingber 2022, arXiv:2210.11934); reciprocal ranks (Cormack, Clarke and Buettcher 2009) are what users know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from honed.index.lexical import LexicalSettings
from honed.types import Ranking, Vectors

Normalisation = Literal["absolute", "z", "min-max", "best", "ranks"]
"""How a side's scores become comparable:

- "absolute": BM25 as a share of the most that it can give for the words of the query, and the cosine above that of a passage
  at random, as a share of the way to 1. A side that found nothing good is not stretched to look as good as any other.

The others know only the best of each side, down to a depth:

- "z": the score above the lowest of these, in standard deviations. That is the z-score up to a constant of the query.
- "min-max": the score above the lowest of these, as a share of the way to the highest.
- "best": the score as a share of the highest; nothing is cut off.
- "ranks": 1 / (60 + rank).

With "z", "min-max" and "ranks", what a side does not have among its best counts as its lowest.
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
        depth: How many of each side's best "z", "min-max" and "ranks" look at; what comes after keeps its order behind them.
    """

    normalisation: Normalisation = "absolute"
    weight: float = 0.5
    depth: int = 100


@dataclass(frozen=True, slots=True)
class Bounds:
    """What both sides could say of one query, and what the words say of every candidate.

    Attributes:
        exact: [n] BM25 of every candidate of a pool.
        ceiling: What BM25 gives at most.
        chance: Cosine of the query and a passage at random.
    """

    exact: NDArray[np.float32]
    ceiling: float
    chance: float


@dataclass(frozen=True, slots=True)
class Pool:
    """The candidates of one query with both scores; n is at most twice the pool size.

    Attributes:
        rowids: [n] passages, ascending.
        dense: [n] cosine similarities, exact for every candidate.
        lexical: [n] BM25 scores; 0 for a candidate that the keyword side did not return.
        words: What "absolute" needs besides; None where the pool was not collected for it.
    """

    rowids: NDArray[np.int64]
    dense: NDArray[np.float32]
    lexical: NDArray[np.float32]
    words: Bounds | None = None

    def scores(self, settings: FusionSettings) -> NDArray[np.float32]:
        """Both sides' scores as one; a side alone keeps its own scores, but for shares of the best."""
        if settings.weight in (0.0, 1.0) and settings.normalisation != "best":
            return self.dense if settings.weight else self.lexical
        return self._fused(settings)[0]

    def ranked(self, settings: FusionSettings) -> Ranking:
        """Passages and scores, best first; ties keep the order of row ids, so that a result never flickers.

        A passage that neither side of non-zero weight knows is left out: weight 0 is BM25 alone, exactly.
        """
        if settings.weight in (0.0, 1.0):  # one side: what the other says does not even break its ties
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
        if settings.normalisation == "absolute":
            both = self._absolute(settings.weight)
            return both, both
        (dense, deep), (lexical, low) = (_comparable(side, settings) for side in (self.dense, self.lexical))
        share = settings.weight
        scores = (share * dense + (1.0 - share) * lexical).astype(np.float32)
        return scores, (share * deep + (1.0 - share) * low).astype(np.float32)

    def _absolute(self, weight: float) -> NDArray[np.float32]:
        if self.words is None:
            raise ValueError("This pool was not collected for absolute scores.")
        lexical = self.words.exact / self.words.ceiling if self.words.ceiling > 0 else self.words.exact
        near = (self.dense - self.words.chance) / max(1.0 - self.words.chance, 1e-6)
        return (weight * near + (1.0 - weight) * lexical).astype(np.float32)


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

    def chance(self, queries: Vectors) -> NDArray[np.float32]:
        """Mean cosine [n] of queries [n, d] and passages."""

    def scores_for(self, queries: Vectors, rowids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Cosines [n, m] of queries [n, d] and given rows [n, m]."""


class WordSide(Protocol):
    """Anything that knows BM25 of a query and a passage."""

    def word_scores(self, text: str, rowids: NDArray[np.int64], settings: LexicalSettings) -> NDArray[np.float32]:
        """BM25 [n] of a text and given rows [n]."""

    def ceiling(self, text: str, settings: LexicalSettings) -> float:
        """The highest BM25 score that any passage can have for a text."""


@dataclass(frozen=True, slots=True)
class Words:
    """The keyword side of some queries, for absolute scores: their texts, what knows BM25, and how it counts."""

    texts: Sequence[str]
    side: WordSide
    settings: LexicalSettings


def hybrid_pools(
    queries: Vectors,
    hits: tuple[NDArray[np.float32], NDArray[np.int64]],
    lexical: Sequence[Ranking],
    side: VectorSide,
    words: Words | None = None,
) -> list[Pool]:
    """The candidates of many queries; live search and evaluation both collect them here.

    Args:
        queries: [n, d] query vectors.
        hits: Scores and row ids [n, k] of the vector side; row -1 is no hit.
        lexical: What the keyword side found for each query.
        side: Gives the cosine of what only the keyword side found.
        words: Gives BM25 of what only the vector side found, for absolute scores; None where these are not wanted.
    """
    result = []
    chance = side.chance(queries) if words else None
    for position, (scores, rowids, ranking) in enumerate(zip(*hits, lexical, strict=True)):
        near = rowids[rowids >= 0]
        rest = np.setdiff1d(ranking[0], near)
        cosine = side.scores_for(queries[position : position + 1], rest[None, :])[0]
        pool = pooled((near, scores[rowids >= 0]), ranking, (rest, cosine))
        if words and chance is not None:
            pool = replace(pool, words=_bounds(pool, words, position, float(chance[position])))
        result.append(pool)
    return result


def _bounds(pool: Pool, words: Words, position: int, chance: float) -> Bounds:
    """BM25 of the candidates that the keyword side did not return is asked for; the others are known."""
    text, exact = words.texts[position], pool.lexical.copy()
    missing = np.flatnonzero(exact == 0)
    exact[missing] = words.side.word_scores(text, pool.rowids[missing], words.settings)
    return Bounds(exact, words.side.ceiling(text, words.settings), chance)
