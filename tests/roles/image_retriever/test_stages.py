"""Every stage trains for real on tiny drawings."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from honed.errors import HonedError, UsageError
from honed.evaluate.image_board import ImageBoard, primary
from honed.models.vision.folder import read_encoder_folder
from honed.models.vision.head import plain_head
from honed.roles.image_retriever import stages
from honed.roles.image_retriever.closed_stages import tune_discriminant, tune_expansion, tune_whitening
from honed.roles.image_retriever.last_blocks import BlockLimits, tune_blocks
from honed.roles.image_retriever.learned import tune_head
from honed.roles.image_retriever.plan import ImageSize, ImageSpeed, make_plan, measure_speed
from honed.roles.image_retriever.role import ImageRetriever
from honed.roles.image_retriever.training import ENCODER, TrainingContext, head_of, neighbours_of
from honed.train import fit as fitting
from honed.tuning.candidate import Candidate, cheapest
from honed.tuning.plan import Clock, Plan, Stage
from honed.tuning.role import Work
from honed.tuning.stages import run_stages

FAST = ImageSpeed(100.0, 200.0, True)


def untuned(context: TrainingContext) -> float:
    vectors = plain_head(context.gallery.shape[1]).apply(context.gallery)
    return float(np.nanmean(primary(context.board, vectors)))


def measured(context: TrainingContext, candidate: Candidate) -> np.ndarray:
    """What a candidate scores on dev by what it has written."""
    vectors = head_of(candidate).apply(context.described(candidate))
    return primary(context.board, vectors, neighbours=neighbours_of(candidate))


def planned(context: TrainingContext, speed: ImageSpeed = FAST, budget: float = 600.0) -> Plan:
    return make_plan(Clock.start(budget), speed, ImageSize.of(context), context.recipe)


class Alone(ImageRetriever):
    """The role's stages over a context that is there already."""

    def run_stage(self, context: Any, stage: Stage, before: Sequence[Candidate], work: Work) -> Candidate | None:
        return stages.run_stage(replace(context, tell=work.tell), stage, before, work.seconds)


def climbed(context: TrainingContext, plan: Plan, clock: Clock, told: list[str] | None = None) -> list[Candidate]:
    return run_stages(Alone(), context, plan, context.folder, clock, (told if told is not None else []).append)


def test_the_discriminant_beats_what_knows_no_groups(context: TrainingContext) -> None:
    white, told = tune_whitening(context), tune_discriminant(context)
    assert told.mean > untuned(context) + 0.05
    assert told.mean >= white.mean
    assert white.tried == told.tried == 4


def test_dev_scores_are_those_of_the_head(context: TrainingContext) -> None:
    candidate = tune_discriminant(context)
    np.testing.assert_array_equal(measured(context, candidate), candidate.dev)


def test_stages_pick_by_the_metric_that_decides(context: TrainingContext) -> None:
    wanted = replace(context, board=replace(context.board, metric="map"))
    candidate = tune_discriminant(wanted)
    vectors = head_of(candidate).apply(context.gallery)
    np.testing.assert_array_equal(context.board.measure(vectors)["map"], candidate.dev)


def test_expansion_is_a_candidate_only_where_dev_gains(context: TrainingContext) -> None:
    best = tune_whitening(context)
    candidate = tune_expansion(context, best)
    if candidate is not None:
        assert candidate.mean > best.mean
        assert neighbours_of(candidate) in context.recipe.neighbours
        np.testing.assert_array_equal(measured(context, candidate), candidate.dev)
    perfect = replace(best, dev=np.ones_like(best.dev))
    assert tune_expansion(context, perfect) is None


def test_the_head_moves_and_learns(context: TrainingContext) -> None:
    candidate = tune_head(context, 60.0)
    assert candidate.details["moved"] > 0
    assert candidate.details["last_loss"] < candidate.details["first_loss"]
    dev = context.board.queries  # among themselves: 24 things teach too little to tell new ones from those 24
    alone = ImageBoard(dev.astype(str).tolist(), context.board.groups[dev])
    before, after = (
        primary(alone, head.apply(context.gallery[dev]))
        for head in (plain_head(context.gallery.shape[1]), head_of(candidate))
    )
    assert np.nanmean(after) > np.nanmean(before)
    np.testing.assert_array_equal(measured(context, candidate), candidate.dev)


def test_blocks_move_the_encoder_and_the_folder_gives_the_dev_scores(context: TrainingContext) -> None:
    candidate = tune_blocks(context, tune_discriminant(context), BlockLimits(1, 60.0, shares=(0.5, 1.0)))
    assert candidate.details["moved"] > 0
    assert candidate.tried == 4
    read_encoder_folder(candidate.files[ENCODER])
    assert not np.allclose(context.described(candidate), context.gallery)
    np.testing.assert_array_equal(measured(context, candidate), candidate.dev)


def test_an_encoder_that_cannot_learn_is_said_so(still: TrainingContext) -> None:
    with pytest.raises(UsageError, match="cannot be trained"):
        tune_blocks(still, tune_whitening(still), BlockLimits(1, 1.0))
    assert measure_speed(still) == ImageSpeed(0.0, 0.0, False)


class Killed(BaseException):
    """Stands for `kill -9`: nothing catches it."""


Training = Callable[[TrainingContext, Candidate], Candidate]


