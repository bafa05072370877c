"""A small version of `benchmarks/kill/run.py`: twelve kills over all commands, with a model that is really trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.upkeep.killing import COMMANDS, Tally, saved_states
from tests.upkeep.nursery import HEAVY, Nursery
from tests.upkeep.place import prepare


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twelve_kills_cost_nothing(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="a turn trains: pip install 'honed[tune]'")
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
