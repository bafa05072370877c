"""Kill the process before and after the n-th fsync, rename or COMMIT, for n = 1, 2, ... until the command gets through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.upkeep.killing import Tally, kill_add, kill_promote
from tests.upkeep.nursery import LIGHT, Nursery
from tests.upkeep.place import Place, prepare, release_by_hand


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A workspace without a neural model: three releases in two spaces."""
    with Nursery() as nursery:
        made = prepare(tmp_path_factory.mktemp("place"), nursery, embedder="hash:64")
        release_by_hand(made, "hash:64")
        release_by_hand(made, "hash:32")
        made.save("tuned")
        yield made


def killed_everywhere(place: Place, kill: object, stride: int) -> Tally:
    """Kill at every `stride`-th moment until the command ends before it comes."""
    tally = Tally()
    moment = 1
    while tally.kills == tally.hit:
        kill(place, {"failpoint": moment}, np.random.default_rng(1), tally)  # type: ignore[operator]
        moment += stride
    return tally


every = pytest.param(kill_add, 3, 20, marks=[pytest.mark.slow, pytest.mark.timeout(900)])


@pytest.mark.parametrize(("kill", "stride", "least"), [(kill_add, 41, 2), (kill_promote, 31, 2), every])
def test_no_moment_is_a_bad_one_to_die(place: Place, kill: object, stride: int, least: int) -> None:
    tally = killed_everywhere(place, kill, stride)
    assert not tally.violations
    assert tally.hit >= least


def test_the_harness_sees_a_document_without_its_passages(tmp_path: Path) -> None:
    with Nursery((*LIGHT, "tests.upkeep.fault")) as nursery:
        place = prepare(tmp_path, nursery, embedder="hash:64")
        place.save("tuned")
        tally = Tally()
        for moment in range(9, 15):
            kill_add(place, {"failpoint": moment}, np.random.default_rng(1), tally)
            if tally.violations:
                break
        assert any("without a passage" in sentence for sentence in tally.violations), tally
