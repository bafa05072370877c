"""The gate: a comparison goes in, a verdict in plain sentences comes out. Nothing goes live without "proven"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from honed.config import Settings
from honed.evaluate.comparison import Comparison
from honed.evaluate.significance import Paired, confidence_after
from honed.evaluate.wording import interval, metric_name, p_value, percent, plural, points


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What a candidate must show. Scores run from 0 to 1, so .01 is one point."""

    min_gain: float = 0.01
    max_slice_drop: float = 0.03
    min_slice_queries: int = 20
    max_general_drop: float = 0.02
    confidence: float = 0.95

    @classmethod
    def of(cls, settings: Settings) -> GateSettings:
        """What a workspace asks for."""
        return cls(settings.min_gain, settings.max_slice_drop, max_general_drop=settings.max_general_drop)


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of the gate: a question, whether the answer is yes, and a sentence that says so with the numbers."""

    name: str
    passed: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision. `reasons` are sentences for a person: what failed, or all that held; then what else to know."""

    verdict: Literal["proven", "not proven"]
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]

    @property
    def proven(self) -> bool:
        """Whether the candidate may go live."""
        return self.verdict == "proven"


def decide(comparison: Comparison, gate: GateSettings | None = None, also: Sequence[Check] = ()) -> Verdict:
    """Proven only if every check holds.

    1. The interval over clusters excludes 0 and the permutation p agrees. The interval alone would pass a test of four
       clusters whose differences happen to point the same way (p = .125); with five clusters or fewer p cannot reach
       .05, so nothing is proven on them. Both use the confidence that the number of test reads asks for.
    2. The mean gain is at least `min_gain`.
    3. No slice of `min_slice_queries` or more falls by more than `max_slice_drop` with its 95% interval below 0. The
       interval is part of the rule because slices are small: with 20 queries and a standard deviation of .2, a slice
       that lost nothing shows a drop of 3 points every fourth time, and a dozen slices would veto most true gains.
       Drops without that certainty are named in the reasons.
    4. The general probe falls by less than `max_general_drop`. Without a probe, the reasons say that it was not run.
    5. Whatever else a role asks for, given as `also`.
    """
    gate = gate or GateSettings()
    primary = comparison.at(confidence_after(comparison.test_reads, gate.confidence))
    checks = [_real(comparison, primary), _enough(primary, gate), _slices(comparison, gate)]
    if comparison.general is not None:
        checks.append(_general(comparison.general.before, comparison.general.after, gate))
    checks += also
    passed = all(check.passed for check in checks)
    reasons = [check.sentence for check in checks if passed or not check.passed]
    reasons += _notes(comparison, primary, gate)
    return Verdict("proven" if passed else "not proven", tuple(reasons), tuple(checks))


def cautions(comparison: Comparison, primary: Paired, gate: GateSettings) -> list[str]:
    """What makes this test weaker than its numbers look, in sentences; nothing when all is well."""
    found = []
    if comparison.test_reads > 1:
        found.append(
            f"This test set has been read {comparison.test_reads} times, so the gate asks for "
            f"{percent(primary.confidence)} confidence instead of {percent(gate.confidence)}; "
            "new labels would restore its strength."
        )
    if primary.few_clusters:
        uneven = primary.effective_clusters < 0.8 * primary.clusters
        worth = f", of such unequal size that they count as {primary.effective_clusters:.0f}" if uneven else " only"
        found.append(
            f"The interval is rougher than it looks: it rests on {plural(primary.clusters, 'cluster')}{worth}."
        )
    return found


