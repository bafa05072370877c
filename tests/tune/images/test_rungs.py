"""Every rung trains for real on tiny drawings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.errors import HonedError, UsageError
from honed.evaluate.image_board import ImageBoard, primary
from honed.models.vision.folder import read_encoder_folder
from honed.models.vision.head import plain_head
from honed.train import fit as fitting
from honed.roles.image_retriever.bench import ImageBench
from honed.roles.image_retriever.candidate import ImageCandidate, choose_images
from honed.roles.image_retriever.free import tune_discriminant, tune_expansion, tune_whitening
from honed.roles.image_retriever.ladder import climb_images
from honed.roles.image_retriever.last_blocks import BlockLimits, tune_blocks
from honed.roles.image_retriever.learned import tune_head
from honed.roles.image_retriever.plan import ImageSize, ImageSpeed, images_table, measure_images, plan_images

pytest.importorskip("pytorch_metric_learning")


def untuned(bench: ImageBench) -> float:
    return float(np.nanmean(primary(bench.board, plain_head(bench.gallery.shape[1]).apply(bench.gallery))))


def test_the_discriminant_beats_what_knows_no_groups(bench: ImageBench) -> None:
    white, told = tune_whitening(bench), tune_discriminant(bench)
    assert told.mean > untuned(bench) + 0.05
    assert told.mean >= white.mean
    assert white.tried == told.tried == 4


def test_dev_scores_are_those_of_the_head(bench: ImageBench) -> None:
    found = tune_discriminant(bench)
    np.testing.assert_array_equal(found.measure(bench.board, bench.gallery)["recall@1"], found.dev)


def test_expansion_is_a_candidate_only_where_dev_gains(bench: ImageBench) -> None:
    best = tune_whitening(bench)
    found = tune_expansion(bench, best)
    if found is not None:
        assert found.mean > best.mean
        assert found.neighbours in bench.recipe.neighbours
    perfect = replace(best, dev=np.ones_like(best.dev))
    assert tune_expansion(bench, perfect) is None


def test_the_head_moves_and_learns(bench: ImageBench) -> None:
    found = tune_head(bench, 60.0)
    assert found.details["moved"] > 0
    assert found.details["last_loss"] < found.details["first_loss"]
    dev = bench.board.queries  # among themselves: 24 things teach too little to tell new ones from those 24
    alone = ImageBoard(dev.astype(str).tolist(), bench.board.groups[dev])
    before, after = (
        primary(alone, head.apply(bench.gallery[dev])) for head in (plain_head(bench.gallery.shape[1]), found.head)
    )
    assert np.nanmean(after) > np.nanmean(before)
    np.testing.assert_array_equal(found.measure(bench.board, bench.gallery)["recall@1"], found.dev)


def test_blocks_move_the_encoder_and_the_folder_gives_the_dev_scores(bench: ImageBench) -> None:
    best = tune_discriminant(bench)
    found = tune_blocks(bench, best, BlockLimits(1, 60.0, shares=(0.5, 1.0)))
    assert found.encoder_folder is not None and bench.trainee is not None
    assert found.details["moved"] > 0
    assert found.tried == 4
    read_encoder_folder(found.encoder_folder)
    gallery = bench.trainee.encode_all(found.encoder_folder)
    assert not np.allclose(gallery, bench.gallery)
    np.testing.assert_array_equal(found.measure(bench.board, gallery)["recall@1"], found.dev)


def test_an_encoder_that_cannot_learn_is_said_so(still: ImageBench) -> None:
    with pytest.raises(UsageError, match="cannot be trained"):
        tune_blocks(still, tune_whitening(still), BlockLimits(1, 1.0))
    assert measure_images(still) == ImageSpeed(0.0, 0.0, False)


class Killed(BaseException):
    """Stands for `kill -9`: nothing catches it."""


Rung = Callable[[ImageBench, ImageCandidate], ImageCandidate]


@pytest.mark.parametrize(
    ("rung", "stop"),
    [
        (lambda bench, _: tune_head(bench, 1e9), 5),
        (lambda bench, best: tune_blocks(bench, best, BlockLimits(1, 1e9)), 3),
    ],
    ids=["head", "blocks"],
)
def test_a_killed_rung_ends_with_the_same_weights(
    rung: Rung,
    stop: int,
    make_bench: Callable[[Path], ImageBench],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, broken = make_bench(tmp_path / "whole"), make_bench(tmp_path / "broken")
    best = tune_discriminant(whole)
    # A limit of time moves the rate with the clock; without one a step is a function of its number.
    forever = float("inf")
    monkeypatch.setattr(fitting.Schedule, "rate_at", _rate_by_step)
    straight = rung(whole, best)
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
        rung(broken, best)
    assert list(broken.folder.glob("checkpoint-*"))
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", forever)
    resumed = rung(broken, best)
    np.testing.assert_array_equal(resumed.head.matrix, straight.head.matrix)
    np.testing.assert_array_equal(resumed.dev, straight.dev)
    if straight.encoder_folder and resumed.encoder_folder:
        one, two = (read_encoder_folder(path).tensors() for path in (straight.encoder_folder, resumed.encoder_folder))
        assert all(np.array_equal(one[name], two[name]) for name in one)


def _rate_by_step(self: fitting.Schedule, step: int, elapsed: float) -> float:
    return 0.0 if step >= self.steps else self.rate * (1 - step / self.steps)


def test_a_candidate_comes_back_from_its_folder(bench: ImageBench) -> None:
    found = replace(tune_discriminant(bench), encoder_folder=bench.folder / "encoder", notes=("a", "b"), neighbours=2)
    found.save(bench.folder)
    again = ImageCandidate.load(bench.folder, "discriminant")
    assert again is not None
    assert (again.what, again.notes, again.neighbours) == (found.what, found.notes, 2)
    assert again.encoder_folder == found.encoder_folder
    np.testing.assert_array_equal(again.dev, found.dev)
    np.testing.assert_array_equal(again.head.matrix, found.head.matrix)
    assert ImageCandidate.load(bench.folder, "head") is None


def test_the_ladder_climbs_once(bench: ImageBench) -> None:
    size = ImageSize.of(bench)
    plan = plan_images(600.0, 10.0, ImageSpeed(100.0, 200.0, True), size, bench.recipe)
    told: list[str] = []
    telling = replace(bench, tell=told.append)
    found = climb_images(telling, plan, deadline=time.monotonic() + 300)
    names = [one.name for one in found]
    assert names[:4] == ["whitening", "discriminant", "head", "blocks"]
    assert choose_images(found).mean > untuned(bench)
    told.clear()
    again = climb_images(telling, plan, deadline=time.monotonic() + 300)
    assert [one.name for one in again][:4] == names[:4]
    assert not any("started" in line for line in told)


def test_a_rung_that_fails_stops_no_other(bench: ImageBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise HonedError("The loss became nan at step 3.")

    monkeypatch.setattr("honed.roles.image_retriever.ladder.tune_head", broken)
    plan = plan_images(600.0, 0.0, ImageSpeed(0.0, 0.0, False), ImageSize.of(bench), bench.recipe)
    found = climb_images(bench, plan, deadline=time.monotonic() + 300)
    assert [one.name for one in found][:2] == ["whitening", "discriminant"]


def test_late_rungs_are_left_out_but_never_the_first(bench: ImageBench) -> None:
    plan = plan_images(600.0, 0.0, ImageSpeed(100.0, 200.0, True), ImageSize.of(bench), bench.recipe)
    found = climb_images(bench, plan, deadline=time.monotonic() - 1)
    assert [one.name for one in found] == ["whitening"]


def test_without_groups_only_what_needs_none_is_planned(bench: ImageBench) -> None:
    lonely = replace(bench, groups=np.arange(len(bench.groups)))
    plan = plan_images(600.0, 0.0, ImageSpeed(100.0, 200.0, True), ImageSize.of(lonely), bench.recipe)
    assert [step.rung for step in plan.steps if step.seconds] == ["whitening", "expansion"]
    assert "no two train pictures" in "\n".join(images_table(plan))


@pytest.mark.parametrize("budget", [20.0, 60.0, 120.0, 300.0, 600.0, 3600.0])
def test_the_plan_fits_the_budget(bench: ImageBench, budget: float) -> None:
    size = ImageSize(2940, 2940, 420, 4200, 3056)
    plan = plan_images(budget, 0.1 * budget, ImageSpeed(80.0, 150.0, True), size, replace(bench.recipe, widths=(512,)))
    assert sum(step.seconds for step in plan.steps[1:-1]) <= 0.65 * budget
    blocks = plan.step("blocks")
    if budget >= 600:
        assert blocks.epochs >= 1
    if budget <= 60:
        assert blocks.seconds == 0


def test_the_probe_measures_this_machine(bench: ImageBench) -> None:
    speed = measure_images(bench)
    assert speed.train > 0 and speed.encode > 0
    assert not list(bench.folder.iterdir())
