"""What the gate asks of drawings, on made-up distances: no training, no network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="tuning needs the extra: pip install 'honed[tune]'")

from honed.evaluate.comparison import Questions, Trial, compare
from honed.evaluate.gate import Check, GateSettings
from honed.roles.image_generator.distance import LIKENESS, Drawn
from honed.roles.image_generator.held_out import RANDOM, RETRIEVED, Drawings, Targets
from honed.roles.image_generator.pictures import Pictures
from honed.roles.image_generator.results import Results

COUNT = 60
RNG = np.random.default_rng(0)
ALL = Trial(seed=1)


def drawn(name: str, distance: float, pixels: float) -> Drawn:
    noise = RNG.normal(0, 0.01, COUNT)
    return Drawn(name, distance + noise, pixels + noise, np.full((COUNT, 2), 0.5), 0.1)


def results(pixels: float) -> Results:
    """A painter that a network likes better with retrieved references, and that is so far from the truth in pixels."""
    every = np.arange(COUNT)
    pictures = Pictures(
        np.zeros((COUNT, 4, 4, 3), np.uint8), np.zeros((COUNT, 2), np.float32), np.zeros(COUNT, np.int64), every,
        np.full((COUNT, 2), -1),
    )  # fmt: skip
    shown = {RETRIEVED: drawn(RETRIEVED, 0.3, pixels), RANDOM: drawn(RANDOM, 0.6, 0.2)}
    targets = Targets(pictures, every, every, 0.1)
    return Results(targets, None, Drawings(shown, {}, 0.0, 0.1))


def delta(of: Results) -> float:
    """By how much the candidate is nearer to the truth than what it has to beat."""
    questions = Questions([str(at) for at in range(COUNT)], np.arange(COUNT))
    base, candidate = of.measured(of.base, "base"), of.measured(of.candidate.drawn[RETRIEVED], "candidate")
    return compare(base, candidate, questions, metric=LIKENESS, trial=Trial(seed=1)).primary.delta


def check(of: Results, trial: Trial = ALL) -> Check:
    return next(asked for asked in of.checks(GateSettings(), trial) if "network" in asked.name)


def test_what_pleases_a_network_and_is_further_from_the_truth_in_pixels_is_refused() -> None:
    assert delta(results(0.1)) > 0.2
    assert not check(results(0.3)).passed
    assert check(results(0.1)).passed
    assert check(results(0.21)).passed, "a fall of a point is no reason"


def test_a_first_painter_is_compared_with_random_references_in_pixels_too() -> None:
    better = results(0.1)
    live = replace(better, before=("r1", Drawings({RETRIEVED: drawn(RETRIEVED, 0.5, 0.02)}, {}, 0.0, 0.1)))
    assert check(better).passed
    assert not check(live).passed, "the live painter is what it has to hold against"


def test_only_questions_that_decide_count_in_the_checks() -> None:
    """Half of the targets are further from the truth in pixels; the test is of the other half alone."""
    half = np.arange(COUNT) < COUNT // 2
    mixed = results(0.1)
    shown = mixed.candidate.drawn[RETRIEVED]
    worse = replace(shown, pixels=np.where(half, 0.9, shown.pixels))
    mixed = replace(mixed, candidate=replace(mixed.candidate, drawn={**mixed.candidate.drawn, RETRIEVED: worse}))
    assert not check(mixed).passed
    assert check(mixed, Trial(seed=1, fresh=~half, fresh_only=True)).passed


def test_what_the_plan_left_out_has_no_score() -> None:
    whole = results(0.1)
    some = np.arange(0, COUNT, 2)
    fewer = replace(whole.targets, rows=some)
    part = replace(whole, targets=fewer)
    drawings = whole.base
    scores = part.measured(replace(drawings, distance=drawings.distance[some], pixels=drawings.pixels[some]), "base")
    assert np.isnan(scores.scores[LIKENESS][1::2]).all()
    assert np.array_equal(scores.scores[LIKENESS][::2], 1.0 - drawings.distance[some])
