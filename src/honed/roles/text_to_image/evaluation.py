"""Baseline and candidate on the held-out questions: as search ships, by titles, and if search knew less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from honed.evaluate import wording
from honed.evaluate.comparison import Measured, Questions, SliceResult, Trial, compare
from honed.evaluate.image_board import IMAGE_METRICS, TextBoard
from honed.evaluate.report import Case, Hit, extremes
from honed.evaluate.thumbnails import Thumbnail, thumbnails
from honed.roles.text_to_image.asking import LESS, Asked
from honed.roles.text_to_image.systems import tuned_system
from honed.tuning.candidate import Candidate
from honed.tuning.role import Evaluation

if TYPE_CHECKING:  # torch is loaded by tuning alone
    from honed.roles.text_to_image.models import Models

SHOWN = 6
"""Pictures of a ranking that the report shows."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Baseline and candidate on one board of questions: the score of every picture [q, n], -inf for what was not found."""

    board: TextBoard
    before: NDArray[np.float32]
    after: NDArray[np.float32]
    names: tuple[str, str]

    @cached_property
    def base(self) -> Measured:
        """The baseline's name and scores."""
        return Measured(self.names[0], self.board.scores(self.before))

    @cached_property
    def candidate(self) -> Measured:
        """The candidate's name and scores."""
        return Measured(self.names[1], self.board.scores(self.after))

    def slice(self, name: str, metric: str, trial: Trial) -> SliceResult:
        """These questions as a slice of others."""
        questions = Questions(self.board.ids, self.board.clusters)
        return SliceResult(name, compare(self.base, self.candidate, questions, metric=metric, trial=trial).primary)

    def fresh(self, trial: Trial) -> Pair:
        """Only the questions that nobody has looked at, where only these decide."""
        if not trial.fresh_only or trial.fresh is None:
            return self
        return replace(self, board=replace(self.board, relevant=self.board.relevant & trial.fresh[:, None]))


def evaluated(models: Models, candidate: Candidate) -> Evaluation:
    """Both on test; for the reader what dev did not choose as baseline."""
    snapshot = models.snapshot
    asking = snapshot.asking
    systems = {system.name: system for system in snapshot.systems}
    base = systems.pop(snapshot.baseline.name)
    tuned = tuned_system(snapshot.release.retrieval, candidate)

    def both(asked: Asked) -> Pair:
        return Pair(asked.board, base.scores(asked), tuned.scores(asked), (base.name, tuned.name))

    questions = asking.questions("test", snapshot.queries["test"])
    asked = asking.under(questions)
    shipped = both(asked)
    titles = both(asking.under(asking.titles("test")))
    less = {knowledge: both(asking.under(questions, knowledge)) for knowledge in LESS}
    thumbnail = thumbnails(models.session.workspace, asking.gallery.records)
    return Evaluation(
        shipped.base,
        shipped.candidate,
        shipped.board.questions(),
        others=tuple(Measured(system.name, asked.board.scores(system.scores(asked))) for system in systems.values()),
        slices=lambda trial: slices(titles, less, trial),
        cases=lambda: cases(shipped, thumbnail),
        extras={"if_search_knew": {knowledge: _means(pair) for knowledge, pair in less.items()}},
    )


def slices(titles: Pair, less: Mapping[str, Pair], trial: Trial) -> tuple[SliceResult, ...]:
    """Other questions, and what search would know otherwise: what is gained as it ships must not be lost there.

    Args:
        titles: Questions that are titles: another set, whose looks nobody counts. Recall@1 tells whether they are still found.
        less: The same questions where search knows less.
        trial: How often they were looked at.
    """
    uncounted, first = replace(trial, fresh=None, fresh_only=False), IMAGE_METRICS[0]
    result = [
        pair.fresh(trial).slice(f"if search knew {knowledge}", pair.board.metric, trial)
        for knowledge, pair in less.items()
    ]
    if len(titles.board.ids):
        result.append(titles.slice(f"questions that are a title ({wording.metric_name(first)})", first, uncounted))
    return tuple(result)


def cases(pair: Pair, thumbnail: Thumbnail) -> tuple[Case, ...]:
    """The largest gains and losses as grids: the question, the pictures found before and now."""
    metric = pair.board.metric
    before, after = pair.base.scores[metric], pair.candidate.scores[metric]
    return tuple(
        Case(
            query=pair.board.ids[query],
            base=float(before[query]),
            candidate=float(after[query]),
            before=_hits(pair.board, pair.before, query, thumbnail),
            after=_hits(pair.board, pair.after, query, thumbnail),
        )
        for query in extremes(after - before)
    )


def _hits(board: TextBoard, scores: NDArray[np.float32], query: int, thumbnail: Thumbnail) -> tuple[Hit, ...]:
    places = np.argsort(-scores[query], kind="stable")[:SHOWN].tolist()
    hits = []
    for place in places:
        if np.isfinite(scores[query, place]):
            caption, uri = thumbnail(place)
            hits.append(Hit(caption, "", bool(board.relevant[query, place]), uri))
    return tuple(hits)


def _means(pair: Pair) -> dict[str, Any]:
    return {
        system.name: {metric: round(float(np.nanmean(scores)), 4) for metric, scores in system.scores.items()}
        for system in (pair.base, pair.candidate)
    }
