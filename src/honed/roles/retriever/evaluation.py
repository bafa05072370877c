"""Baseline and candidate on the held-out questions, through the search that would ship, with what the report shows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from honed.answer.fusion import Pool
from honed.answer.settings import RetrievalSettings
from honed.dataset.task import Labelled, Task
from honed.evaluate.board import Board
from honed.evaluate.comparison import General, Measured, Questions
from honed.evaluate.metrics import Scores
from honed.evaluate.probe import general_probe
from honed.evaluate.report import Case, Hit, extremes
from honed.evaluate.slices import build_slices, overlap
from honed.evaluate.untuned import PLAIN
from honed.index.dense import DenseIndex
from honed.tuning.candidate import Candidate
from honed.tuning.role import Evaluation
from honed.types import Passage, Vectors

if TYPE_CHECKING:  # torch is loaded by tuning alone
    from honed.roles.retriever.models import Models

SHOWN = 3
"""Passages of a ranking that the report shows."""

Fetch = Callable[[Sequence[int]], Mapping[int, Passage]]
"""Passages by row id."""


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """What is ranked with: query vectors [n, d], the passages they are searched in, and how."""

    name: str
    queries: Vectors
    dense: DenseIndex
    retrieval: RetrievalSettings


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What a system found for every question, and how well."""

    system: System
    pools: list[Pool]
    scores: dict[str, Scores]

    @property
    def measured(self) -> Measured:
        """Its name and scores."""
        return Measured(self.system.name, self.scores)


def ranked(board: Board, system: System) -> Results:
    """Rank every question of a board with a system and measure it."""
    pools = board.pools(system.queries, system.dense, system.retrieval.lexical)
    return Results(system, pools, board.measure(board.rankings(pools, system.retrieval.fusion)))


def evaluated(models: Models, candidate: Candidate) -> Evaluation:
    """Both on test; the plain systems beside them, for the reader."""
    snapshot = models.snapshot
    board = snapshot.of("test")
    queries, dense = snapshot.embedder.encode_query(board.labelled.texts), snapshot.generation.dense
    base = ranked(board, System(snapshot.baseline.name, queries, dense, snapshot.retrieval))
    plain = [ranked(board, System(name, queries, dense, system)) for name, system in PLAIN.items()]
    tuned = models.embedder(candidate)
    after = ranked(
        board,
        System(
            f"tuned ({candidate.name})",
            tuned.encode_query(board.labelled.texts),
            models.dense(candidate),
            RetrievalSettings.from_dict(candidate.values["retrieval"]),
        ),
    )
    general = None
    if tuned is not snapshot.embedder:
        general = General(general_probe(snapshot.embedder), general_probe(tuned))

    def fetch(rowids: Sequence[int]) -> Mapping[int, Passage]:
        return {rowid: snapshot.passages[rowid] for rowid in rowids}

    return Evaluation(
        base.measured,
        after.measured,
        sliced(board.labelled, board.task, fetch),
        others=tuple(results.measured for results in plain),
        general=general,
        cases=lambda: _cases(board, base, after, fetch),
    )


def sliced(labelled: Labelled, task: Task, fetch: Fetch) -> Questions:
    """Questions with slices by length, overlap, number of answers and metadata."""
    slices = build_slices(
        labelled.queries,
        overlaps=_overlaps(labelled, task, fetch),
        relevant=[len(relevant) for relevant in labelled.relevant],
    )
    return Questions([query.id for query in labelled.queries], labelled.clusters, slices)


def _cases(board: Board, base: Results, candidate: Results, fetch: Fetch) -> tuple[Case, ...]:
    """The largest gains and losses with the passages that both systems put first."""
    before, after = base.scores[board.metric], candidate.scores[board.metric]
    return tuple(
        Case(
            query=board.labelled.queries[place].text,
            base=float(before[place]),
            candidate=float(after[place]),
            before=_hits(board, base, place, fetch),
            after=_hits(board, candidate, place, fetch),
        )
        for place in extremes(after - before)
    )


def _hits(board: Board, results: Results, place: int, fetch: Fetch) -> tuple[Hit, ...]:
    rowids = results.pools[place].ranked(results.system.retrieval.fusion)[0][:SHOWN]
    passages = fetch(rowids.tolist())
    relevant = board.labelled.relevant[place]
    documents_ = board.task.passage_document[board.task.positions(rowids)]
    return tuple(
        Hit(passages[rowid].context or passages[rowid].document, passages[rowid].text, int(document) in relevant)
        for rowid, document in zip(rowids.tolist(), documents_, strict=True)
        if rowid in passages
    )


def _overlaps(labelled: Labelled, task: Task, fetch: Fetch) -> list[float]:
    """For each query the share of its words that its relevant passages have."""
    order = np.argsort(task.passage_document, kind="stable")
    starts = np.searchsorted(task.passage_document[order], np.arange(len(task.documents) + 1))

    def rows(document: int) -> NDArray[np.int64]:
        return task.rowids[order[starts[document] : starts[document + 1]]]

    result = []
    for query, relevant in zip(labelled.queries, labelled.relevant, strict=True):
        rowids = np.concatenate([rows(document) for document in relevant]) if relevant else np.empty(0, np.int64)
        passages = fetch(rowids.tolist())
        result.append(overlap(query.text, [passage.embedded_text for passage in passages.values()]))
    return result