@pytest.mark.parametrize(
    ("training", "stop"),
    [
        (lambda context, _: tune_head(context, 1e9), 5),
        (lambda context, best: tune_blocks(context, best, BlockLimits(1, 1e9)), 3),
    ],
    ids=["head", "blocks"],
)
def test_a_killed_stage_ends_with_the_same_weights(
    training: Training,
    stop: int,
    make_context: Callable[[Path], TrainingContext],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, broken = make_context(tmp_path / "whole"), make_context(tmp_path / "broken")
    best = tune_discriminant(whole)
    # A limit of time moves the rate with the clock; without one a step is a function of its number.
    monkeypatch.setattr(fitting.Schedule, "rate_at", _rate_by_step)
    straight = training(whole, best)
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", 0.0)
    save, count = fitting._save, 0

    def save_and_die(*arguments: object) -> None:
        nonlocal count
        save(*arguments)  # type: ignore[arg-type]
        count += 1
        if count == stop:
            raise Killed

    monkeypatch.setattr(fitting, "_save", save_and_die)
    with pytest.raises(Killed):
        training(broken, best)
    assert list(broken.folder.glob("checkpoint-*"))
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", float("inf"))
    resumed = training(broken, best)
    np.testing.assert_array_equal(head_of(resumed).matrix, head_of(straight).matrix)
    np.testing.assert_array_equal(resumed.dev, straight.dev)
    assert (ENCODER in straight.files) == (ENCODER in resumed.files)
    if ENCODER in straight.files:
        expected, weights = (read_encoder_folder(done.files[ENCODER]).tensors() for done in (straight, resumed))
        assert all(np.array_equal(expected[name], weights[name]) for name in expected)


def _rate_by_step(self: fitting.Schedule, step: int, elapsed: float) -> float:
    return 0.0 if step >= self.steps else self.rate * (1 - step / self.steps)


def test_the_stages_run_once(context: TrainingContext) -> None:
    plan, told = planned(context), list[str]()
    first = climbed(context, plan, Clock.start(400))
    names = [candidate.name for candidate in first]
    assert names[:4] == ["whitening", "discriminant", "head", "blocks"]
    chosen = first[cheapest([candidate.dev for candidate in first], context.board.clusters)]
    assert chosen.mean > untuned(context)
    again = climbed(context, plan, Clock.start(400), told)
    assert [candidate.name for candidate in again][:4] == names[:4]
    for before, after in zip(first, again, strict=False):
        np.testing.assert_array_equal(head_of(after).matrix, head_of(before).matrix)
    assert not any("started" in line for line in told if "expansion" not in line)


def test_a_stage_that_fails_stops_no_other(context: TrainingContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise HonedError("The loss became nan at step 3.")

    monkeypatch.setattr(stages, "tune_head", broken)
    candidates = climbed(context, planned(context, ImageSpeed(0.0, 0.0, False)), Clock.start(400))
    assert [candidate.name for candidate in candidates][:2] == ["whitening", "discriminant"]


def test_late_stages_are_left_out_but_never_the_first(context: TrainingContext) -> None:
    candidates = climbed(context, planned(context), Clock(600.0, -1e9))
    assert [candidate.name for candidate in candidates] == ["whitening"]


def test_blocks_give_up_training_but_not_encoding_when_time_is_short(context: TrainingContext) -> None:
    told: list[str] = []
    stage = planned(context).stage("blocks")
    assert stage.seconds > stage.options["train_seconds"] > 0
    late = stage.seconds - stage.options["train_seconds"]
    telling = replace(context, tell=told.append)
    assert stages.run_stage(telling, stage, [tune_whitening(context)], late) is None
    assert any("used up" in line for line in told)


def test_without_groups_only_what_needs_none_is_planned(context: TrainingContext) -> None:
    plan = planned(replace(context, groups=np.arange(len(context.groups))))
    assert [stage.name for stage in plan.stages if stage.seconds] == ["whitening", "expansion"]
    assert "no two train pictures" in "\n".join(plan.lines())


@pytest.mark.parametrize("budget", [20.0, 60.0, 120.0, 300.0, 600.0, 3600.0])
def test_the_plan_fits_the_budget(context: TrainingContext, budget: float) -> None:
    size, recipe = ImageSize(2940, 2940, 420, 4200, 3056), replace(context.recipe, widths=(512,))
    clock = Clock(budget, Clock.start(budget).started - 0.1 * budget)
    plan = make_plan(clock, ImageSpeed(80.0, 150.0, True), size, recipe)
    assert sum(stage.seconds for stage in plan.stages[1:-1]) <= 0.65 * budget
    blocks = plan.stage("blocks")
    if budget >= 600:
        assert blocks.options["epochs"] >= 1
    if budget <= 60:
        assert blocks.seconds == 0


def test_a_plan_comes_back_from_its_folder_and_drives_the_same_stages(context: TrainingContext) -> None:
    plan = planned(context)
    kept = plan.kept(context.folder)
    other = planned(context, ImageSpeed(0.0, 0.0, False)).kept(context.folder)
    assert json.dumps(other.lines()) == json.dumps(kept.lines())
    assert other.stage("blocks").options == plan.stage("blocks").options


def test_the_probe_measures_this_machine(context: TrainingContext) -> None:
    speed = measure_speed(context)
    assert speed.train > 0 and speed.encode > 0
    assert not list(context.folder.iterdir())
