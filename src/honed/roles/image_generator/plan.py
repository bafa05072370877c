"""What fits the budget: the machine's speed first, then steps of training and pictures to draw."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from honed.errors import UsageError
from honed.models.painter.sampler import Sampling
from honed.roles.image_generator.held_out import KINDS
from honed.roles.image_generator.perceptual import PerceptualFeatures
from honed.roles.image_generator.speed import PaintSpeed, measure_speed
from honed.roles.image_generator.train import PainterTraining
from honed.tuning.plan import RESERVE, SLACK, Clock, Plan, Stage

PAINTER = "painter"
"""The one stage; also the name of its folder, and of the file in a release."""

SAMPLINGS = Sampling(), Sampling(references=1.5), Sampling(words=1.5), Sampling(steps=4)
"""Ways to draw that dev picks from; the first wins a tie."""

PICKED = 64
"""Targets of dev that pick one."""

LEAST_TRAINING = 10.0
"""Seconds below which no training is begun."""

_PROBED = 32
_LOOKS = 3
"""Times that a target goes through the perception besides its drawings: itself, and its references, which others share."""


def plan_painting(
    clock: Clock, training: PainterTraining, perception: PerceptualFeatures, sizes: tuple[int, int]
) -> Plan:
    """Measure the machine and fit training into the budget.

    Args:
        clock: Of the run.
        training: What is to be learnt.
        perception: What measures the drawings.
        sizes: Pictures of dev and of test that are drawn.

    Raises:
        UsageError: The budget does not leave time to train and to judge.
    """
    speed = measure_speed(training)
    looks = _looks(perception, training)
    dev, test = sizes
    dev_seconds, test_seconds = _judging(dev, 1, speed, looks), _judging(test, len(KINDS), speed, looks)
    dev_seconds += _judging(min(dev, PICKED), 2 * len(SAMPLINGS), speed, looks)  # guidance asks the network twice
    kept = max(RESERVE * clock.budget, test_seconds)
    spent = clock.spent
    seconds = clock.budget - spent - kept - dev_seconds
    if seconds < LEAST_TRAINING:
        needed = spent + kept + dev_seconds + LEAST_TRAINING
        raise UsageError(
            f"A budget of {clock.budget:.0f} s leaves no time to train: {dev_seconds + kept:.0f} s go into drawing and judging.",
            hint=f"honed tune --role image-generator --budget {max(2 * needed, 600) / 60:.0f}m",
        )
    steps = speed.affordable(seconds / SLACK)  # so that steps end the training, and a repeated run takes the same
    options = {
        "steps": min(steps, training.recipe.steps or steps),
        "bf16": speed.bf16,
        "dev": dev,
        "test": test,
    }
    return painting_plan(clock, seconds, options, test_seconds, speed.steps * training.recipe.batch)


def painting_plan(clock: Clock, seconds: float, options: dict[str, Any], judging: float, rate: float) -> Plan:
    """The plan of one stage.

    Args:
        clock: Of the run.
        seconds: For training.
        options: Of the stage: "steps" of training, "bf16" whether it multiplies in 16 bits, "dev" and "test" pictures drawn.
        judging: Seconds for drawing and measuring test.
        rate: Pictures a second in training.
    """
    kind = "bf16" if options["bf16"] else "fp32"
    kept = f"{options['dev']} pictures of dev and {options['test']} of test are drawn, measured and reported"
    return Plan(
        (Stage(PAINTER, seconds, f"{options['steps']:,} steps", options),),
        f"{rate:.0f} pictures/s in training ({kind})",
        clock.budget,
        Stage("evaluation", max(RESERVE * clock.budget, judging), f"kept: {kept}"),
    )


def _judging(count: int, kinds: int, speed: PaintSpeed, looks: float) -> float:
    drawing = kinds * count * Sampling().steps / max(speed.calls, 1e-9)
    return SLACK * (drawing + (_LOOKS + kinds) * count / max(looks, 1e-9))


def _looks(perception: PerceptualFeatures, training: PainterTraining) -> float:
    """Pictures a second through the perception."""
    sample = training.pictures.pixels[np.resize(training.rows, _PROBED)]
    perception(sample[:4])
    started = time.monotonic()
    perception(sample)
    return _PROBED / max(time.monotonic() - started, 1e-9)
