"""A run's plan is made once, whatever its dataclass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from honed.roles.image_retriever.plan import ImagePlan, ImageSpeed, ImageStep
from honed.roles.text_to_image.plan import TextPlan
from honed.tune.kept import kept_plan
from honed.roles.image_generator.plan import PaintPlan
from honed.roles.retriever.plan import Plan, Speed, Step

TEXT = Plan(
    (Step("fusion", 1.0, "always"), Step("both-towers", 60.5, "fits", 2, 3, 20.0, 10.0)),
    Speed(900.5, 40.0, True),
    120.0,
)
PLANS = (
    TEXT,
    ImagePlan((ImageStep("blocks", 9.0, "fits", 2, 5.0, (0.5, 1.0)),), ImageSpeed(10.0, 20.0, False), 120.0),
    TextPlan(10, 20, 3.0, 4.0, 5.0, 120.0),
    PaintPlan(120.0, 70, 60.0, False, 8, 9, 10.0, 11.0),
)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: type(plan).__name__)
def test_a_plan_comes_back_as_it_was(plan: Plan, tmp_path: Path) -> None:
    assert kept_plan(tmp_path, plan) == plan
    assert kept_plan(tmp_path, replace(plan, budget=1.0)) == plan
