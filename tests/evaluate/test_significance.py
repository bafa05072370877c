from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from honed.errors import UsageError
from honed.evaluate.significance import Paired, _student, confidence_after, holm, paired

CLUSTERS = 40


def simulate(rng: np.random.Generator, *, effect: float, clusters: int = CLUSTERS) -> tuple[NDArray[np.float64], ...]:
    """Base, candidate and clusters: correlation .3 inside clusters of unequal size, half of the queries unchanged."""
    sizes = rng.geometric(0.3, clusters)
    labels = np.repeat(np.arange(clusters), sizes)
    shared = rng.normal(0, 1, clusters)[labels] * np.sqrt(0.3)
    noise = shared + rng.normal(0, 1, len(labels)) * np.sqrt(0.7)
    change = 0.2 * noise * (rng.random(len(labels)) < 0.5) + effect
    return np.full(len(labels), 0.5), 0.5 + change, labels


def repeat(effect: float, times: int, *, clusters: int = CLUSTERS) -> list[Paired]:
    rng = np.random.default_rng(11)
    return [
        paired(*simulate(rng, effect=effect, clusters=clusters), seed=number, resamples=999) for number in range(times)
    ]


@pytest.fixture(scope="module")
def null() -> list[Paired]:
    return repeat(0.0, 600)


def test_false_positives_come_as_often_as_promised(null: list[Paired]) -> None:
    by_p = np.mean([result.p <= 0.05 for result in null])
    by_interval = np.mean([not result.ci95[0] <= 0 <= result.ci95[1] for result in null])
    both = np.mean([result.p <= 0.05 and not result.ci95[0] <= 0 <= result.ci95[1] for result in null])
    assert 0.02 <= by_p <= 0.08
    assert 0.02 <= by_interval <= 0.08
    assert 0.02 <= both <= 0.08


def test_a_test_over_queries_would_be_fooled_by_the_same_data() -> None:
    rng = np.random.default_rng(11)
    hits = 0
    for number in range(300):
        base, candidate, _ = simulate(rng, effect=0.0)
        hits += paired(base, candidate, np.arange(len(base)), seed=number, resamples=999).p <= 0.05
    assert hits / 300 > 0.1


def test_the_interval_covers_the_truth() -> None:
    results = repeat(0.04, 400)
    assert 0.92 <= np.mean([result.ci95[0] <= 0.04 <= result.ci95[1] for result in results]) <= 0.98


def test_power_at_the_smallest_detectable_effect(null: list[Paired]) -> None:
    smallest = float(np.mean([result.mde for result in null]))
    found = np.mean([result.p <= 0.05 for result in repeat(smallest, 400)])
    assert 0.72 <= found <= 0.88


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [8, 12, 100])
def test_coverage_by_number_of_clusters(clusters: int) -> None:
    results = repeat(0.0, 1000, clusters=clusters)
    covered = np.mean([result.ci95[0] <= 0 <= result.ci95[1] for result in results])
    assert covered >= 0.92


def test_small_tests_go_through_every_sign_pattern() -> None:
    rng = np.random.default_rng(3)
    base = rng.random(30)
    candidate = base + rng.normal(0.05, 0.2, 30)
    labels = np.repeat(np.arange(6), 5)
    result = paired(base, candidate, labels, seed=0)
    sums = np.bincount(labels, candidate - base)
    patterns = [abs(np.dot(signs, sums)) for signs in itertools.product((-1, 1), repeat=6)]
    assert result.exact
    assert result.p == np.mean([pattern >= abs(sums.sum()) - 1e-9 for pattern in patterns])
    assert result.few_clusters


def test_the_sampled_p_agrees_with_the_exact_one() -> None:
    rng = np.random.default_rng(4)
    base, candidate, labels = simulate(rng, effect=0.02, clusters=12)
    exact = paired(base, candidate, labels, seed=0, resamples=10_000)
    sampled = paired(base, candidate, labels, seed=0, resamples=4_000)
    assert exact.exact and not sampled.exact
    assert sampled.p == pytest.approx(exact.p, abs=0.03)


def test_five_clusters_cannot_reach_five_percent() -> None:
    result = paired(np.zeros(50), np.full(50, 0.3), np.repeat(np.arange(5), 10), seed=0)
    assert result.p == 2 / 32
    assert result.ci95[0] > 0


def test_one_large_cluster_is_not_many() -> None:
    rng = np.random.default_rng(2)
    labels = np.concatenate([np.zeros(300, dtype=int), np.arange(1, 31)])
    base = rng.random(330)
    result = paired(base, base + rng.normal(0.05, 0.1, 330), labels, seed=0)
    assert result.clusters == 31
    assert result.effective_clusters == pytest.approx(330**2 / (300**2 + 30))
    assert result.few_clusters


