"""The nouns of a turn: where it starts, what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from honed.answer.fusion import FusionSettings
from honed.answer.settings import RetrievalSettings
from honed.dataset.images import Pictures, TextQueries
from honed.dataset.task import Task
from honed.evaluate.board import Board
from honed.evaluate.captions import CaptionScores
from honed.evaluate.comparison import Comparison
from honed.evaluate.exam import Exam
from honed.evaluate.gate import GateSettings, Verdict
from honed.evaluate.image_board import ImageBoard, TextBoard
from honed.evaluate.image_exam import ImageExam, TextExam
from honed.evaluate.untuned import questions
from honed.index.generation import Generation
from honed.models.vision.head import ImageHead
from honed.protocols import Embedder, ImageEncoder
from honed.runs import Run
from honed.types import Split, Vectors

if TYPE_CHECKING:  # torch is loaded by `tune` alone
    from honed.tune.candidate import Candidate
    from honed.tune.images.candidate import ImageCandidate
    from honed.tune.images.text import TextCandidate

Tell = Callable[[str], None]
"""Told one line of progress."""


class Tried(Protocol):
    """A candidate as reports show it: name, one line, mean on dev, seconds, details."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def what(self) -> str: ...  # noqa: D102
    @property
    def mean(self) -> float: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102
    @property
    def details(self) -> Mapping[str, Any]: ...  # noqa: D102


class Surveyed(Protocol):
    """Where a turn of any role starts from."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the data."""


GroundT = TypeVar("GroundT", bound=Surveyed)
CandidateT = TypeVar("CandidateT", bound=Tried)
ExamT = TypeVar("ExamT")


@dataclass(frozen=True, slots=True, eq=False)
class Finished(Generic[GroundT, CandidateT, ExamT]):
    """What a finished turn of any role leaves: for the report, for JSON, for the next turn.

    Attributes:
        notes: What its release changes elsewhere, one sentence each.
    """

    run: Run
    ground: GroundT
    candidates: tuple[CandidateT, ...]
    chosen: CandidateT
    exam: ExamT
    comparison: Comparison
    verdict: Verdict
    gate: GateSettings
    release: str
    seconds: float
    budget: float
    notes: tuple[str, ...] = ()


AnyTurn: TypeAlias = "Finished[Any, Any, Any]"
Turn: TypeAlias = "Finished[Ground, Candidate, Exam]"
ImageTurn: TypeAlias = "Finished[ImageGround, ImageCandidate, ImageExam]"
WordsTurn: TypeAlias = "Finished[WordsGround, TextCandidate, TextExam]"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The strongest system that needs no tuning, chosen on dev: what a candidate has to beat."""

    name: str
    retrieval: RetrievalSettings
    dev: dict[str, float]


NO_BASELINE = Baseline("", RetrievalSettings(), {})
"""Before one was chosen."""


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Where a turn starts from: the data, the live system, the baseline.

    `learned` says whether the live models learned from train, whose questions are then no fair ones. `fair_queries` [f, d] are
    the vectors of the fair board's questions; those of dev come first.
    """

    task: Task
    embedder: Embedder
    generation: Generation
    baseline: Baseline
    notes: tuple[str, ...]
    learned: bool = False
    fair_queries: Vectors = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def board(self, split: Split, pool: int) -> Board:
        """A split as a scoreboard over the live index's keyword side."""
        return Board(self.task, self.task.splits[split], self.generation.lexical, pool=pool)

    def fair_board(self, pool: int) -> Board:
        """The questions on which untuned systems are compared, and settings chosen: nothing was fitted on them."""
        asked = self.task.splits["dev"] if self.learned else questions(self.task)
        return Board(self.task, asked, self.generation.lexical, pool=pool)


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """The pictures of one split with their raw descriptors [n, d], in the same order."""

    pictures: Pictures
    descriptors: NDArray[np.float32]

    @property
    def board(self) -> ImageBoard:
        """Each picture asks for the others of its group."""
        return ImageBoard(self.pictures.ids, self.pictures.groups, self.pictures.variants)


@dataclass(frozen=True, slots=True, eq=False)
class ImageGround:
    """Where a turn starts from: the pictures, what sees them now, and how well on dev."""

    galleries: dict[Split, Gallery]
    encoder: ImageEncoder
    head: ImageHead
    neighbours: int
    baseline: str
    dev: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """A way to find pictures by words.

    Attributes:
        captions: How both sides of the search of captions are fused.
        head: With a text matrix; None where captions alone find pictures.
        weight: Of what is seen against captions.
        leads: Captions that lead a question.
    """

    name: str
    captions: FusionSettings
    head: ImageHead | None = None
    weight: float = 0.0
    leads: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """The questions of one split, ready to be measured.

    Attributes:
        board: With captions as the live release searches them.
        captions: What they say, fused in any way.
        questions: [q, t] vectors of the document tower.
        descriptors: [n, d] of the pictures.
    """

    board: TextBoard
    captions: CaptionScores
    questions: Vectors
    descriptors: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class WordsGround:
    """Where a turn on words that look for pictures starts from.

    Attributes:
        retrieval: The live search of captions.
        asked: The dev questions.
        titles: Questions that are titles, of dev.
        sight: The baseline: the strongest on dev of captions alone, and of what is live.
        others: What could have been the baseline; measured on test beside it, to be reported only.
        dev: Mean of the metric that decides, of the baseline and of the others.
    """

    galleries: dict[Split, Gallery]
    queries: dict[Split, TextQueries]
    encoder: ImageEncoder
    head: ImageHead
    embedder: Embedder
    retrieval: RetrievalSettings
    asked: Asked
    titles: Asked
    sight: Sight
    others: tuple[Sight, ...]
    dev: dict[str, float]
    notes: tuple[str, ...] = ()
