"""One split as a scoreboard: any system that gives vectors and a fusion weight is ranked as the live search would rank it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from honed.answer.fusion import DEFAULT_WEIGHT, WEIGHTS, Pool, hybrid_pools
from honed.dataset.task import Labelled, Task
from honed.evaluate.metrics import METRICS, Scores, per_query, reported
from honed.index.dense import DenseIndex
from honed.types import Ranking, Vectors

Rankings = dict[str, NDArray[np.int64]]
"""Query id -> document indices, best first."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A fusion weight with the metric that decides, of every query under it."""

    weight: float
    scores: Scores

    @property
    def mean(self) -> float:
        """Mean over the judged queries."""
        return float(np.nanmean(self.scores))


class Board:
    """The queries of one split, what the keyword side finds for them (computed once), and what is relevant.

    `metric` is the one that decides.
    """

    def __init__(
        self, task: Task, labelled: Labelled, lexical: Sequence[Ranking], *, pool: int, metric: str = METRICS[0]
    ) -> None:
        self.task = task
        self.labelled = labelled
        self.pool = pool
        self.metric = metric
        self._lexical = lexical
        self._ids = [query.id for query in labelled.queries]
        self._qrels = dict(zip(self._ids, labelled.relevant, strict=True))

    def pools(self, queries: Vectors, dense: DenseIndex) -> list[Pool]:
        """Candidates of every query with both scores, as the live search collects them."""
        return hybrid_pools(queries, dense.search(queries, self.pool), self._lexical, dense)

    def rankings(self, pools: Sequence[Pool], weight: float) -> Rankings:
        """Documents of every query under a fusion weight."""
        ranked = (self.task.by_document(pool.ranked(weight)) for pool in pools)
        return dict(zip(self._ids, ranked, strict=True))

    def measure(self, rankings: Rankings) -> dict[str, Scores]:
        """Every metric for every query, the one that decides first."""
        return per_query(rankings, self._qrels, reported(self.metric), queries=self._ids)

    def primary(self, pools: Sequence[Pool], weight: float) -> Scores:
        """The metric that decides, for every query under a fusion weight."""
        return per_query(self.rankings(pools, weight), self._qrels, (self.metric,), queries=self._ids)[self.metric]

    def best_weight(self, pools: Sequence[Pool], weights: Sequence[float] | None = None) -> Choice:
        """The fusion weight with the highest mean.

        The means are smoothed over neighbouring weights first: a lone peak on a small split is luck. Of equally good
        weights the one nearest to the untuned default is taken.
        """
        grid = [float(weight) for weight in (WEIGHTS if weights is None else weights)]
        scores = [self.primary(pools, weight) for weight in grid]
        means = np.array([float(np.nanmean(values)) for values in scores])
        padded = np.pad(means, 1, mode="edge")
        smooth = (padded[:-2] + 2 * means + padded[2:]) / 4 if len(grid) > 2 else means
        tied = np.flatnonzero(smooth >= smooth.max() - 1e-9)
        best = int(tied[np.argmin(np.abs(np.array(grid)[tied] - DEFAULT_WEIGHT))])
        return Choice(grid[best], scores[best])
