"""What every stage works with: the data, the base system's vectors, dev as a scoreboard, a folder, a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from honed.answer.settings import RetrievalSettings
from honed.dataset.examples import Examples
from honed.dataset.task import Task
from honed.evaluate.board import Board, Choice
from honed.evaluate.probe import general_score
from honed.index.dense import DenseIndex
from honed.roles.retriever.recipe import Recipe
from honed.roles.retriever.weighing import weighed
from honed.tuning.role import Progress
from honed.types import Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Guard:
    """General ability while variants are compared on dev: the gate would refuse what forgets more than `allowed`.

    Attributes:
        queries: [g, d] base vectors of the probe's questions.
        passages: [g, d] base vectors of its passages.
        allowed: Largest drop of the probe; three quarters of what the gate allows, since the gate comes last.
    """

    queries: Vectors
    passages: Vectors
    allowed: float

    @property
    def before(self) -> float:
        """The probe's value before tuning."""
        return general_score(self.queries, self.passages)

    def drop(self, queries: Vectors, passages: Vectors | None = None) -> float:
        """How far the probe falls with these vectors of its questions (and of its passages, where they changed)."""
        return self.before - general_score(queries, self.passages if passages is None else passages)


def best_allowed(variants: Sequence[Variant], allowed: float) -> Variant:
    """The variant with the best dev mean among those that forget little; where none does, the one that forgets least."""
    kept = [variant for variant in variants if variant.drop <= allowed]
    return (
        max(kept, key=lambda variant: variant.choice.mean) if kept else min(variants, key=lambda variant: variant.drop)
    )


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """An interpolation with the base, as dev and the general probe see it."""

    share: float
    choice: Choice
    drop: float


@dataclass(frozen=True, slots=True, eq=False)
class TrainingContext:
    """What the stages of one run learn from and are picked by.

    Attributes:
        model: Folder of the base model.
        dense: The base space's passages, in the order of `task.rowids`.
        train_queries: [n, d] base vectors of the questions in `examples`.
        dev_queries: [m, d] base vectors of the dev questions.
        fair: Questions that nothing was fitted on: dev, and train while no model has learned from it.
        fair_queries: [f, d] base vectors of these.
        retrieval: The settings of the winner so far; a stage that changes a model weighs both sides anew.
        general: The general probe, which keeps variants that forgot too much out of the race.
        folder: Where candidates and checkpoints are written.
    """

    task: Task
    examples: Examples
    dev: Board
    dense: DenseIndex
    train_queries: Vectors
    dev_queries: Vectors
    fair: Board
    fair_queries: Vectors
    retrieval: RetrievalSettings
    general: Guard
    model: Path
    folder: Path
    recipe: Recipe
    tell: Progress

    def weighed(self, queries: Vectors, dense: DenseIndex) -> Choice:
        """The settings so far with the weight of the vector side that suits other vectors of the dev questions."""
        return weighed(self.dev, self.dev.pools(queries, dense, self.retrieval.lexical), self.retrieval)
