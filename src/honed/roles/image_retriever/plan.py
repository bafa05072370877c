"""What fits the budget: a probe of this machine, then which stages run, for how long, and why not others."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from honed.models.vision.folder import write_encoder_folder
from honed.roles.image_retriever.augment import Augmentation, augmented
from honed.roles.image_retriever.network import LearningEncoder, as_floats
from honed.roles.image_retriever.recipe import ImageRecipe
from honed.roles.image_retriever.training import Trainee, TrainingContext
from honed.tuning.plan import SLACK, Clock, Plan, Stage, if_fits

LEARNED = ("discriminant", "head", "blocks")
"""Stages that need groups. The whitening goes before them; the expansion, which belongs to the best so far, goes last."""

PRODUCTS = 5e10
"""Multiplications a second that the closed forms are planned at."""

LEAST_PICTURES = 32
"""Pictures in groups below which the encoder is not trained: there would be one batch."""

_PROBED = 32


@dataclass(frozen=True, slots=True)
class ImageSpeed:
    """This machine, measured.

    Attributes:
        train: Pictures a second through a training step of the last blocks.
        encode: Pictures a second through the runtime that serves a tuned encoder.
        bf16: Whether the frozen blocks are faster in bfloat16.
    """

    train: float
    encode: float
    bf16: bool

    def __str__(self) -> str:
        kind = "bf16 and fp32" if self.bf16 else "fp32"
        return f"{self.train:.0f} pictures/s training ({kind}), {self.encode:.0f} encoding"


@dataclass(frozen=True, slots=True)
class ImageSize:
    """The data: train pictures, those of them that share their group, dev queries, all pictures, width of a descriptor."""

    train: int
    grouped: int
    dev: int
    total: int
    width: int

    @classmethod
    def of(cls, context: TrainingContext) -> ImageSize:
        """Of a training context."""
        _, place, counts = np.unique(context.groups, return_inverse=True, return_counts=True)
        grouped = int(((context.groups >= 0) & (counts[place] > 1)).sum())
        return cls(
            len(context.rows), grouped, len(context.board.queries), len(context.gallery), context.gallery.shape[1]
        )


def make_plan(clock: Clock, speed: ImageSpeed, size: ImageSize, recipe: ImageRecipe) -> Plan:
    """Fill three quarters of the budget with stages, cheapest first.

    Args:
        clock: Of the run.
        speed: Of the machine.
        size: Of the data.
        recipe: Wanted epochs and shares; the plan may give fewer.
    """
    left = clock.left
    white, closed = _whitening_seconds(size, recipe), _discriminant_seconds(size, recipe)
    stages = [Stage("whitening", max(1.0, white), "always")]
    left -= white
    if size.grouped == 0:
        nothing = "no two train pictures belong to one group"
        stages += [Stage(name, 0.0, nothing) for name in LEARNED]
    else:
        stages.append(if_fits("discriminant", closed, left, least=1.0))
        left -= stages[-1].seconds
        head = 2 * SLACK * recipe.head_epochs * size.grouped * size.width * max(recipe.widths) * 6 / PRODUCTS
        stages.append(if_fits("head", max(1.0, head), left))
        left -= stages[-1].seconds
        stages.append(_blocks(left, closed + head, speed, size, recipe))
    stages.append(Stage("expansion", max(1.0, 0.02 * clock.budget), "of the best so far"))
    return Plan.of(tuple(stages), str(speed), clock.budget)


def _whitening_seconds(size: ImageSize, recipe: ImageRecipe) -> float:
    """The scatter and one decomposition of it."""
    return SLACK * (2 * size.train * size.width**2 + 28 * size.width**3 + _judging(size, recipe)) / PRODUCTS


def _discriminant_seconds(size: ImageSize, recipe: ImageRecipe) -> float:
    """The scatter, then for each ridge a triangle and what it costs to solve with it."""
    solve = len(recipe.ridges) * 3 * size.width**3
    return SLACK * (2 * size.train * size.width**2 + solve + _judging(size, recipe)) / PRODUCTS


def _judging(size: ImageSize, recipe: ImageRecipe) -> float:
    """All pictures, and dev among them, under every ridge and width."""
    return 4.0 * len(recipe.ridges) * sum(recipe.widths) * size.total * (size.width + size.dev)


def _blocks(left: float, heads: float, speed: ImageSpeed, size: ImageSize, recipe: ImageRecipe) -> Stage:
    """Training needs its own time. Then all pictures are encoded anew, with new heads, for each share."""
    if speed.train <= 0:
        return Stage("blocks", 0.0, "this image encoder cannot be trained here")
    if size.grouped < LEAST_PICTURES:
        return Stage("blocks", 0.0, f"{size.grouped} pictures in groups are too few")
    epoch = SLACK * size.grouped / speed.train
    share = SLACK * size.total / speed.encode + heads
    room = left - share
    if room < epoch:
        need = epoch + share
        return Stage("blocks", 0.0, f"needs {need:.0f} s, {max(0.0, left):.0f} s are left")
    epochs = min(recipe.block_epochs, int(room / epoch))
    shares = recipe.shares if room - epochs * epoch >= (len(recipe.shares) - 1) * share else (1.0,)
    train_seconds = epochs * epoch
    why = f"{epochs} epochs {train_seconds:.0f} s, encoding {len(shares) * share:.0f} s"
    options = {"epochs": epochs, "train_seconds": train_seconds, "shares": list(shares), "bf16": speed.bf16}
    return Stage("blocks", train_seconds + len(shares) * share, why, options)


def measure_speed(context: TrainingContext) -> ImageSpeed:
    """Train and encode a few of the user's own pictures; zeros where the encoder cannot learn."""
    trainee = context.trainee
    if trainee is None:
        return ImageSpeed(0.0, 0.0, False)
    torch.set_num_threads(context.recipe.threads)
    sample = np.ascontiguousarray(trainee.train[:: max(1, len(trainee.train) // _PROBED)][:_PROBED])
    rates = {bf16: _training_rate(trainee, sample, context.recipe, bf16) for bf16 in (False, True)}
    bf16 = rates[True] > rates[False]
    with TemporaryDirectory(dir=context.folder) as folder:
        encoder = LearningEncoder(trainee.tower, first_block=context.recipe.first_block)
        path = write_encoder_folder(Path(folder) / "model", encoder.weights(), encoder.config)
        trainee.encode(path, sample[:4])
        started = time.monotonic()
        trainee.encode(path, sample)
        encode = len(sample) / max(time.monotonic() - started, 1e-6)
    return ImageSpeed(rates[bf16], encode, bf16)


def _training_rate(trainee: Trainee, sample: np.ndarray, recipe: ImageRecipe, bf16: bool) -> float:
    """Pictures a second through change, forward and backward; the best of three, as the first one warms up."""
    encoder = LearningEncoder(trainee.tower, first_block=recipe.first_block, bf16=bf16)
    best = 0.0
    for _ in range(3):
        started = time.monotonic()
        pictures = augmented(as_floats(sample), Augmentation(), torch.Generator().manual_seed(0))
        encoder(pictures).square().mean().backward()  # type: ignore[no-untyped-call]
        best = max(best, len(sample) / max(time.monotonic() - started, 1e-6))
    return best