def test_counts_means_and_direction() -> None:
    result = paired([0.5, 0.5, 0.5, 0.5], [0.7, 0.5, 0.4, 0.6], ["a", "b", "c", "d"], seed=0)
    assert (result.wins, result.losses, result.ties) == (2, 1, 1)
    assert result.delta == pytest.approx(0.05)
    assert (result.base, result.candidate) == pytest.approx((0.5, 0.55))
    assert (result.queries, result.clusters, result.unjudged) == (4, 4, 0)


def test_swapping_the_systems_mirrors_the_result() -> None:
    base, candidate, labels = simulate(np.random.default_rng(8), effect=0.03)
    there = paired(base, candidate, labels, seed=1)
    back = paired(candidate, base, labels, seed=1)
    assert back.delta == pytest.approx(-there.delta)
    assert back.ci95 == pytest.approx((-there.ci95[1], -there.ci95[0]), abs=2e-3)
    assert (back.wins, back.losses) == (there.losses, there.wins)
    assert back.mde == pytest.approx(there.mde)


def test_same_seed_same_numbers_and_label_names_do_not_matter() -> None:
    base, candidate, labels = simulate(np.random.default_rng(8), effect=0.03)
    named = [f"cluster {label}" for label in labels]
    assert paired(base, candidate, labels, seed=5) == paired(base, candidate, named, seed=5)


def test_identical_systems() -> None:
    scores = np.linspace(0, 1, 20)
    result = paired(scores, scores, np.arange(20), seed=0)
    assert (result.p, result.ci95, result.mde, result.ties) == (1.0, (0.0, 0.0), 0.0, 20)


def test_one_cluster_gives_no_interval() -> None:
    result = paired([0.1, 0.2], [0.3, 0.4], ["a", "a"], seed=0)
    assert result.ci95 == (-np.inf, np.inf)
    assert (result.p, result.mde) == (1.0, np.inf)


def test_unjudged_queries_are_left_out_and_counted() -> None:
    result = paired([0.1, np.nan, 0.2], [0.3, np.nan, 0.4], ["a", "b", "c"], seed=0)
    assert (result.queries, result.clusters, result.unjudged) == (2, 2, 1)
    assert result.delta == pytest.approx(0.2)


def test_a_higher_confidence_widens_the_interval_and_the_smallest_effect() -> None:
    base, candidate, labels = simulate(np.random.default_rng(8), effect=0.03)
    plain = paired(base, candidate, labels, seed=1)
    strict = paired(base, candidate, labels, seed=1, confidence=0.99)
    assert strict.ci[0] < plain.ci[0] and strict.ci[1] > plain.ci[1]
    assert strict.ci95 == plain.ci95 == plain.ci
    assert strict.mde > plain.mde


@pytest.mark.parametrize(
    ("base", "candidate", "clusters", "words"),
    [
        ([0.1], [0.1, 0.2], ["a"], "1 scores, 2 scores"),
        ([np.nan], [0.1], ["a"], "not for the other"),
        ([np.nan], [np.nan], ["a"], "No query has a judgement"),
        ([], [], [], "No query has a judgement"),
    ],
)
def test_what_cannot_be_compared(base: list[float], candidate: list[float], clusters: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        paired(base, candidate, clusters, seed=0)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_is_a_share(confidence: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        paired([0.1, 0.2], [0.2, 0.3], ["a", "b"], seed=0, confidence=confidence)


def test_five_thousand_queries_take_a_moment() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(5_000)
    started = time.process_time()
    paired(base, base + rng.normal(0, 0.2, 5_000), np.arange(5_000), seed=0)
    assert time.process_time() - started < 3.0  # measured 0.8 s: room for a slow machine


def test_student_quantiles() -> None:
    known = {
        (0.975, 1): 12.706,
        (0.975, 2): 4.303,
        (0.975, 3): 3.182,
        (0.975, 9): 2.262,
        (0.8, 4): 0.941,
        (0.995, 30): 2.75,
    }
    for (p, freedom), value in known.items():
        assert _student(p, freedom) == pytest.approx(value, abs=0.004)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([0.5, 0.9]) == pytest.approx((1.0, 1.0))
    assert holm([]) == ()


def test_every_read_of_a_test_set_halves_the_error() -> None:
    assert [round(1 - confidence_after(reads), 6) for reads in (1, 2, 3)] == [0.05, 0.025, 0.0125]
    assert sum(1 - confidence_after(reads) for reads in range(1, 40)) <= 0.1 + 1e-9
    with pytest.raises(UsageError):
        confidence_after(0)
