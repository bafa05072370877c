from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from honed.evaluate.comparison import Comparison, General, Measured, Questions, Trial, compare
from honed.evaluate.gate import Check, GateSettings, decide
from honed.evaluate.slices import Slice

COUNT = 300


def comparison(
    gain: float | NDArray[np.float64],
    *,
    spread: float = 0.1,
    trial: Trial | None = None,
    slices: tuple[Slice, ...] = (),
    clusters: int = 100,
    count: int = COUNT,
) -> Comparison:
    rng = np.random.default_rng(1)
    base = rng.uniform(0.3, 0.6, count)
    noise = rng.normal(0, spread, count)
    candidate = base + gain + noise - noise.mean()
    questions = Questions([f"q{n}" for n in range(count)], [n % clusters for n in range(count)], slices)
    trial = trial or Trial(general=General(0.75, 0.75))
    return compare(
        Measured("hybrid", {"ndcg@10": base}), Measured("query tower", {"ndcg@10": candidate}), questions, trial=trial
    )


def failed(result: Comparison, gate: GateSettings | None = None) -> list[str]:
    return [check.name for check in decide(result, gate).checks if not check.passed]


def group(name: str, size: int) -> Slice:
    return Slice(name, np.arange(COUNT) < size)


def test_a_clear_gain_is_proven_and_says_why() -> None:
    verdict = decide(comparison(0.05))
    assert verdict.proven
    assert verdict.reasons[1] == "The gain of 5 points is at least the 1 point that the gate asks for."
    assert "excludes 0" in verdict.reasons[0]
    assert all(reason[0].isupper() or reason.startswith("nDCG") for reason in verdict.reasons)
    assert all(reason.endswith(".") for reason in verdict.reasons)


def test_a_small_sure_gain_is_below_what_is_asked() -> None:
    verdict = decide(comparison(0.006, spread=0.01))
    assert verdict.verdict == "not proven"
    assert verdict.reasons[0] == "The gain of 0.6 points is below the 1 point that the gate asks for."


def test_a_gain_just_below_the_limit_is_printed_with_enough_digits() -> None:
    assert "The gain of 0.96 points is below the 1 point" in decide(comparison(0.0096, spread=0.01)).reasons[0]


def test_a_large_unsure_gain_is_chance() -> None:
    result = comparison(0.02, spread=0.4)
    assert failed(result) == ["Is the difference real?"]
    assert "includes 0, so the difference may be chance" in decide(result).reasons[0]


def test_a_loss_is_called_a_loss() -> None:
    reasons = decide(comparison(-0.05)).reasons
    assert "it gets worse" in reasons[0]
    assert reasons[1] == "The candidate loses 5 points; the gate asks for a gain of 1 point."


def test_identical_systems_are_not_proven() -> None:
    assert failed(comparison(0.0, spread=0.0)) == ["Is the difference real?", "Is it large enough?"]


def test_four_lucky_clusters_prove_nothing() -> None:
    result = comparison(0.1, spread=0.01, clusters=4)
    assert result.primary.ci[0] > 0
    assert failed(result) == ["Is the difference real?"]
    assert "does not agree" in decide(result).reasons[0]


def test_one_cluster_proves_nothing() -> None:
    assert "one cluster" in decide(comparison(0.1, clusters=1)).reasons[0]


@pytest.mark.parametrize(("size", "drop", "proven"), [(60, 0.2, False), (60, 0.02, True), (19, 0.2, True)])
def test_a_slice_that_falls_refuses_the_candidate(size: int, drop: float, *, proven: bool) -> None:
    gain = np.where(np.arange(COUNT) < size, -drop, 0.12)
    result = comparison(gain, spread=0.05, slices=(group("short", size), group("all but few", 290)))
    verdict = decide(result)
    assert verdict.proven is proven
    if not proven:
        assert "More than the 3 points that the gate allows are lost in a slice: 'short' by" in verdict.reasons[0]


def test_a_slice_that_falls_by_chance_is_named_and_does_not_refuse() -> None:
    members = np.zeros(COUNT, dtype=bool)
    members[:24] = True
    rng = np.random.default_rng(0)
    gain = np.full(COUNT, 0.08)
    wild = rng.normal(0, 0.4, 24)
    gain[:24] = wild - wild.mean() - 0.05
    verdict = decide(comparison(gain, spread=0.02, slices=(Slice("wild", members),)))
    assert verdict.proven
    assert any("Keep an eye on slices that fall, though perhaps by chance: 'wild'" in text for text in verdict.reasons)


@pytest.mark.parametrize(("after", "proven"), [(0.75, True), (0.731, True), (0.73, False), (0.5, False), (0.9, True)])
def test_the_general_probe_may_fall_by_less_than_two_points(after: float, *, proven: bool) -> None:
    verdict = decide(comparison(0.05, trial=Trial(general=General(0.75, after))))
    assert verdict.proven is proven


def test_a_probe_that_was_not_run_is_said() -> None:
    verdict = decide(comparison(0.05, trial=Trial()))
    assert verdict.proven
    assert "The general probe was not run." in verdict.reasons


def test_each_read_of_the_test_set_makes_the_gate_harder() -> None:
    once = comparison(0.035, spread=0.27, trial=Trial(test_reads=1))
    often = comparison(0.035, spread=0.27, trial=Trial(test_reads=6))
    assert decide(once).proven
    assert not decide(often).proven
    assert often.primary.ci[0] < once.primary.ci[0]
    assert any("read 6 times" in reason for reason in decide(often).reasons)


def test_the_gate_asks_for_its_own_confidence_whatever_was_computed() -> None:
    result = comparison(0.035, spread=0.27)
    assert decide(result, GateSettings(confidence=0.95)).proven
    assert not decide(result, GateSettings(confidence=0.9999)).proven


def test_settings_move_the_limits() -> None:
    result = comparison(0.05)
    assert failed(result, GateSettings(min_gain=0.06)) == ["Is it large enough?"]


def test_every_verdict_says_what_could_be_seen_and_how_many_were_tried() -> None:
    for gain in (0.05, 0.0):
        last = decide(comparison(gain, trial=Trial(candidates_tried=7))).reasons[-1]
        assert "this test sees a true difference of" in last
        assert "7 candidates competed on dev" in last


def test_a_null_candidate_rarely_passes() -> None:
    rng = np.random.default_rng(9)
    gate = GateSettings(min_gain=0.0)
    passed = 0
    for number in range(150):
        labels = np.repeat(np.arange(40), 5)
        noise = rng.normal(0, 0.1, 40)[labels] + rng.normal(0, 0.15, 200)
        base = np.full(200, 0.5)
        result = compare(
            Measured("a", {"ndcg@10": base}),
            Measured("b", {"ndcg@10": base + noise}),
            Questions([f"q{n}" for n in range(200)], labels),
            trial=Trial(seed=number),
        )
        passed += decide(result, gate).proven
    assert passed / 150 <= 0.06  # only the upper half of 5% counts as a gain


def test_the_verdict_does_not_depend_on_other_metrics() -> None:
    result = comparison(0.05)
    assert decide(dataclasses.replace(result, others={"mrr@10": result.primary})) == decide(result)


def test_what_a_role_asks_for_besides_decides_too() -> None:
    kept, broken = Check("Does it draw?", True, "It draws."), Check("Does it draw?", False, "It copies.")
    assert decide(comparison(0.05), also=(kept,)).proven
    verdict = decide(comparison(0.05), also=(broken,))
    assert not verdict.proven
    assert verdict.reasons[0] == "It copies."
