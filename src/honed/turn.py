"""The nouns of a turn: where it starts, what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from honed.dataset.task import Task
from honed.evaluate.board import Board
from honed.evaluate.comparison import Comparison
from honed.evaluate.exam import Exam
from honed.evaluate.gate import GateSettings, Verdict
from honed.index.generation import Generation
from honed.protocols import Embedder
from honed.runs import Run
from honed.types import Split

if TYPE_CHECKING:  # torch is loaded by `tune` alone
    from honed.tune.candidate import Candidate

Tell = Callable[[str], None]
"""Told one line of progress."""


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
