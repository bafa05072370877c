"""Is the gate honest? Its own code on candidates that are no better, and on candidates that are truly better by a little.

    python benchmarks/gate/run.py [--quick] [--out FILE]

Scores look like nDCG@10 of one relevant passage a question: about 30 % zeros, 30 % ones, correlated inside clusters of 1 to 15
questions. Every verdict is that of `compare` and `decide`, with eight slices, after the best of 30 candidates was chosen on a
dev set of the same size. One JSON goes to results.json, RESULTS.md is written anew from it and NOTES.md, and docs/gate.svg
shows it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.evaluate.comparison import Comparison, Measured, Questions, Trial, compare
from honed.evaluate.gate import GateSettings, decide, smallest
from honed.evaluate.ledger import IGNORED
from honed.evaluate.significance import standard_error
from honed.evaluate.slices import Slice
from honed.tuning.candidate import cheapest

HERE = Path(__file__).parent
PICTURE = HERE.parent.parent / "docs" / "gate.svg"
SIZES = (20, 50, 100, 250)
COMPETING = 30
GAIN = 0.03
RESAMPLES = 2_000
METRIC = "ndcg@10"

Scores = NDArray[np.float64]

_GAINS = np.array([1 / np.log2(1 + rank) for rank in range(1, 11)] + [0.0])
_EDGES = np.array([0.55, 0.25, 0.05, -0.08, -0.18, -0.27, -0.35, -0.42, -0.48, -0.54])


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A sample of questions: cluster of each, and how hard it is for every system alike."""

    clusters: NDArray[np.int64]
    ease: Scores

    @classmethod
    def draw(cls, rng: np.random.Generator, clusters: int) -> World:
        sizes = np.minimum(15, rng.geometric(0.25, clusters))
        labels = np.repeat(np.arange(clusters), sizes)
        return cls(labels, _common(rng, labels))

    def __len__(self) -> int:
        return len(self.clusters)

    def system(self, rng: np.random.Generator, better: float = 0.0, many: int = 1) -> Scores:
        """Scores [many, questions] of systems whose luck is partly that of a cluster, partly that of a question."""
        shared = rng.normal(0, 0.22, (many, int(self.clusters.max()) + 1))[:, self.clusters]
        return ndcg(self.ease + shared + rng.normal(0, 0.30, (many, len(self))) + better)

    def grown(self, rng: np.random.Generator, count: int) -> World:
        """With so many new questions: half of them in clusters that are there, half in new ones."""
        old = rng.choice(self.clusters, count // 2)
        fresh = self.clusters.max() + 1 + np.arange(count - count // 2) // 4
        labels = np.concatenate([old, fresh])
        return World(np.concatenate([self.clusters, labels]), np.concatenate([self.ease, _common(rng, labels)]))


def _common(rng: np.random.Generator, labels: NDArray[np.int64]) -> Scores:
    return rng.normal(0, 0.6, int(labels.max()) + 1)[labels] + rng.normal(0, 0.7, len(labels))


def ndcg(quality: Scores) -> Scores:
    """The rank that a quality is worth, as nDCG@10."""
    return _GAINS[np.searchsorted(-_EDGES, -quality)]


@cache
def better_by(gain: float) -> float:
    """The quality that is worth a gain on average."""
    if not gain:
        return 0.0
    better, gains = _worth()
    return float(np.interp(gain, gains, better))


@cache
def _worth() -> tuple[Scores, Scores]:
    """Steps of quality, and the mean gain that each is worth."""
    better = np.linspace(0, 1.2, 40)
    gains = []
    for step in better:
        rng = np.random.default_rng(99)
        world = World.draw(rng, 40_000)
        base = world.system(rng)
        gains.append(float((world.system(rng, step) - base).mean()))
    return better, np.array(gains) - gains[0]


def slices(rng: np.random.Generator, count: int) -> tuple[Slice, ...]:
    """Thirds by two properties and halves by another, as questions of any data have them."""
    groups = []
    for name, parts in (("length", 3), ("word overlap", 3), ("relevant documents", 2)):
        place = rng.integers(0, parts, count)
        groups += [Slice(f"{name} {part}", place == part) for part in range(parts)]
    return tuple(groups)


def compared(
    world: World, base: Scores, candidate: Scores, parts: Sequence[Slice] = (), *, reads: int = 1, seed: int = 0
) -> Comparison:
    return compare(
        Measured("base", {METRIC: base}),
        Measured("candidate", {METRIC: candidate}),
        Questions([str(number) for number in range(len(world))], world.clusters, tuple(parts)),
        trial=Trial(COMPETING, reads, seed=seed, resamples=RESAMPLES),
    )


def accepted(world: World, base: Scores, candidate: Scores, parts: Sequence[Slice], *, reads: int, seed: int) -> bool:
    """What the gate says."""
    if hopeless(world, base, candidate):
        return False
    return decide(compared(world, base, candidate, parts, reads=reads, seed=seed)).proven


def hopeless(world: World, base: Scores, candidate: Scores) -> bool:
    """Whether the gate refuses anyhow, which saves the work: too small a gain, or no interval could exclude 0."""
    gain = float((candidate - base).mean())
    return gain < max(GateSettings().min_gain, 1.5 * standard_error(candidate - base, world.clusters))


def chosen(rng: np.random.Generator, clusters: int, gains: Scores) -> int:
    """Which of many candidates with these true gains a turn would send to the test, by its own rule on dev."""
    dev = World.draw(rng, clusters)
    better = np.array([better_by(float(gain)) for gain in gains])
    scores = dev.system(rng, better[:, None], len(gains))
    return cheapest(list(scores), dev.clusters)


def one_look(rng: np.random.Generator, clusters: int, gains: Scores, seed: int) -> bool:
    """Choose among candidates on dev, then one verdict."""
    pick = chosen(rng, clusters, gains)
    world = World.draw(rng, clusters)
    base, candidate = world.system(rng)[0], world.system(rng, better_by(float(gains[pick])))[0]
    return accepted(world, base, candidate, slices(rng, len(world)), reads=1, seed=seed)


def power(rng: np.random.Generator, clusters: int, gain: float, trials: int) -> dict[str, Any]:
    """How often one candidate with a true gain passes, without a choice before."""
    hits = 0
    for seed in range(trials):
        world = World.draw(rng, clusters)
        base, candidate = world.system(rng)[0], world.system(rng, better_by(gain))[0]
        hits += accepted(world, base, candidate, slices(rng, len(world)), reads=1, seed=seed)
    return rate(hits, trials)


def stated(rng: np.random.Generator, clusters: int, trials: int, reads: int = 1) -> float:
    """The mean difference that reports call detectable."""
    sizes = []
    for seed in range(trials):
        world = World.draw(rng, clusters)
        pair = world.system(rng)[0], world.system(rng, better_by(GAIN))[0]
        sizes.append(smallest(compared(world, *pair, reads=reads, seed=seed), GateSettings()))
    return float(np.mean(sizes))


def at_80(points: dict[float, dict[str, Any]]) -> float:
    """The share of the stated size at which four of five pass, between the measured ones."""
    return float(np.interp(0.8, [points[key]["rate"] for key in sorted(points)], sorted(points)))


# -- ten rounds --------------------------------------------------------------------------------------------------------

Rule = Callable[[NDArray[np.int64]], float]
"""Looks that the questions of a test set have had before -> look that this one counts as."""

RULES: dict[str, Rule] = {
    "one hash of the whole set (before)": lambda looks: 1.0 if (looks == 0).any() else 1.0 + looks.min(),
    "mean of the questions' looks": lambda looks: 1.0 + float(looks.mean()),
    "the most looked-at question": lambda looks: 1.0 + looks.max(),
    "the most looked-at twentieth (taken)": lambda looks: 1.0 + np.sort(looks)[::-1][int(IGNORED * len(looks))],
}


def rounds(
    rng: np.random.Generator, clusters: int, growth: int, seed: int
) -> Iterator[tuple[World, Scores, Scores, Any]]:
    """Ten rounds on one test set that grows: each time the best of 30 worthless candidates of dev, against the same base.

    Only the first acceptance counts, and until then nothing that passed could have been kept: the base stays.
    """
    world = World.draw(rng, clusters)
    looks = np.zeros(len(world), np.int64)
    base = world.system(rng)[0]
    for number in range(10):
        if number and growth:
            bigger = world.grown(rng, growth)
            more = replace(bigger, clusters=bigger.clusters[len(world) :], ease=bigger.ease[len(world) :])
            base = np.concatenate([base, more.system(rng)[0]])
            world, looks = bigger, np.concatenate([looks, np.zeros(growth, np.int64)])
        chosen(rng, 20, np.zeros(COMPETING))
        yield world, base, world.system(rng)[0], looks
        looks = looks + 1


def ten_rounds(clusters: int, growth: int, trials: int) -> dict[str, Any]:
    """Share of lives of ten rounds in which anything worthless was accepted, for each rule."""
    rng = np.random.default_rng([7, clusters, growth])
    hits = dict.fromkeys(RULES, 0)
    for seed in range(trials):
        fooled: set[str] = set()
        for world, base, candidate, looks in rounds(rng, clusters, growth, seed):
            parts = slices(rng, len(world))
            if hopeless(world, base, candidate):
                continue
            comparison = compared(world, base, candidate, parts, seed=seed)
            if comparison.primary.ci[0] <= 0 or comparison.primary.p > 0.05:
                continue  # no rule asks for less than that
            fooled |= {name for name, rule in RULES.items() if name not in fooled and at_look(comparison, rule(looks))}
        for name in fooled:
            hits[name] += 1
    return {name: rate(count, trials) for name, count in hits.items()}


def at_look(comparison: Comparison, look: float) -> bool:
    """The gate at a look that may be a broken number: alpha / 2^(look - 1)."""
    return decide(comparison, GateSettings(confidence=1 - 0.05 / 2 ** (look - 1))).proven


def fresh_rounds(clusters: int, growth: int, trials: int) -> dict[str, Any]:
    """Per test: worthless candidates on new questions alone, half of which lie in clusters that were looked at."""
    rng = np.random.default_rng([8, clusters, growth])
    hits = tests = 0
    for seed in range(trials):
        world = World.draw(rng, clusters)
        for _ in range(3):
            bigger = world.grown(rng, growth)
            new = World(bigger.clusters[len(world) :], bigger.ease[len(world) :])
            hits += accepted(new, new.system(rng)[0], new.system(rng)[0], (), reads=1, seed=seed)
            tests, world = tests + 1, bigger
    return rate(hits, tests)


# -- slices ------------------------------------------------------------------------------------------------------------


def vetoes(trials: int) -> dict[str, Any]:
    """How often slices refuse: twelve that all gain alike, and one of an eighth of the questions that loses."""
    rng = np.random.default_rng(13)
    counts = dict.fromkeys(("twelve that gain alike", "the same, no correction", "an eighth loses"), 0)
    lost = []
    for seed in range(trials):
        world = World.draw(rng, 150)
        base, candidate = world.system(rng)[0], world.system(rng, better_by(0.04))[0]
        place = rng.integers(0, 12, len(world))
        parts = [Slice(f"part {part}", place == part) for part in range(12)]
        comparison = compared(world, base, candidate, parts, seed=seed)
        counts["twelve that gain alike"] += _refused(comparison)
        counts["the same, no correction"] += any(
            part.paired.delta < -0.03 and part.paired.ci95[1] < 0 for part in comparison.slices
        )
        hurt = rng.random(len(world)) < 1 / 8
        worse = np.where(hurt, base * (rng.random(len(world)) < 0.85), candidate)
        lost.append(float((worse - base)[hurt].mean()))
        others = [Slice(f"part {part}", (place == part) & ~hurt) for part in range(11)]
        counts["an eighth loses"] += _refused(compared(world, base, worse, [Slice("hurt", hurt), *others], seed=seed))
    return {name: rate(count, trials) for name, count in counts.items()} | {"lost": float(np.mean(lost))}


def _refused(comparison: Comparison) -> bool:
    return any("groups" in check.name and not check.passed for check in decide(comparison).checks)


# -- all of it ---------------------------------------------------------------------------------------------------------


def rate(hits: int, trials: int) -> dict[str, Any]:
    share = hits / trials
    return {"hits": int(hits), "of": trials, "rate": share, "error": (share * (1 - share) / trials) ** 0.5}


def at_size(clusters: int, trials: int) -> dict[str, Any]:
    rng = np.random.default_rng([5, clusters])
    nothing, one_good = np.zeros(COMPETING), np.append(GAIN, np.zeros(COMPETING - 1))
    all_good = np.full(COMPETING, GAIN)
    detectable = stated(rng, clusters, max(20, trials // 20))
    points = {factor: power(rng, clusters, factor * detectable, trials // 3) for factor in (0.8, 1.0, 1.2)}
    return {
        "questions": round(np.mean([len(World.draw(rng, clusters)) for _ in range(100)])),
        "null": rate(sum(one_look(rng, clusters, nothing, seed) for seed in range(trials)), trials),
        "gain": rate(sum(one_look(rng, clusters, all_good, seed) for seed in range(trials)), trials),
        "one good": rate(sum(one_look(rng, clusters, one_good, seed) for seed in range(trials // 4)), trials // 4),
        "detectable": detectable,
        "detectable at look 10": stated(rng, clusters, 6, reads=10),
        "power": {str(factor): points[factor] for factor in points},
        "80 % at": at_80(points),
    }


def scores() -> dict[str, float]:
    """What the made scores look like."""
    rng = np.random.default_rng(5)
    world = World.draw(rng, 20_000)
    base, candidate = world.system(rng)[0], world.system(rng)[0]
    differences = float((candidate - base).std())
    return {"zeros": float((base == 0).mean()), "ones": float((base == 1).mean()), "spread of differences": differences}


def simulate(trials: int, tell: Callable[[str], None] = print) -> dict[str, Any]:
    """Everything, in two processes."""
    started = time.monotonic()
    lives = max(20, trials // 5)
    with ProcessPoolExecutor(2) as pool:
        sizes = {str(clusters): pool.submit(at_size, clusters, trials) for clusters in reversed(SIZES)}
        rounds_ = {
            f"{clusters} clusters, {growth or 'no'} new labels a round": pool.submit(
                ten_rounds, clusters, growth, lives
            )
            for clusters in (20, 50, 100)
            for growth in (0, 20)
        }
        fresh, slices_ = pool.submit(fresh_rounds, 50, 100, lives), pool.submit(vetoes, lives)
        result: dict[str, Any] = {"trials": trials, "lives": lives, "scores": scores()}
        result["sizes"] = {str(clusters): sizes[str(clusters)].result() for clusters in SIZES}
        tell(json.dumps(result, indent=1))
        result["rounds"] = {name: future.result() for name, future in rounds_.items()}
        result |= {"fresh": fresh.result(), "slices": slices_.result()}
    return result | {"seconds": round(time.monotonic() - started)}


def main() -> None:
    from pages import picture, write_results

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: nothing is written but --out")
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    options = parser.parse_args()
    result = simulate(40 if options.quick else 2_000, lambda line: print(line, flush=True))
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    if not options.quick:
        write_results(result, HERE)
        picture(result, PICTURE)


if __name__ == "__main__":
    main()
