from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from honed.errors import HonedError
from honed.models.weights import write_weights
from honed.train import fit as module
from honed.train.fit import Checkpoint, Schedule, fit

TARGET = torch.tensor([1.0, -2.0, 3.0])


def start() -> dict[str, torch.nn.Parameter]:
    return {"weight": torch.nn.Parameter(torch.zeros(3))}


def distance(parameters: dict[str, torch.nn.Parameter]):
    """A loss that depends on the step, so that a resumed run which repeats or skips one ends elsewhere."""
    return lambda step: ((parameters["weight"] - TARGET * (1 + step % 3)) ** 2).sum()


def test_learns_and_says_how_far_it_moved() -> None:
    parameters = start()
    done = fit(parameters, lambda _: ((parameters["weight"] - TARGET) ** 2).sum(), Schedule(300, 0.1, math.inf))
    assert done.steps == 300
    assert done.last_loss < 0.01 * done.first_loss
    assert done.moved > 0
    assert torch.allclose(parameters["weight"], TARGET, atol=0.1)


@pytest.mark.parametrize("killed_at", [1, 7, 19])
def test_a_killed_run_ends_in_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", -1.0)  # after every step
    schedule = Schedule(20, 0.05, math.inf)
    whole = start()
    undisturbed = fit(whole, distance(whole), schedule)

    class Killed(BaseException):
        pass

    checkpoint = Checkpoint(tmp_path, "k")
    first = start()

    def dies(step: int) -> torch.Tensor:
        if step == killed_at:
            raise Killed
        return distance(first)(step)

    with pytest.raises(Killed):
        fit(first, dies, schedule, checkpoint=checkpoint)
    second = start()
    done = fit(second, distance(second), schedule, checkpoint=checkpoint)
    assert done.steps == 20
    assert torch.equal(second["weight"], whole["weight"])
    assert (done.first_loss, done.last_loss) == (undisturbed.first_loss, undisturbed.last_loss)


def test_a_checkpoint_of_another_training_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", -1.0)
    first = start()
    fit(first, distance(first), Schedule(5, 0.05, math.inf), checkpoint=Checkpoint(tmp_path, "one"))
    second = start()
    steps: list[int] = []
    fit(
        second,
        distance(second),
        Schedule(5, 0.05, math.inf),
        checkpoint=Checkpoint(tmp_path, "two"),
        on_step=lambda step, _: steps.append(step),
    )
    assert steps == [1, 2, 3, 4, 5]


def test_a_damaged_checkpoint_means_to_begin_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", -1.0)
    checkpoint = Checkpoint(tmp_path, "k")
    checkpoint.path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00 not a header")
    parameters = start()
    assert fit(parameters, distance(parameters), Schedule(5, 0.05, math.inf), checkpoint=checkpoint).steps == 5


def test_a_training_whose_time_was_spent_before_a_kill_gives_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that goes on may have planned fewer seconds than the killed one has spent."""
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", -1.0)
    checkpoint = Checkpoint(tmp_path, "k")
    first = start()

    def dies(step: int) -> torch.Tensor:
        if step == 5:
            raise KeyboardInterrupt
        if step == 4:
            time.sleep(0.1)  # its time is in the checkpoint
        return distance(first)(step)

    with pytest.raises(KeyboardInterrupt):
        fit(first, dies, Schedule(100, 0.1, 10.0), checkpoint=checkpoint)
    second = start()
    done = fit(second, distance(second), Schedule(100, 0.1, 0.05), checkpoint=checkpoint)
    assert done.steps == 5
    assert math.isfinite(done.first_loss) and math.isfinite(done.last_loss)
    assert torch.equal(first["weight"], second["weight"])


def test_no_time_for_a_single_step_is_an_error() -> None:
    parameters = start()
    with pytest.raises(HonedError, match="single step"):
        fit(parameters, distance(parameters), Schedule(5, 0.1, 0.0))


def test_a_checkpoint_without_all_of_the_state_changes_nothing(tmp_path: Path) -> None:
    """That of an older version: the training begins anew from the weights that it was given, not from half of both."""
    checkpoint = Checkpoint(tmp_path, "k")
    write_weights(checkpoint.path, {"progress": np.array([3.0, 1.0]), "before/weight": np.full(3, 9.0, np.float32)})
    resumed, fresh = start(), start()
    fit(resumed, distance(resumed), Schedule(5, 0.05, math.inf), checkpoint=checkpoint)
    fit(fresh, distance(fresh), Schedule(5, 0.05, math.inf))
    assert torch.equal(resumed["weight"], fresh["weight"])


def test_weights_that_do_not_move_are_an_error() -> None:
    parameters = start()
    with pytest.raises(HonedError, match="no weight moved"):
        fit(parameters, lambda _: (parameters["weight"] * 0).sum(), Schedule(3, 0.1, math.inf, weight_decay=0.0))


def test_a_loss_that_is_not_a_number_is_an_error() -> None:
    parameters = start()
    with pytest.raises(HonedError, match="nan"):
        fit(parameters, lambda _: (parameters["weight"] * math.nan).sum(), Schedule(3, 0.1, math.inf))


def test_the_rate_warms_up_falls_and_heeds_the_clock() -> None:
    schedule = Schedule(100, 1.0, 10.0)
    assert schedule.rate_at(0, 0.0) < schedule.rate_at(9, 0.0)
    assert schedule.rate_at(50, 0.0) == pytest.approx(0.5)
    assert schedule.rate_at(50, 9.0) == pytest.approx(0.1)
    assert schedule.rate_at(50, 10.0) == 0.0
    assert schedule.rate_at(100, 0.0) == 0.0
