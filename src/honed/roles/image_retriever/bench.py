"""What every rung of image tuning works with: descriptors, groups, dev as a scoreboard, a folder, a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from honed.evaluate.image_board import ImageBoard
from honed.models.vision.folder import ImageTower
from honed.models.vision.prepare import Pixels
from honed.roles.retriever.recipe import Tell

Descriptors = NDArray[np.float32]
"""Raw features of pictures, [n, d], not of unit length."""

Encode = Callable[[Path, Pixels], Descriptors]
"""Descriptors of prepared pictures by the encoder in a folder: through the runtime that will serve it."""


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """How the rungs learn. Chosen by dev and by folds over the train groups of one set of drawings.

    Attributes:
        ridges: Tried by the closed forms: what is added to the variance of every direction, in mean variances.
        widths: Lengths of a vector that are tried.
        neighbours: Tried for the expansion of queries.
        group_pictures: Pictures of a group in a step, at most; a larger group comes several times an epoch.
        batch: Pictures a step.
        temperature: Of the supervised contrastive loss, 0.1 as in its paper.
        first_block: The encoder learns from this block on; what lies before is frozen.
        shares: How much of the encoder's change is kept, tried on dev (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903).
        text_ridge: Of the regression that the text matrix starts from, in mean variances of the texts.
        text_shares: How much of the text matrix's training is kept beyond the regression, tried on dev.
        leads: Captions that lead a question, tried on dev.
        text_weights: Weights of what is seen against captions, tried on dev.
    """

    seed: int = 13
    threads: int = 2
    ridges: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    widths: tuple[int, ...] = (128, 256, 512)
    neighbours: tuple[int, ...] = (1, 2, 3)
    group_pictures: int = 4
    batch: int = 128
    temperature: float = 0.1
    head_epochs: int = 40
    head_rate: float = 5e-4
    block_epochs: int = 4
    block_rate: float = 3e-4
    first_block: int = 8
    shares: tuple[float, ...] = (0.5, 1.0)
    text_ridge: float = 0.1
    text_epochs: int = 15
    text_rate: float = 1e-3
    text_temperature: float = 0.05
    text_noise: float = 0.2
    text_shares: tuple[float, ...] = (0.0, 0.5, 1.0)
    leads: tuple[int, ...] = (0, 1, 3, 5)
    text_weights: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Trainee:
    """The encoder as something that can learn, and the pictures that it learns from.

    Attributes:
        tower: Weights and preparation to start from.
        train: Pixels [n, side, side, 3] of the train pictures, in the order of the bench; may be a memory map.
        encode: Descriptors of prepared pictures by the encoder in a folder.
        encode_all: Descriptors of all pictures, in the order of the board, by the encoder in a folder.
    """

    tower: ImageTower
    train: Pixels
    encode: Encode
    encode_all: Callable[[Path], Descriptors]


@dataclass(frozen=True, eq=False)
class ImageBench:
    """One run's workbench.

    Attributes:
        gallery: [k, d] raw descriptors of all pictures by the base encoder, in the order of the board.
        rows: [n] where the train pictures stand among them.
        groups: [n] label of each train picture's group; -1 for one that belongs to none.
        board: All pictures as a scoreboard; those of dev ask.
        parts: Widths of the encoder's feature maps inside a descriptor; they are brought to one scale before anything is
            fitted. One part if empty.
        folder: Where candidates and checkpoints are written.
        trainee: None where the encoder cannot learn.
    """

    gallery: Descriptors
    rows: NDArray[np.int64]
    groups: NDArray[np.int64]
    board: ImageBoard
    folder: Path
    recipe: ImageRecipe
    tell: Tell
    parts: Sequence[int] = ()
    trainee: Trainee | None = None

    @cached_property
    def train(self) -> Descriptors:
        """[n, d] raw descriptors of the train pictures by the base encoder."""
        return self.gallery[self.rows]
