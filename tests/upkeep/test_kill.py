"""A small version of `benchmarks/kill/run.py`: twelve kills over all commands, with a model that is really trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.upkeep.killing import COMMANDS, Tally, kill_tune, saved_states
from tests.upkeep.nursery import HEAVY, Nursery
from tests.upkeep.place import BUDGET, prepare

pytest.importorskip("torch", reason="a run trains: pip install 'honed[tune]'")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_turn_may_die_at_any_moment_of_its_end(tmp_path: Path) -> None:
    """Every ninth moment from the sealed test on, until the turn gets through: release and end of the run are one commit."""
    last = {"since": "honed.tuning.run:looked_at"}
    with Nursery(HEAVY) as nursery:
        place = prepare(tmp_path, nursery)
        assert place.run("tune", "--budget", BUDGET, failpoint=1, **last).killed
        place.save("tested")
        tally = Tally()
        while tally.kills == tally.hit:
            kill = {"failpoint": 1 + 9 * tally.kills, **last}
            kill_tune(place, kill, np.random.default_rng(1), tally, start="tested")
    assert not tally.violations
    assert tally.hit > 3


def test_twelve_kills_cost_nothing(tmp_path: Path) -> None:
    random = np.random.default_rng(12)
    with Nursery(HEAVY) as nursery:
        place = prepare(tmp_path, nursery)
        saved_states(place)
        for command, kill in COMMANDS.items():
            tally = Tally()
            kill(place, {}, random, tally)
            for _ in range(2):
                kill(place, {"kill_after": float(random.uniform(0.2, 0.9)) * tally.seconds}, random, tally)
            assert not tally.violations, command
