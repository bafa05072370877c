"""What the gate asks of drawings, on made-up distances: no training, no network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="tuning needs the extra: pip install 'honed[tune]'")

from honed.evaluate.gate import Check, GateSettings
from honed.roles.image_generator.distance import Drawn
from honed.roles.image_generator.evaluation import PaintExam
from honed.roles.image_generator.pictures import Pictures
from honed.roles.image_generator.trial import RANDOM, RETRIEVED, Exhibition, Targets

COUNT = 60
RNG = np.random.default_rng(0)


def drawn(name: str, distance: float, pixels: float) -> Drawn:
    noise = RNG.normal(0, 0.01, COUNT)
    return Drawn(name, distance + noise, pixels + noise, np.full((COUNT, 2), 0.5), 0.1)


def exam(pixels: float) -> PaintExam:
    """A painter that a network likes better with retrieved references, and that is so far from the truth in pixels."""
    every = np.arange(COUNT)
    pictures = Pictures(
        np.zeros((COUNT, 4, 4, 3), np.uint8), np.zeros((COUNT, 2), np.float32), np.zeros(COUNT, np.int64), every,
        np.full((COUNT, 2), -1),
    )  # fmt: skip
    shown = {RETRIEVED: drawn(RETRIEVED, 0.3, pixels), RANDOM: drawn(RANDOM, 0.6, 0.2)}
    targets = Targets(pictures, every, every, 0.1)
    return PaintExam(targets, None, Exhibition(shown, {}, 0.0, 0.1), [str(at) for at in every], (), 1)


def check(of: PaintExam) -> Check:
    return next(asked for asked in of.checks(GateSettings(), seed=1) if "network" in asked.name)


def test_what_pleases_a_network_and_is_further_from_the_truth_in_pixels_is_refused() -> None:
    assert exam(0.1).compared(1, seed=1).primary.delta > 0.2
    assert not check(exam(0.3)).passed
    assert check(exam(0.1)).passed
    assert check(exam(0.21)).passed, "a fall of a point is no reason"


def test_a_first_painter_is_compared_with_random_references_in_pixels_too() -> None:
    better = exam(0.1)
    live = replace(better, before=("r1", Exhibition({RETRIEVED: drawn(RETRIEVED, 0.5, 0.02)}, {}, 0.0, 0.1)))
    assert check(better).passed
    assert not check(live).passed, "the live painter is what it has to hold against"
