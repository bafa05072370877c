"""The sealed test of pictures: base and candidate on the same held-out groups, once, with everything that the verdict needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from honed.evaluate import wording
from honed.evaluate.comparison import Comparison, Measured, Questions, SliceResult, Trial, compare
from honed.evaluate.image_board import IMAGE_METRICS, TEXT_METRIC, ImageBoard, TextBoard, ranked_scores
from honed.evaluate.metrics import Scores
from honed.evaluate.report import Case, Hit
from honed.types import Vectors

SHOWN = 6
"""Pictures that a case shows of each system."""

Picture = Callable[[int], tuple[str, str]]
"""Caption and data URI of the picture at a place of the board."""


@dataclass(frozen=True, slots=True, eq=False)
class ImagePaper:
    """What a system handed in: its vectors [n, m] in the order of the board, and what they score."""

    name: str
    vectors: Vectors
    neighbours: int
    scores: Mapping[str, Scores]


def sit_images(board: ImageBoard, name: str, vectors: Vectors, neighbours: int) -> ImagePaper:
    """Measure a system on every picture of a board."""
    return ImagePaper(name, vectors, neighbours, board.measure(vectors, neighbours=neighbours))


@dataclass(frozen=True, slots=True, eq=False)
class ImageExam:
    """Both papers on one board; `reads` counts how often this test set has been looked at, this time included."""

    board: ImageBoard
    base: ImagePaper
    candidate: ImagePaper
    reads: int

    def compared(self, candidates_tried: int, seed: int) -> Comparison:
        """The comparison picture by picture, with slices by variant and size of group."""
        trial = Trial(candidates_tried, self.reads, seed=seed)
        papers = [(paper.name, paper.scores) for paper in (self.base, self.candidate)]
        return self.board.compared(papers[0], papers[1], trial)

    def cases(self, picture: Picture, *, each: int = 10) -> tuple[Case, ...]:
        """Gains and losses as grids: the query, what came first before, what comes first now.

        Recall at one is nought or one; of the pictures whose nearest changed, those whose average precision moved most.
        """
        metric = IMAGE_METRICS[0]
        before, after = self.base.scores[metric], self.candidate.scores[metric]
        moved = np.nan_to_num(self.candidate.scores["map"] - self.base.scores["map"])
        change = np.nan_to_num(after - before)
        order = np.lexsort((-moved, -change))
        chosen = dict.fromkeys([*order[:each].tolist(), *order[::-1][:each].tolist()])
        return tuple(self._case(at, before, after, picture) for at in chosen if change[at] != 0)

    def _case(self, at: int, before: Scores, after: Scores, picture: Picture) -> Case:
        place = int(self.board.queries[at])
        caption, uri = picture(place)
        variant = self.board.variants[place] if self.board.variants else ""
        return Case(
            query=f"{caption} ({variant})" if variant else caption,
            base=float(before[at]),
            candidate=float(after[at]),
            before=self._hits(self.base, at, picture),
            after=self._hits(self.candidate, at, picture),
            picture=uri,
        )

    def _hits(self, paper: ImagePaper, at: int, picture: Picture) -> tuple[Hit, ...]:
        found = self.board.ranking(paper.vectors, at, SHOWN, neighbours=paper.neighbours)
        return tuple(self._hit(int(place), int(self.board.queries[at]), picture) for place in found)

    def _hit(self, place: int, asking: int, picture: Picture) -> Hit:
        caption, uri = picture(place)
        same = bool(self.board.groups[place] == self.board.groups[asking] >= 0)
        return Hit(caption, "", same, uri)


# -- text to image -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class TextPaper:
    """What a system handed in: its score of every picture for every question [q, n], -inf for not found, and the metrics."""

    name: str
    found: NDArray[np.float32]
    scores: Mapping[str, Scores]


def sit_text(board: TextBoard, name: str, found: NDArray[np.float32]) -> TextPaper:
    """Measure a system on every question of a board."""
    return TextPaper(name, found, ranked_scores(found, board.relevant))


@dataclass(frozen=True, slots=True, eq=False)
class TextExam:
    """Both papers on one board of questions.

    Attributes:
        reads: How often this test set has been looked at, this time included.
        others: Papers of systems that dev did not choose, for the reader; nothing is decided by them.
        titles: The exam whose questions are titles: its recall@1 is a slice, so the gate sees to it that it does not fall.
        knowledge: Exams of the same questions where search knows less (`dataset.image_questions`): their mAP are slices, too.
    """

    board: TextBoard
    base: TextPaper
    candidate: TextPaper
    reads: int
    others: tuple[TextPaper, ...] = ()
    titles: TextExam | None = None
    knowledge: Mapping[str, TextExam] = field(default_factory=dict)

    def compared(self, candidates_tried: int, seed: int) -> Comparison:
        """The comparison question by question; slices are of the questions, titles, and what search would know otherwise."""
        trial = Trial(candidates_tried, self.reads, seed=seed)
        papers = [(paper.name, paper.scores) for paper in (self.base, self.candidate)]
        result = self.board.compared(papers[0], papers[1], trial)
        slices = [exam._slice(f"if search knew {known}", TEXT_METRIC, trial) for known, exam in self.knowledge.items()]
        if self.titles is not None and len(self.titles.board.ids):
            first = IMAGE_METRICS[0]
            slices.append(
                self.titles._slice(f"questions that are a title ({wording.metric_name(first)})", first, trial)
            )
        return replace(result, slices=(*result.slices, *slices))

    def _slice(self, name: str, metric: str, trial: Trial) -> SliceResult:
        """This exam as a slice of another one."""
        before, after = (Measured(paper.name, paper.scores) for paper in (self.base, self.candidate))
        questions = Questions(self.board.ids, self.board.clusters)
        return SliceResult(name, compare(before, after, questions, metric=metric, trial=trial).primary)

    def cases(self, picture: Picture, *, each: int = 10) -> tuple[Case, ...]:
        """The largest gains and losses as grids: the question, the pictures found before and now."""
        before, after = self.base.scores[TEXT_METRIC], self.candidate.scores[TEXT_METRIC]
        change = np.nan_to_num(after - before)
        order = np.argsort(-change, kind="stable")
        chosen = dict.fromkeys([*order[:each].tolist(), *order[::-1][:each].tolist()])
        return tuple(
            Case(
                query=self.board.ids[at],
                base=float(before[at]),
                candidate=float(after[at]),
                before=self._hits(self.base, at, picture),
                after=self._hits(self.candidate, at, picture),
            )
            for at in chosen
            if change[at] != 0
        )

    def _hits(self, paper: TextPaper, at: int, picture: Picture) -> tuple[Hit, ...]:
        order = np.argsort(-paper.found[at], kind="stable")[:SHOWN].tolist()
        found = [place for place in order if np.isfinite(paper.found[at, place])]
        shown = ((*picture(place), bool(self.board.relevant[at, place])) for place in found)
        return tuple(Hit(caption, "", right, uri) for caption, uri, right in shown)
