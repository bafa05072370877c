from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from honed.errors import UsageError
from honed.tuning.candidate import Candidate, cheapest


def candidate(name: str, dev: list[float]) -> Candidate:
    return Candidate(name, f"the {name}", np.array(dev), 1.5, 3, details={"steps": 4})


def test_a_close_race_goes_to_the_cheaper_one() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(200)
    noisy = np.clip(scores + 0.004 + rng.normal(0, 0.1, 200), 0, 1)
    cheap, dear = candidate("fusion", scores.tolist()), candidate("query-tower", noisy.tolist())
    assert cheapest([cheap.dev, dear.dev], np.arange(len(cheap.dev))) == 0


def test_a_clear_gain_is_taken() -> None:
    cheap, dear = candidate("fusion", [0.5, 0.4] * 50), candidate("query-tower", [0.7, 0.6] * 50)
    assert cheapest([cheap.dev, dear.dev], np.arange(len(cheap.dev))) == 1


def test_unjudged_queries_do_not_count() -> None:
    cheap, dear = candidate("fusion", [np.nan, 0.5, 0.5]), candidate("query-tower", [np.nan, 0.9, 0.8])
    assert cheapest([cheap.dev, dear.dev], np.arange(len(cheap.dev))) == 1


def test_survives_its_file(tmp_path: Path) -> None:
    dev, tower = np.array([0.5, np.nan]), {"query-tower": tmp_path / "run/query-tower"}
    saved = Candidate("query-tower", "a tower", dev, 2.0, 3, files=tower, values={"weight": 0.75})
    saved.save(tmp_path)
    loaded = Candidate.load(tmp_path, "query-tower")
    assert loaded is not None
    assert (loaded.files, loaded.values) == (tower, {"weight": 0.75})
    np.testing.assert_array_equal(loaded.dev, saved.dev)
    assert Candidate.load(tmp_path, "adapter") is None


def test_numbers_that_are_not_finite_do_not_stop_it(tmp_path: Path) -> None:
    """A run that cannot write what it found would fail again each time it is typed."""
    saved = Candidate("adapter", "x", np.array([0.5]), 1.0, 1, details={"first_loss": math.nan, "deep": [math.inf]})
    saved.save(tmp_path)
    loaded = Candidate.load(tmp_path, "adapter")
    assert loaded is not None and loaded.details == {"first_loss": None, "deep": [None]}


def test_two_equal_systems_in_few_clusters_are_told_apart_no_more_often_than_by_luck_of_clusters() -> None:
    """Questions of a cluster rise and fall together: a standard error over questions took luck for a gain."""
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(12), 20)
    dear = by_query = 0
    for _ in range(400):
        cheap, other = (rng.normal(0, 0.1, 12)[clusters] + rng.normal(0, 0.1, 240) for _ in range(2))
        dear += cheapest([cheap, other], clusters)
        by_query += cheapest([cheap, other], np.arange(240))
    assert dear / 400 < 0.22
    assert by_query / 400 > 0.3


def test_no_candidate_and_nothing_judged_are_errors_with_a_hint() -> None:
    with pytest.raises(UsageError, match="Every way to tune gave up") as raised:
        cheapest([], np.empty(0))
    assert raised.value.hint
    with pytest.raises(UsageError, match="No query of dev has a score"):
        cheapest([np.full(3, np.nan)] * 2, np.arange(3))
