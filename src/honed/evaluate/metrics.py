"""Rankings and judgements to one score a query: nDCG@k, recall@k, MRR@k as trec_eval computes them."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import UsageError

Scores = NDArray[np.float64]
"""One score a query, shape [queries]. NaN marks a query without a relevant document: it has no score."""

METRICS: tuple[str, ...] = ("ndcg@10", "recall@5", "recall@10", "recall@100", "mrr@10")
"""The metrics that every evaluation reports. The first one decides unless the user names another."""

_NAME = re.compile(r"(ndcg|recall|mrr)@([1-9]\d*)")


@dataclass(frozen=True, slots=True)
class MetricShape:
    """Which metrics may decide for a role: a pattern, and the same in words."""

    pattern: str
    words: str

    def fits(self, metric: str) -> bool:
        """Whether a metric is one of them."""
        return re.fullmatch(self.pattern, metric) is not None


TEXT_METRIC = MetricShape(r"(ndcg|recall|mrr)@[1-9]\d{0,2}", "ndcg@K, recall@K or mrr@K, for example recall@5")
PICTURE_METRIC = MetricShape(r"map|recall@[1-9]\d{0,2}", "recall@K or map, for example recall@1")


def reported(deciding: str, usual: Sequence[str] = METRICS) -> tuple[str, ...]:
    """The metrics of a report: the one that decides first, then the usual others."""
    return (deciding, *(name for name in usual if name != deciding))


@dataclass(frozen=True, slots=True)
class Means:
    """Means over the judged queries, and how many queries were left out because nothing is relevant to them."""

    values: dict[str, float]
    queries: int
    unjudged: int


def per_query(
    rankings: Mapping[Any, Sequence[Hashable] | NDArray[Any]],
    qrels: Mapping[Any, Mapping[Any, int]],
    metrics: Sequence[str] = METRICS,
    *,
    queries: Sequence[Hashable] | None = None,
) -> dict[str, Scores]:
    """Scores per metric, each an array in the order of `queries` (without it: the order of `rankings`).

    Follows trec_eval: the gain of a document is its grade, the discount is log2(rank + 1), and a grade above zero
    counts as relevant for recall and MRR (Järvelin and Kekäläinen 2002 for nDCG).

    Args:
        rankings: Query to document ids (any hashable), best first. The order is taken as it is; ties are the caller's
            to break. An id that comes twice counts once, at its better rank.
        qrels: Query to document to grade.
        metrics: Names like "ndcg@10", "recall@100", "mrr@10".
        queries: The queries to score. One without a ranking scores 0 (the system found nothing), so give the whole test
            set here when a system may leave queries out.

    Returns:
        Metric to scores. A query without a relevant document gets NaN everywhere: it cannot tell two systems apart.
        `means` leaves it out and counts it.

    Raises:
        UsageError: A metric has no meaning here.
    """
    wanted = {name: _parse(name) for name in metrics}
    order = list(rankings) if queries is None else list(queries)
    depth = max((k for _, k in wanted.values()), default=1)
    gains, ideal, relevant = _gains(rankings, qrels, order, depth)
    judged = relevant > 0
    result: dict[str, Scores] = {}
    for name, (kind, k) in wanted.items():
        scores = np.full(len(order), np.nan)
        scores[judged] = _METRIC[kind](gains[judged, :k], ideal[judged, :k], relevant[judged])
        result[name] = scores
    return result


def means(scores: Mapping[str, Scores]) -> Means:
    """The mean of each metric over the queries that have a score (NaN where none has), and the count of both kinds."""
    first = next(iter(scores.values()), np.empty(0))
    judged = ~np.isnan(first)
    values = {name: float(array[judged].mean()) if judged.any() else float("nan") for name, array in scores.items()}
    return Means(values, queries=int(judged.sum()), unjudged=int((~judged).sum()))


def _parse(name: str) -> tuple[str, int]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise UsageError(f"There is no metric '{name}'.", hint="use ndcg@K, recall@K or mrr@K, for example ndcg@10")
    return match[1], int(match[2])


def _gains(
    rankings: Mapping[Any, Sequence[Hashable] | NDArray[Any]],
    qrels: Mapping[Any, Mapping[Any, int]],
    order: Sequence[Hashable],
    depth: int,
) -> tuple[Scores, Scores, Scores]:
    """Grades by rank [n, depth], the same for the best possible ranking, and the number of relevant documents [n]."""
    gains = np.zeros((len(order), depth))
    ideal = np.zeros((len(order), depth))
    relevant = np.zeros(len(order))
    for row, query in enumerate(order):
        grades = {document: grade for document, grade in qrels.get(query, {}).items() if grade > 0}
        if not grades:
            continue
        relevant[row] = len(grades)
        best = sorted(grades.values(), reverse=True)[:depth]
        ideal[row, : len(best)] = best
        ranking = rankings.get(query, ())
        ids = ranking.tolist() if isinstance(ranking, np.ndarray) else ranking
        for rank, document in enumerate(dict.fromkeys(ids)):
            if rank == depth:
                break
            if grade := grades.get(document):
                gains[row, rank] = grade
    return gains, ideal, relevant


def _ndcg(gains: Scores, ideal: Scores, _relevant: Scores) -> Scores:
    discount = 1.0 / np.log2(np.arange(2, gains.shape[1] + 2))
    quotient: Scores = (gains @ discount) / (ideal @ discount)
    return quotient


def _recall(gains: Scores, _ideal: Scores, relevant: Scores) -> Scores:
    share: Scores = (gains > 0).sum(axis=1) / relevant
    return share


def _mrr(gains: Scores, _ideal: Scores, _relevant: Scores) -> Scores:
    hits = gains > 0
    return np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1), 0.0)


_METRIC = {"ndcg": _ndcg, "recall": _recall, "mrr": _mrr}
