"""The gate on made scores, a small version of benchmarks/gate: bounds are binomial, so chance fails it once in a thousand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from honed.evaluate.gate import GateSettings

PLACE = Path(__file__).parents[2] / "benchmarks" / "gate" / "run.py"


@pytest.fixture(scope="module")
def gate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gate_run", PLACE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gate_run"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_worthless_candidates_are_accepted_in_fewer_than_one_of_twenty(gate: ModuleType) -> None:
    rng = np.random.default_rng(1)
    hits = sum(gate.one_look(rng, 50, np.zeros(gate.COMPETING), seed) for seed in range(300))
    assert hits <= 26  # 5 % of 300 are 15; 27 or more come once in 300 such tests, and 2.5 % are expected


@pytest.mark.slow
def test_four_of_five_gains_pass_that_are_called_detectable(gate: ModuleType) -> None:
    rng = np.random.default_rng(2)
    size = gate.stated(rng, 50, 40)
    assert size > GateSettings().min_gain
    assert gate.power(rng, 50, size, 200)["rate"] > 0.71  # 80 % less three standard errors
    assert gate.power(rng, 50, 0.8 * size, 200)["rate"] < 0.8


@pytest.mark.slow
def test_ten_rounds_of_label_and_tune_again_are_fooled_in_one_of_twenty(gate: ModuleType) -> None:
    lives = gate.ten_rounds(20, 20, 150)
    taken = next(row for name, row in lives.items() if "(taken)" in name)
    assert taken["hits"] <= 16  # 5 % of 150 are 7.5, plus three standard errors
