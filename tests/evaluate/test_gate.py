from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from honed.evaluate.comparison import Comparison, General, Measured, Questions, Trial, compare
from honed.evaluate.gate import Check, GateSettings, decide, smallest
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


def test_a_large_true_effect_is_proven_at_any_look() -> None:
    count = 400
    for reads in (1, 9, 10, 14, 60):
        result = compare(
            Measured("a", {"ndcg@10": np.zeros(count)}),
            Measured("b", {"ndcg@10": np.ones(count)}),
            Questions([str(number) for number in range(count)], np.arange(count)),
            trial=Trial(1, reads),
        )
        assert decide(result).proven, reads


def test_an_effect_with_a_spread_is_proven_at_the_tenth_look() -> None:
    result = comparison(0.1, spread=0.15, trial=Trial(test_reads=10))
    assert decide(result).proven
    assert result.primary.p < 1 - result.primary.confidence < 1e-4


def test_too_few_clusters_for_a_look_are_said_to_be_too_few() -> None:
    """Twelve clusters can prove a gain at the first look; at the tenth no p is small enough."""
    first, tenth = (comparison(0.2, spread=0.01, clusters=12, trial=Trial(test_reads=reads)) for reads in (1, 10))
    assert decide(first).proven
    assert failed(tenth) == ["Is the difference real?"]
    assert "it cannot with fewer than 15" in decide(tenth).reasons[0]
    assert "nothing can be proven, however large it is: that takes 15 clusters" in decide(tenth).reasons[-1]


def test_what_can_be_detected_contains_the_gain_that_is_asked_for() -> None:
    result = comparison(0.05, spread=0.01)
    assert smallest(result, GateSettings(min_gain=0.0)) == pytest.approx(1.05 * result.primary.mde)
    assert smallest(result, GateSettings(min_gain=0.02)) > 0.02
    wide = comparison(0.05, spread=0.5)
    assert smallest(wide, GateSettings(min_gain=0.01)) == pytest.approx(1.05 * wide.primary.mde)


def test_identical_systems_are_not_said_to_detect_a_difference_of_nothing() -> None:
    last = decide(comparison(0.0, spread=0.0)).reasons[-1]
    assert "what such a test could show is not known" in last
    assert "0 points" not in last


def test_a_verdict_on_titles_says_so() -> None:
    verdict = decide(comparison(0.05, trial=Trial(proxy=True)))
    assert (verdict.verdict, verdict.text, verdict.proxy) == ("proven", "PROXY proven", True)
    assert any(reason.startswith("PROXY: there are no labels") for reason in verdict.reasons)
    assert "With 300 titles in 100 clusters" in verdict.reasons[-1]


def test_a_used_test_says_what_is_fresh_in_it_and_what_that_could_show() -> None:
    fresh = np.arange(COUNT) % 100 >= 70
    reasons = decide(comparison(0.05, trial=Trial(test_reads=4, fresh=fresh))).reasons
    said = next(reason for reason in reasons if "never been looked at" in reason)
    assert said.startswith("90 questions of them in 30 clusters")
    assert "alone they would have shown a true difference of" in said
    few = np.arange(COUNT) % 100 >= 97
    reasons = decide(comparison(0.05, trial=Trial(test_reads=4, fresh=few))).reasons
    assert any("alone they could prove nothing: that takes 6 clusters" in reason for reason in reasons)


def _parts(rng: np.random.Generator, count: int, number: int) -> tuple[Slice, ...]:
    place = rng.integers(0, number, count)
    return tuple(Slice(f"part {part}", place == part) for part in range(number))


def _vetoes(drop: float, *, parts: int, trials: int = 80) -> tuple[float, float]:
    """Share of candidates that are refused for a slice, with the correction and by each slice's own interval."""
    rng = np.random.default_rng(3)
    gate = GateSettings(max_slice_drop=0.0)
    refused = alone = 0
    for number in range(trials):
        noise = rng.normal(0, 0.2, COUNT)
        slices = _parts(rng, COUNT, parts)
        candidate = 0.5 + noise - np.where(slices[0].members, drop, 0.0)
        result = compare(
            Measured("a", {"ndcg@10": np.full(COUNT, 0.5)}),
            Measured("b", {"ndcg@10": candidate}),
            Questions([f"q{n}" for n in range(COUNT)], np.arange(COUNT) // 2, slices),
            trial=Trial(seed=number, resamples=2_000),
        )
        refused += any("groups" in check.name and not check.passed for check in decide(result, gate).checks)
        alone += any(part.paired.ci95[1] < 0 for part in result.slices)
    return refused / trials, alone / trials


def test_many_slices_do_not_veto_by_being_many() -> None:
    corrected, alone = _vetoes(0.0, parts=12)
    assert corrected <= 0.125  # 5 % is promised; 10 of 80 come in 1 of 100 such tests
    assert alone > 0.15


def test_a_slice_that_truly_falls_is_still_seen_among_many() -> None:
    assert _vetoes(0.16, parts=12)[0] > 0.8


def test_settings_move_the_limits() -> None:
    result = comparison(0.05)
    assert failed(result, GateSettings(min_gain=0.06)) == ["Is it large enough?"]


def test_every_verdict_says_what_could_be_seen_and_how_many_were_tried() -> None:
    for gain in (0.05, 0.0):
        last = decide(comparison(gain, trial=Trial(candidates_tried=7))).reasons[-1]
        assert "this gate accepts a true difference of" in last
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
