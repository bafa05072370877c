"""What every stage works with: descriptors, groups, dev as a scoreboard, a folder, a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from honed.evaluate.image_board import ImageBoard
from honed.index.images import Descriptors
from honed.models.vision.folder import ImageTower
from honed.models.vision.head import ImageHead
from honed.models.vision.prepare import Pixels
from honed.roles.image_retriever.recipe import ImageRecipe
from honed.tuning.candidate import Candidate
from honed.tuning.role import Progress

HEAD, ENCODER = "head", "encoder"
"""Files of a candidate; without an encoder the live one stays."""

Encode = Callable[[Path, Pixels], Descriptors]
"""Descriptors of prepared pictures by the encoder in a folder: through the runtime that will serve it."""


@dataclass(frozen=True, slots=True, eq=False)
class Trainee:
    """The encoder as something that can learn, and the pictures that it learns from.

    Attributes:
        tower: Weights and preparation to start from.
        train: Pixels [n, side, side, 3] of the train pictures, in the order of the context; may be a memory map.
        encode: Descriptors of prepared pictures by the encoder in a folder.
        encode_all: Descriptors of all pictures, in the order of the board, by the encoder in a folder.
    """

    tower: ImageTower
    train: Pixels
    encode: Encode
    encode_all: Callable[[Path], Descriptors]


@dataclass(frozen=True, eq=False)
class TrainingContext:
    """What the stages of one run learn from and are picked by.

    Attributes:
        gallery: [k, d] raw descriptors of all pictures by the live encoder, in the order of the board.
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
    tell: Progress
    parts: Sequence[int] = ()
    trainee: Trainee | None = None

    @cached_property
    def train(self) -> Descriptors:
        """[n, d] raw descriptors of the train pictures by the live encoder."""
        return self.gallery[self.rows]

    def described(self, candidate: Candidate) -> Descriptors:
        """[k, d] raw descriptors of all pictures by a candidate's encoder."""
        if ENCODER not in candidate.files or self.trainee is None:
            return self.gallery
        return self.trainee.encode_all(candidate.files[ENCODER])

    def write_head(self, name: str, head: ImageHead) -> Path:
        """The file of a stage's head."""
        path = self.folder / f"{name}-head.safetensors"
        head.write(path)
        return path


def head_of(candidate: Candidate) -> ImageHead:
    """What descriptors pass through in a candidate.

    Raises:
        IntegrityError: The file is damaged.
    """
    return ImageHead.read(candidate.files[HEAD])


def neighbours_of(candidate: Candidate) -> int:
    """Nearest pictures that a query is expanded with in a candidate."""
    return int(candidate.values.get("neighbours", 0))
