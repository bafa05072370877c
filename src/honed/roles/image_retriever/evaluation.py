"""Baseline and candidate on the held-out pictures, ranked as live search ranks them, with what the report shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from honed.evaluate.comparison import Measured
from honed.evaluate.image_board import ImageBoard
from honed.evaluate.metrics import Scores
from honed.evaluate.report import Case, Hit, extremes
from honed.evaluate.thumbnails import Thumbnail, thumbnails
from honed.roles.image_retriever.training import head_of, neighbours_of
from honed.tuning.candidate import Candidate
from honed.tuning.role import Evaluation
from honed.types import Vectors

if TYPE_CHECKING:  # torch is loaded by tuning alone
    from honed.roles.image_retriever.models import Models

SHOWN = 6
"""Pictures of a ranking that the report shows."""

_TIE = 1e-3  # recall at 1 is nought or one: among equal gains, those whose average precision moved most


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What a system makes of the pictures: its vectors [n, m] in the order of the board, and what they score."""

    name: str
    vectors: Vectors
    neighbours: int
    scores: Mapping[str, Scores]

    @property
    def measured(self) -> Measured:
        """Its name and scores."""
        return Measured(self.name, self.scores)


def ranked(board: ImageBoard, name: str, vectors: Vectors, neighbours: int) -> Results:
    """Rank for every picture that asks, and measure it."""
    return Results(name, vectors, neighbours, board.measure(vectors, neighbours=neighbours))


def evaluated(models: Models, candidate: Candidate) -> Evaluation:
    """Both on test, and for the reader what dev did not choose as baseline."""
    snapshot = models.snapshot
    board = snapshot.board("test")
    results = {
        system.name: ranked(board, system.name, snapshot.vectors(system), system.neighbours)
        for system in snapshot.systems
    }
    base = results.pop(snapshot.baseline.name)
    vectors = head_of(candidate).apply(models.descriptors(candidate))
    after = ranked(board, f"tuned ({candidate.name})", vectors, neighbours_of(candidate))
    thumbnail = thumbnails(models.session.workspace, snapshot.gallery.records)
    return Evaluation(
        base.measured,
        after.measured,
        board.questions(),
        others=tuple(other.measured for other in results.values()),
        cases=lambda: cases(board, base, after, thumbnail),
    )


def cases(board: ImageBoard, base: Results, candidate: Results, thumbnail: Thumbnail) -> tuple[Case, ...]:
    """Gains and losses as grids: the query, what came first before, what comes first now."""
    before, after = base.scores[board.metric], candidate.scores[board.metric]
    moved = np.nan_to_num(candidate.scores["map"] - base.scores["map"])
    change = np.nan_to_num(after - before)
    result = []
    for query in extremes(np.where(change != 0, change + _TIE * moved, 0)):
        place = int(board.queries[query])
        caption, uri = thumbnail(place)
        variant = board.variants[place] if board.variants else ""
        result.append(
            Case(
                query=f"{caption} ({variant})" if variant else caption,
                base=float(before[query]),
                candidate=float(after[query]),
                before=_hits(board, base, query, thumbnail),
                after=_hits(board, candidate, query, thumbnail),
                picture=uri,
            )
        )
    return tuple(result)


def _hits(board: ImageBoard, results: Results, query: int, thumbnail: Thumbnail) -> tuple[Hit, ...]:
    group = board.groups[board.queries[query]]
    hits = []
    for place in board.ranking(results.vectors, query, SHOWN, neighbours=results.neighbours).tolist():
        caption, uri = thumbnail(place)
        hits.append(Hit(caption, "", bool(board.groups[place] == group >= 0), uri))
    return tuple(hits)
