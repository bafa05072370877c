from __future__ import annotations

import time

import pytest

from honed.roles.text_to_image.plan import STAGE, make_plan
from honed.tuning.plan import Clock


def clock(budget: float, *, spent: float) -> Clock:
    return Clock(budget, time.monotonic() - spent)


def test_all_texts_are_encoded_where_they_fit() -> None:
    plan = make_plan(clock(600, spent=50), rate=100, texts=4000)
    options = plan.stage(STAGE).options
    assert (options["texts"], options["encode_seconds"]) == (4000, 50)
    assert options["train_seconds"] == pytest.approx(600 * 0.75 - 50 - 50, abs=1)
    assert "4,000 texts" in plan.lines()[1]


def test_a_short_budget_encodes_as_many_as_fit_and_leaves_time_to_train() -> None:
    plan = make_plan(clock(60, spent=5), rate=100, texts=4000)
    stage = plan.stage(STAGE)
    assert 1000 < stage.options["texts"] < 4000
    assert stage.seconds == pytest.approx(40, abs=1)
    assert stage.options["train_seconds"] >= 10
    assert "of 4,000 texts" in plan.lines()[1]


def test_a_budget_that_is_spent_still_gives_a_plan() -> None:
    stage = make_plan(clock(10, spent=100), rate=50, texts=4000).stage(STAGE)
    assert stage.options["texts"] >= 1
    assert stage.options["train_seconds"] >= 0.25
