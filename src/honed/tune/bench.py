"""What every rung works with: the data, the base system's vectors, dev as a scoreboard, a folder, a recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from honed.dataset.examples import Examples
from honed.dataset.task import Task
from honed.evaluate.board import Board
from honed.index.dense import DenseIndex
from honed.types import Vectors

Tell = Callable[[str], None]
"""Told one line of progress."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the rungs learn. Chosen on train and dev splits of several domains, never on a test split.

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
    both_epochs: int = 1
    both_rate: float = 5e-5
    hard_negatives: int = 1
    shares: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    """Interpolations with the base that dev picks from (LM-Cocktail, Xiao et al. 2023, arXiv:2311.13534)."""


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """One run's workbench.

    Attributes:
        model: Folder of the base model.
        dense: The base space's passages, in the order of `task.rowids`.
        train_queries: [n, d] base vectors of the questions in `examples`.
        dev_queries: [m, d] base vectors of the dev questions.
        folder: Where candidates and checkpoints are written.
    """

    task: Task
    examples: Examples
    dev: Board
    dense: DenseIndex
    train_queries: Vectors
    dev_queries: Vectors
    model: Path
    folder: Path
    recipe: Recipe
    tell: Tell
