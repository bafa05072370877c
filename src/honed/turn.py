"""The nouns of a turn: where it starts, what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from honed.dataset.images import Pictures
from honed.dataset.task import Task
from honed.evaluate.board import Board
from honed.evaluate.comparison import Comparison
from honed.evaluate.exam import Exam
from honed.evaluate.gate import GateSettings, Verdict
from honed.evaluate.image_board import ImageBoard
from honed.evaluate.image_exam import ImageExam
from honed.index.generation import Generation
from honed.models.vision.head import ImageHead
from honed.protocols import Embedder, ImageEncoder
from honed.runs import Run
from honed.types import Split

if TYPE_CHECKING:  # torch is loaded by `tune` alone
    from honed.tune.candidate import Candidate
    from honed.tune.images.candidate import ImageCandidate

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


class Finished(Protocol):
    """What a finished turn of any role has: enough to end its run, and to write its JSON and its report."""

    @property
    def run(self) -> Run: ...  # noqa: D102
    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def candidates(self) -> Sequence[Tried]: ...  # noqa: D102
    @property
    def chosen(self) -> Tried: ...  # noqa: D102
    @property
    def comparison(self) -> Comparison: ...  # noqa: D102
    @property
    def verdict(self) -> Verdict: ...  # noqa: D102
    @property
    def gate(self) -> GateSettings: ...  # noqa: D102
    @property
    def release(self) -> str: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102
    @property
    def budget(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Baseline:
    """The strongest system that needs no tuning, chosen on dev: what a candidate has to beat."""

    name: str
    weight: float
    dev: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Where a turn starts from: the data, the live system, the baseline."""

    task: Task
    embedder: Embedder
    generation: Generation
    baseline: Baseline
    notes: tuple[str, ...]

    def board(self, split: Split, pool: int) -> Board:
        """A split as a scoreboard over the live index's keyword side."""
        labelled = self.task.splits[split]
        return Board(self.task, labelled, self.generation.lexical.search_many(labelled.texts, pool), pool=pool)


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """What a finished turn leaves: for the report, for JSON, for the next turn."""

    run: Run
    ground: Ground
    candidates: tuple[Candidate, ...]
    chosen: Candidate
    exam: Exam
    comparison: Comparison
    verdict: Verdict
    gate: GateSettings
    release: str
    seconds: float
    budget: float

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the data."""
        return self.ground.notes


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
class ImageTurn:
    """What a finished turn leaves."""

    run: Run
    ground: ImageGround
    candidates: tuple[ImageCandidate, ...]
    chosen: ImageCandidate
    exam: ImageExam
    comparison: Comparison
    verdict: Verdict
    gate: GateSettings
    release: str
    seconds: float
    budget: float

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the data."""
        return self.ground.notes