def _real(comparison: Comparison, primary: Paired) -> Check:
    name, metric = "Is the difference real?", metric_name(comparison.metric)
    low, high = primary.ci
    if low == -math.inf:
        return Check(name, False, "All test queries belong to one cluster, so no interval can be given.")
    sure = percent(primary.confidence)
    change = f"{metric} goes from {primary.base:.3f} to {primary.candidate:.3f}"
    span = f"the {sure} interval from {interval(low, high)} points"
    if high < 0:
        return Check(name, False, f"{change}: it gets worse, and {span} excludes 0 (p {p_value(primary.p)}).")
    if low <= 0:
        return Check(name, False, f"{change}, but {span} includes 0, so the difference may be chance.")
    if primary.p > 1 - primary.confidence:
        return Check(
            name,
            False,
            f"{change} and {span} excludes 0, but the permutation test over {plural(primary.clusters, 'cluster')} "
            f"does not agree (p {p_value(primary.p)}).",
        )
    return Check(name, True, f"{change}, and {span} excludes 0 (p {p_value(primary.p)}).")


def _enough(primary: Paired, gate: GateSettings) -> Check:
    name = "Is it large enough?"
    asked = points(gate.min_gain)
    if primary.delta < 0:
        return Check(name, False, f"The candidate loses {points(-primary.delta)}; the gate asks for a gain of {asked}.")
    gain = points(primary.delta, beside=gate.min_gain)
    if primary.delta < gate.min_gain:
        return Check(name, False, f"The gain of {gain} is below the {asked} that the gate asks for.")
    return Check(name, True, f"The gain of {gain} is at least the {asked} that the gate asks for.")


def _slices(comparison: Comparison, gate: GateSettings) -> Check:
    name, limit = "Do all groups of queries keep up?", points(gate.max_slice_drop)
    tested = [part for part in comparison.slices if part.paired.queries >= gate.min_slice_queries]
    fallen = [part for part in tested if part.paired.delta < -gate.max_slice_drop and part.paired.ci95[1] < 0]
    if fallen:
        listed = "; ".join(
            f"'{part.name}' by {points(-part.paired.delta, beside=gate.max_slice_drop)} "
            f"({plural(part.paired.queries, 'query', 'queries')})"
            for part in sorted(fallen, key=lambda part: part.paired.delta)
        )
        return Check(name, False, f"More than the {limit} that the gate allows are lost in a slice: {listed}.")
    if not tested:
        return Check(
            name, True, f"No slice has the {gate.min_slice_queries} queries that it takes to judge it, so none was."
        )
    worst = min(tested, key=lambda part: part.paired.delta)
    return Check(
        name,
        True,
        f"No slice provably falls by more than {limit}; of {plural(len(tested), 'slice')} the weakest is "
        f"'{worst.name}' with {points(worst.paired.delta, signed=True)}.",
    )


def _general(before: float, after: float, gate: GateSettings) -> Check:
    name, limit = "Is general language kept?", points(gate.max_general_drop)
    change = f"The general probe goes from {before:.3f} to {after:.3f}"
    # Rounded, so that .80 to .78 is a drop of .02 and not of .020000000000000018.
    if round(before - after, 9) < gate.max_general_drop:
        return Check(name, True, f"{change}; a drop of {limit} would not be accepted.")
    return Check(name, False, f"{change}, a drop of {points(before - after)}; less than {limit} is accepted.")


def _notes(comparison: Comparison, primary: Paired, gate: GateSettings) -> list[str]:
    notes = []
    if comparison.general is None:
        notes.append("The general probe was not run.")
    unsure = [
        f"'{part.name}' ({points(part.paired.delta)}, {plural(part.paired.queries, 'query', 'queries')})"
        for part in comparison.slices
        if part.paired.queries >= gate.min_slice_queries
        and part.paired.delta < -gate.max_slice_drop
        and part.paired.ci95[1] >= 0
    ]
    if unsure:
        notes.append(f"Keep an eye on slices that fall, though perhaps by chance: {', '.join(unsure)}.")
    notes += cautions(comparison, primary, gate)
    if math.isfinite(primary.mde):
        notes.append(
            f"With {plural(primary.queries, 'query', 'queries')} in {plural(primary.clusters, 'cluster')} this test "
            f"sees a true difference of {points(primary.mde)} in 4 of 5 cases; "
            f"{plural(comparison.candidates_tried, 'candidate')} competed on dev."
        )
    return notes
