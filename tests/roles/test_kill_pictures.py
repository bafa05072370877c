"""`kill -9` at random moments of every training on pictures: typed again, it ends with the same weights, bit by bit."""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from honed.models.weights import Weights
from tests.roles.trainings import RESULT, TRAININGS, run

pytest.importorskip("pytorch_metric_learning")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KILLS = 8


@pytest.fixture(scope="module")
def forks() -> ForkServerContext:
    """Children of a process that has loaded the libraries, so that a kill falls on work and not on imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.roles.trainings"])
    return context


def attempt(forks: ForkServerContext, name: str, folder: Path, seconds: float | None = None) -> tuple[bool, float]:
    """Run a training in a process of its own, killed after so many seconds; whether it was killed, and how long it lived."""
    child = forks.Process(target=run, args=(name, folder))
    started = time.monotonic()
    child.start()
    child.join(seconds)
    if child.is_alive():
        child.kill()
        child.join()
    assert child.exitcode in (0, -signal.SIGKILL), f"{name} ended by itself with {child.exitcode}"
    return child.exitcode != 0, time.monotonic() - started


def steps_behind(folder: Path) -> int:
    """Steps that the newest checkpoint holds; 0 where there is none."""
    return max((int(Weights(path)["progress"][0]) for path in folder.glob("checkpoint-*.safetensors")), default=0)


def bits(folder: Path) -> dict[str, bytes]:
    weights = Weights(folder / RESULT)
    return {name: weights[name].tobytes() for name in weights}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_kill_at_any_moment_costs_nothing(
    name: str, forks: ForkServerContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The weights are those of a training that nobody disturbed, whether one kill hit it or several in a row."""
    clock = random.Random(name)
    attempt(forks, name, tmp_path / "warm")
    _, seconds = attempt(forks, name, tmp_path / "whole")
    whole = bits(tmp_path / "whole")
    kills, resumed, number = 0, 0, 0
    while kills < KILLS:
        number += 1
        assert number < 5 * KILLS, "the kills do not hit"
        folder = tmp_path / f"broken-{number}"
        for _ in range(clock.randint(1, 3)):
            killed, _ = attempt(forks, name, folder, clock.uniform(0.1, 0.95) * seconds)
            kills += killed
            resumed += killed and steps_behind(folder) > 0
        attempt(forks, name, folder)
        assert bits(folder) == whole
    with capsys.disabled():
        print(f"\n{name}: {kills} kills, {resumed} with steps behind them; {seconds:.1f} s undisturbed; weights equal")
    assert resumed >= KILLS // 4, "kills must fall into the training"
