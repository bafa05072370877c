"""The sealed test: base and candidate on the same held-out queries, once, with everything that the verdict needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from honed.answer.fusion import Pool
from honed.evaluate.board import Board
from honed.evaluate.comparison import Comparison, General, Measured, Questions, Trial, compare
from honed.evaluate.ledger import Looks
from honed.evaluate.metrics import Scores
from honed.evaluate.report import Case, Hit
from honed.evaluate.slices import build_slices, overlap
from honed.index.dense import DenseIndex
from honed.types import Passage, Vectors

_SHOWN = 3

Fetch = Callable[[Sequence[int]], Mapping[int, Passage]]
"""Passages by row id."""


@dataclass(frozen=True, slots=True, eq=False)
class Entrant:
    """A system that sits the exam: query vectors [n, d], the passages they are searched in, a fusion weight."""

    name: str
    queries: Vectors
    dense: DenseIndex
    weight: float


@dataclass(frozen=True, slots=True, eq=False)
class Paper:
    """What an entrant handed in."""

    entrant: Entrant
    pools: list[Pool]
    scores: dict[str, Scores]


def sit(board: Board, entrant: Entrant) -> Paper:
    """Rank every query of the board with a system and measure it."""
    pools = board.pools(entrant.queries, entrant.dense)
    return Paper(entrant, pools, board.measure(board.rankings(pools, entrant.weight)))


@dataclass(frozen=True, slots=True, eq=False)
class Exam:
    """Both papers on one board, and what weighs on the result.

    Attributes:
        looks: How often the questions have been looked at, this time included.
        general: The general probe of both; None where no model changed.
        fetch: Gives passages by row id.
    """

    board: Board
    base: Paper
    candidate: Paper
    looks: Looks
    general: General | None
    fetch: Fetch

    def compared(self, candidates_tried: int, seed: int) -> Comparison:
        """The comparison query by query, with slices by length, overlap, number of answers and metadata."""
        labelled = self.board.labelled
        slices = build_slices(
            labelled.queries,
            overlaps=_overlaps(self.board, self.fetch),
            relevant=[len(relevant) for relevant in labelled.relevant],
        )
        return compare(
            Measured(self.base.entrant.name, self.base.scores),
            Measured(self.candidate.entrant.name, self.candidate.scores),
            Questions([query.id for query in labelled.queries], labelled.clusters, slices),
            metric=self.board.metric,
            trial=Trial(candidates_tried, self.looks.reads, self.general, seed=seed, **self.looks.trial()),
        )

    def cases(self, *, each: int = 10) -> tuple[Case, ...]:
        """The largest gains and losses with the passages that both systems put first."""
        metric = self.board.metric
        before, after = self.base.scores[metric], self.candidate.scores[metric]
        deltas = np.nan_to_num(after - before)
        order = np.argsort(-deltas, kind="stable")
        chosen = dict.fromkeys([*order[:each].tolist(), *order[::-1][:each].tolist()])
        return tuple(
            Case(
                query=self.board.labelled.queries[at].text,
                base=float(before[at]),
                candidate=float(after[at]),
                before=_hits(self.board, self.base, at, self.fetch),
                after=_hits(self.board, self.candidate, at, self.fetch),
            )
            for at in chosen
            if deltas[at] != 0
        )


def _hits(board: Board, paper: Paper, at: int, fetch: Fetch) -> tuple[Hit, ...]:
    rowids = paper.pools[at].ranked(paper.entrant.weight)[0][:_SHOWN]
    found = fetch(rowids.tolist())
    relevant = board.labelled.relevant[at]
    documents = board.task.passage_document[board.task.positions(rowids)]
    return tuple(
        Hit(found[rowid].context or found[rowid].document, found[rowid].text, int(document) in relevant)
        for rowid, document in zip(rowids.tolist(), documents, strict=True)
        if rowid in found
    )


def _overlaps(board: Board, fetch: Fetch) -> list[float]:
    """For each query the share of its words that its relevant passages have."""
    task = board.task
    order = np.argsort(task.passage_document, kind="stable")
    starts = np.searchsorted(task.passage_document[order], np.arange(len(task.documents) + 1))

    def rows(document: int) -> NDArray[np.int64]:
        return task.rowids[order[starts[document] : starts[document + 1]]]

    result = []
    for query, relevant in zip(board.labelled.queries, board.labelled.relevant, strict=True):
        rowids = np.concatenate([rows(document) for document in relevant]) if relevant else np.empty(0, np.int64)
        passages = fetch(rowids.tolist())
        result.append(overlap(query.text, [passage.embedded_text for passage in passages.values()]))
    return result
