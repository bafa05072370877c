"""What fits into the budget: the machine's speed first, then steps of training and pictures to draw."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from honed.errors import UsageError
from honed.models.painter.sampler import Sampling
from honed.roles.image_generator.perception import Perception
from honed.roles.image_generator.speed import PaintSpeed, measure_speed
from honed.roles.image_generator.train import Course
from honed.roles.image_generator.trial import KINDS
from honed.roles.retriever.plan import RESERVE

SAMPLINGS = Sampling(), Sampling(references=1.5), Sampling(words=1.5), Sampling(steps=4)
"""Ways to draw that dev picks from; the first wins a tie."""

PICKED = 64
"""Targets of dev that pick one."""

MOST_DEV, MOST_TEST = 200, 1000
"""Targets of a split that are drawn, by lot, where there are more."""

LEAST_TRAINING = 10.0
"""Seconds below which no training is begun."""

SLACK = 1.2
"""Estimates are multiplied by this: other programs run too."""

_PROBED = 32
_LOOKS = 3
"""Times that a target goes through the perception besides its drawings: itself, and its references, which others share."""


@dataclass(frozen=True, slots=True)
class PaintPlan:
    """How the budget is spent.

    Attributes:
        budget: Seconds in all.
        steps: Of training.
        seconds: For training; the learning rate falls with the clock if the machine turns out slower.
        bf16: Whether training multiplies in 16 bits.
        dev: Targets of dev that are drawn.
        test: The same of test.
        judging: Seconds for drawing and measuring dev and test.
        pictures: Pictures a second in training.
    """

    budget: float
    steps: int
    seconds: float
    bf16: bool
    dev: int
    test: int
    judging: float
    pictures: float


def plan_painting(
    budget: float, spent: float, course: Course, perception: Perception, sizes: tuple[int, int]
) -> PaintPlan:
    """Measure the machine and fit training into the budget.

    Args:
        budget: Seconds for everything.
        spent: Seconds of it that are gone.
        course: What is to be learnt.
        perception: What measures the drawings.
        sizes: Pictures of dev and of test.

    Raises:
        UsageError: The budget does not leave time to train and to judge.
    """
    speed = measure_speed(course)
    looks = _looks(perception, course)
    dev, test = min(sizes[0], MOST_DEV), min(sizes[1], MOST_TEST)
    dev_seconds, test_seconds = _judging(dev, 1, speed, looks), _judging(test, len(KINDS), speed, looks)
    dev_seconds += _judging(min(dev, PICKED), 2 * len(SAMPLINGS), speed, looks)  # guidance asks the network twice
    reserve = max(RESERVE * budget, test_seconds)
    seconds = budget - spent - reserve - dev_seconds
    if seconds < LEAST_TRAINING:
        needed = spent + reserve + dev_seconds + LEAST_TRAINING
        raise UsageError(
            f"A budget of {budget:.0f} s leaves no time to train: {dev_seconds + reserve:.0f} s go into drawing and judging.",
            hint=f"honed tune --role image-generator --budget {max(2 * needed, 600) / 60:.0f}m",
        )
    steps = speed.affordable(seconds / SLACK)  # so that steps end the training, and a repeated run takes the same
    return PaintPlan(
        budget,
        min(steps, course.recipe.steps or steps),
        seconds,
        speed.bf16,
        dev,
        test,
        dev_seconds + test_seconds,
        speed.steps * course.recipe.batch,
    )


def painting_table(plan: PaintPlan) -> list[str]:
    """The plan as lines for a terminal."""
    kind = "bf16" if plan.bf16 else "fp32"
    return [
        f"plan for {plan.budget:.0f} s: {plan.pictures:.0f} pictures/s in training ({kind})",
        f"  {'painter':<12} {plan.seconds:4.0f} s  {plan.steps:,} steps",
        f"  {'evaluation':<12} {max(RESERVE * plan.budget, plan.judging):4.0f} s  "
        f"kept: {plan.dev} pictures of dev and {plan.test} of test are drawn, measured and reported",
    ]


def chosen_targets(
    rows: np.ndarray[Any, np.dtype[np.int64]], count: int, seed: int
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """So many of the rows, by lot, in order."""
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng([seed, len(rows)]).choice(rows, count, replace=False))


def _judging(count: int, kinds: int, speed: PaintSpeed, looks: float) -> float:
    drawing = kinds * count * Sampling().steps / max(speed.calls, 1e-9)
    return SLACK * (drawing + (_LOOKS + kinds) * count / max(looks, 1e-9))


def _looks(perception: Perception, course: Course) -> float:
    """Pictures a second through the perception."""
    sample = course.pictures.pixels[np.resize(course.rows, _PROBED)]
    perception(sample[:4])
    started = time.monotonic()
    perception(sample)
    return _PROBED / max(time.monotonic() - started, 1e-9)
