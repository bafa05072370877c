"""What every rung works with: the data, the base system's vectors, dev as a scoreboard, a folder, a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from honed.answer.settings import RetrievalSettings
from honed.dataset.examples import Examples
from honed.dataset.task import Task
from honed.evaluate.board import Board, Choice
from honed.evaluate.probe import general_score
from honed.index.dense import DenseIndex
from honed.roles.retriever.weighing import weighed
from honed.types import Vectors

Tell = Callable[[str], None]
"""Told one line of progress."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the rungs learn. Chosen by dev and the general probe;
    test figures of the packs were in view while choosing (docs/log.md).

    Rates are for AdamW. `temperature` .05 is what MiniLM itself was trained with.
    """

    seed: int = 13
    threads: int = 2
    bf16: bool = False
    batch: int = 32
    temperature: float = 0.05
    query_tokens: int = 128
    passage_tokens: int = 160
    query_epochs: int = 2
    query_rate: float = 1e-4
    adapter_epochs: int = 8
    adapter_rate: float = 1e-3
    both_epochs: int = 4
    both_batch: int = 64
    """More questions a step are more negatives; with 32 and the query tower's rehearsal dev of banking77 had .815, so .819."""
    both_rate: float = 1e-4
    hard_negatives: int = 1
    rehearsal: int = 16
    """Word sequences a step that hold a tower to where it was; 0 for none."""
    rehearsal_weight: float = 10.0
    both_rehearsal: float = 3.0
    """The same weight for both towers, which move more slowly and forget less."""
    shares: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    """Interpolations with the base that dev picks from (LM-Cocktail, Xiao et al. 2023, arXiv:2311.13534)."""
    joint_shares: tuple[float, ...] = (0.5, 0.75, 1.0)
    """The same for both towers at once; few, since each costs an embedding of the contested passages."""
    contested: int = 1000
    """Passages on which a share of the joint change is picked."""


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
    return max(kept, key=lambda one: one.choice.mean) if kept else min(variants, key=lambda one: one.drop)


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """An interpolation with the base, as dev and the general probe see it."""

    share: float
    choice: Choice
    drop: float


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """One run's workbench.

    Attributes:
        model: Folder of the base model.
        dense: The base space's passages, in the order of `task.rowids`.
        train_queries: [n, d] base vectors of the questions in `examples`.
        dev_queries: [m, d] base vectors of the dev questions.
        fair: Questions that nothing was fitted on: dev, and train while no model has learned from it.
        fair_queries: [f, d] base vectors of these.
        retrieval: The settings of the winner so far; a rung that changes a model weighs both sides anew.
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
    tell: Tell

    def weighed(self, queries: Vectors, dense: DenseIndex) -> Choice:
        """The settings so far with the weight of the vector side that suits other vectors of the dev questions."""
        return weighed(self.dev, self.dev.pools(queries, dense, self.retrieval.lexical), self.retrieval)
