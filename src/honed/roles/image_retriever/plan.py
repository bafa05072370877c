"""What fits the budget of a turn on pictures: a probe of this machine, then which rungs run, for how long, and why not others."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from honed.models.vision.folder import write_encoder_folder
from honed.roles.image_retriever.augment import Augmentation, augmented
from honed.roles.image_retriever.bench import ImageBench, ImageRecipe, Trainee
from honed.roles.image_retriever.network import LearningEncoder, as_floats
from honed.roles.retriever.plan import RESERVE, SLACK

RUNGS = ("whitening", "discriminant", "head", "blocks", "expansion")
"""In the order of cost, but for the expansion, which belongs to whatever won and goes last."""

PRODUCTS = 5e10
"""Multiplications a second that the closed forms are planned at. Measured on one core with 2,200 pictures of 3,056 numbers: a
decomposition 5 s of CPU, the discriminant under four ridges 3 s."""

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


@dataclass(frozen=True, slots=True)
class ImageSize:
    """The data: train pictures, those of them that share their group, dev queries, all pictures, width of a descriptor."""

    train: int
    grouped: int
    dev: int
    total: int
    width: int

    @classmethod
    def of(cls, bench: ImageBench) -> ImageSize:
        """Of a bench."""
        _, place, counts = np.unique(bench.groups, return_inverse=True, return_counts=True)
        grouped = int(((bench.groups >= 0) & (counts[place] > 1)).sum())
        return cls(len(bench.rows), grouped, len(bench.board.queries), len(bench.gallery), bench.gallery.shape[1])


@dataclass(frozen=True, slots=True)
class ImageStep:
    """One rung of the plan. `seconds` is its limit; 0 means that it is skipped, and `why` says so."""

    rung: str
    seconds: float
    why: str
    epochs: int = 0
    train_seconds: float = 0.0
    shares: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """The rungs in order, and what the plan rests on."""

    steps: tuple[ImageStep, ...]
    speed: ImageSpeed
    budget: float

    def step(self, rung: str) -> ImageStep:
        """The step of a rung."""
        return next(step for step in self.steps if step.rung == rung)


def plan_images(budget: float, spent: float, speed: ImageSpeed, size: ImageSize, recipe: ImageRecipe) -> ImagePlan:
    """Fill three quarters of the budget with rungs, cheapest first.

    Args:
        budget: Seconds for the whole command.
        spent: Seconds that are gone already (encoding, baseline, measuring).
        size: Of the data.
        recipe: Wanted epochs and shares; the plan may give fewer.
    """
    left = budget * (1.0 - RESERVE) - spent
    white, closed = _whitening_seconds(size, recipe), _discriminant_seconds(size, recipe)
    steps = [ImageStep("whitening", max(1.0, white), "always")]
    left -= white
    if size.grouped == 0:
        nothing = "no two train pictures belong to one group"
        steps += [ImageStep(rung, 0.0, nothing) for rung in ("discriminant", "head", "blocks")]
    else:
        steps.append(_if_fits("discriminant", closed, left))
        left -= steps[-1].seconds
        head = 2 * SLACK * recipe.head_epochs * size.grouped * size.width * max(recipe.widths) * 6 / PRODUCTS
        steps.append(_if_fits("head", max(1.0, head), left))
        left -= steps[-1].seconds
        steps.append(_blocks(left, closed + head, speed, size, recipe))
    steps.append(ImageStep("expansion", max(1.0, 0.02 * budget), "on what won"))
    return ImagePlan(tuple(steps), speed, budget)


def _whitening_seconds(size: ImageSize, recipe: ImageRecipe) -> float:
    """The scatter and one decomposition of it."""
    return SLACK * (2 * size.train * size.width**2 + 14 * size.width**3 + _judging(size, recipe)) / PRODUCTS


def _discriminant_seconds(size: ImageSize, recipe: ImageRecipe) -> float:
    """The scatter, then for each ridge a triangle and what it costs to solve with it."""
    solve = len(recipe.ridges) * 3 * size.width**3
    return SLACK * (2 * size.train * size.width**2 + solve + _judging(size, recipe)) / PRODUCTS


def _judging(size: ImageSize, recipe: ImageRecipe) -> float:
    """All pictures, and dev among them, under every ridge and width."""
    return 4.0 * len(recipe.ridges) * sum(recipe.widths) * size.total * (size.width + size.dev)


def _if_fits(rung: str, seconds: float, left: float) -> ImageStep:
    if seconds <= left:
        return ImageStep(rung, max(1.0, seconds), f"about {max(1.0, seconds):.0f} s")
    return ImageStep(rung, 0.0, f"takes {seconds:.0f} s, {max(0.0, left):.0f} s are left")


def _blocks(left: float, heads: float, speed: ImageSpeed, size: ImageSize, recipe: ImageRecipe) -> ImageStep:
    """Training needs its own time. Then all pictures are encoded anew, with new heads, for each share."""
    if speed.train <= 0:
        return ImageStep("blocks", 0.0, "this image encoder cannot be trained here")
    if size.grouped < LEAST_PICTURES:
        return ImageStep("blocks", 0.0, f"{size.grouped} pictures in groups are too few")
    epoch = SLACK * size.grouped / speed.train
    share = SLACK * size.total / speed.encode + heads
    room = left - share
    if room < epoch:
        need = epoch + share
        return ImageStep("blocks", 0.0, f"needs {need:.0f} s, {max(0.0, left):.0f} s are left")
    epochs = min(recipe.block_epochs, int(room / epoch))
    shares = recipe.shares if room - epochs * epoch >= (len(recipe.shares) - 1) * share else (1.0,)
    train_seconds = epochs * epoch
    why = f"{epochs} epochs {train_seconds:.0f} s, encoding {len(shares) * share:.0f} s"
    return ImageStep("blocks", train_seconds + len(shares) * share, why, epochs, train_seconds, shares)


def measure_images(bench: ImageBench) -> ImageSpeed:
    """Train and encode a few of the user's own pictures; zeros where the encoder cannot learn."""
    trainee = bench.trainee
    if trainee is None:
        return ImageSpeed(0.0, 0.0, False)
    torch.set_num_threads(bench.recipe.threads)
    sample = np.ascontiguousarray(trainee.train[:: max(1, len(trainee.train) // _PROBED)][:_PROBED])
    rates = {bf16: _training_rate(trainee, sample, bench.recipe, bf16) for bf16 in (False, True)}
    bf16 = rates[True] > rates[False]
    with TemporaryDirectory(dir=bench.folder) as folder:
        encoder = LearningEncoder(trainee.tower, first_block=bench.recipe.first_block)
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


def images_table(plan: ImagePlan) -> list[str]:
    """The plan as lines for a terminal."""
    speed = plan.speed
    kind = "bf16 and fp32" if speed.bf16 else "fp32"
    lines = [
        f"plan for {plan.budget:.0f} s: {speed.train:.0f} pictures/s training ({kind}), {speed.encode:.0f} encoding"
    ]
    for step in plan.steps:
        state = f"{step.seconds:4.0f} s" if step.seconds else "  skip"
        lines.append(f"  {step.rung:<12} {state}  {step.why}")
    lines.append(f"  {'evaluation':<12} {RESERVE * plan.budget:4.0f} s  kept for the test, the release and the report")
    return lines


def shrunk(step: ImageStep, left: float) -> ImageStep:
    """The step in the time that is really left: training gives way, encoding cannot."""
    late = step.seconds - left
    return step if late <= 0 else replace(step, seconds=left, train_seconds=step.train_seconds - late)
