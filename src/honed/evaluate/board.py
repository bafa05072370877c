"""One split as a scoreboard: any vectors under any settings are ranked as the live search would rank them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from honed.answer.fusion import FusionSettings, Pool, Words, hybrid_pools
from honed.answer.settings import RetrievalSettings
from honed.dataset.task import Labelled, Task
from honed.evaluate.metrics import METRICS, Scores, per_query, reported
from honed.index.dense import DenseIndex
from honed.index.lexical import LexicalIndex, LexicalSettings
from honed.types import Ranking, Vectors

Rankings = dict[str, NDArray[np.int64]]
"""Query id -> document indices, best first."""

LEAST_POOL = 100
"""Candidates of each side below which the plain fusion would not be what its name says."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Settings with the metric that decides, of every query under them."""

    retrieval: RetrievalSettings
    scores: Scores

    @property
    def mean(self) -> float:
        """Mean over the judged queries."""
        return float(np.nanmean(self.scores))


class Board:
    """The queries of one split, what the keyword side finds for them (once for each way to count), and what is relevant.

    `metric` is the one that decides.
    """

    def __init__(
        self, task: Task, labelled: Labelled, index: LexicalIndex, *, pool: int, metric: str = METRICS[0]
    ) -> None:
        self.task = task
        self.labelled = labelled
        self.pool = max(pool, LEAST_POOL)
        self.metric = metric
        self._index = index
        self._lexical: dict[LexicalSettings, list[Ranking]] = {}
        self._ids = [query.id for query in labelled.queries]
        self._qrels = dict(zip(self._ids, labelled.relevant, strict=True))

    def lexical(self, settings: LexicalSettings) -> list[Ranking]:
        """Hits of the keyword side for every query."""
        if settings not in self._lexical:
            self._lexical[settings] = self._index.search_many(self.labelled.texts, self.pool, settings)
        return self._lexical[settings]

    def pools(
        self, queries: Vectors, dense: DenseIndex, lexical: LexicalSettings, *, absolute: bool = True
    ) -> list[Pool]:
        """Candidates of every query with both scores, as the live search collects them.

        Without `absolute` they cost less, and serve every fusion but that of absolute scores.
        """
        words = Words(self.labelled.texts, self._index, lexical) if absolute else None
        return hybrid_pools(queries, dense.search(queries, self.pool), self.lexical(lexical), dense, words)

    def rankings(self, pools: Sequence[Pool], fusion: FusionSettings) -> Rankings:
        """Documents of every query, both sides fused."""
        ranked = (self.task.by_document(pool.ranked(fusion)) for pool in pools)
        return dict(zip(self._ids, ranked, strict=True))

    def measure(self, rankings: Rankings) -> dict[str, Scores]:
        """Every metric for every query, the one that decides first."""
        return per_query(rankings, self._qrels, reported(self.metric), queries=self._ids)

    def primary(self, pools: Sequence[Pool], fusion: FusionSettings) -> Scores:
        """The metric that decides, for every query, both sides fused."""
        return per_query(self.rankings(pools, fusion), self._qrels, (self.metric,), queries=self._ids)[self.metric]
