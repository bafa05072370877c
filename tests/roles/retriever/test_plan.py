from __future__ import annotations

import time
from pathlib import Path

import pytest

from honed.roles.retriever.plan import Size, Speed, make_plan
from honed.roles.retriever.recipe import Recipe
from honed.tuning.plan import RESERVE, Clock, Plan

SIZE = Size(questions=2000, question_tokens=60_000, passages=9000, passage_tokens=200.0)


def planned(budget: float, speed: Speed, size: Size = SIZE, spent: float = 20.0) -> Plan:
    return make_plan(Clock(budget, time.monotonic() - spent), speed, size, Recipe())


@pytest.mark.parametrize("budget", [30.0, 60.0, 120.0, 600.0, 3600.0])
@pytest.mark.parametrize("rate", [100.0, 1000.0, 5000.0, 100_000.0])
def test_never_plans_more_than_the_budget_without_its_reserve(budget: float, rate: float) -> None:
    plan = planned(budget, Speed(rate, rate / 50, False))
    needed = sum(stage.seconds for stage in plan.stages if stage.name != "settings")
    assert needed <= max(0.0, budget * (1 - RESERVE) - 20.0)


def test_a_fast_machine_runs_every_stage() -> None:
    plan = planned(600.0, Speed(20_000.0, 200.0, True))
    assert all(stage.seconds > 0 for stage in plan.stages)
    assert plan.stage("query-tower").options["epochs"] == Recipe().query_epochs


def test_what_does_not_fit_says_why() -> None:
    plan = planned(60.0, Speed(2000.0, 40.0, False))
    both = plan.stage("both-towers")
    assert both.seconds == 0
    assert "needs" in both.why and "left" in both.why
    assert any("skip" in line and both.why in line for line in plan.lines())


def test_without_labels_only_the_fusion_is_tuned() -> None:
    plan = planned(600.0, Speed(1.0, 1.0, False), Size(0, 0, 0, 0.0))
    assert [stage.name for stage in plan.stages if stage.seconds] == ["settings"]


def test_a_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    """A resumed run goes on under the plan that it began with, whatever the machine can do now."""
    plan = planned(600.0, Speed(20_000.0, 200.0, True))
    assert plan.kept(tmp_path) == plan
    assert planned(60.0, Speed(1.0, 1.0, False)).kept(tmp_path) == plan
