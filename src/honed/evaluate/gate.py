"""The gate: a comparison goes in, a verdict in plain sentences comes out. Nothing goes live without "proven"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from honed.config import Settings
from honed.evaluate.comparison import Comparison, Fresh, SliceResult
from honed.evaluate.significance import Paired, confidence_after, detectable, holm, least_clusters
from honed.evaluate.wording import interval, metric_name, p_value, percent, plural, points

_SURE = 0.9  # of all slices together, two-sided: one time in twenty that any falls by chance
_PROXY = (
    "PROXY: there are no labels, so titles and headings stood in for questions. What this shows, it shows of titles."
)


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Thresholds that a candidate must pass. Scores run from 0 to 1, so .01 is one point."""

    min_gain: float = 0.01
    max_slice_drop: float = 0.03
    min_slice_queries: int = 20
    max_general_drop: float = 0.02
    confidence: float = 0.95

    @classmethod
    def of(cls, settings: Settings) -> GateSettings:
        """The settings of a workspace."""
        return cls(settings.min_gain, settings.max_slice_drop, max_general_drop=settings.max_general_drop)


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of the gate: a question, whether the answer is yes, and a sentence that says so with the numbers."""

    name: str
    passed: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision. `reasons` are sentences for a person: what failed, or all that held; then what else to know.

    `proxy` tells that titles stood in for questions: then whatever was found is found of titles.
    """

    verdict: Literal["proven", "not proven"]
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    proxy: bool = False

    @property
    def proven(self) -> bool:
        """Whether the candidate may go live."""
        return self.verdict == "proven"

    @property
    def text(self) -> str:
        """The verdict as it is shown everywhere: "proven", "not proven", or one of them behind "PROXY"."""
        return f"PROXY {self.verdict}" if self.proxy else self.verdict


@dataclass(frozen=True, slots=True)
class Superior:
    """The criterion of a role whose candidates have to be better."""


@dataclass(frozen=True, slots=True)
class NotInferior:
    """The criterion of a role whose candidates save something, and must not be worse by more than a margin.

    Attributes:
        margin: Largest loss, of scores from 0 to 1, that the interval may still hold.
        saving: Share that has to be saved.
        of: What is saved, for a sentence: "bytes of the index".
    """

    margin: float
    saving: float
    of: str


Criterion = Superior | NotInferior
SUPERIOR = Superior()


def decide(
    comparison: Comparison,
    gate: GateSettings | None = None,
    also: Sequence[Check] = (),
    *,
    criterion: Criterion = SUPERIOR,
    saved: float = 0.0,
) -> Verdict:
    """Proven only if every check holds.

    1. The interval over clusters excludes 0 and the permutation p agrees. The interval alone would pass a test of four
       clusters whose differences happen to point the same way (p = .125); with five clusters or fewer p cannot reach
       .05, so nothing is proven on them. Both use the confidence that the number of test reads asks for.
    2. The mean gain is at least `min_gain`.
    3. No slice of `min_slice_queries` or more falls by more than `max_slice_drop` with its 95% interval below 0 and a
       one-sided p that stays below .05 when it is corrected for the number of slices (Holm). Certainty is part of it because
       slices are small: with 20 queries and a standard deviation of .2, a slice that lost nothing shows a drop of 3
       points every fourth time, and a dozen slices would veto most true gains. A slice of so few clusters that no p of
       its own could reach .05 is not among those that are corrected for. Drops without certainty are named in the
       reasons.
    4. The general probe falls by less than `max_general_drop`. Without a probe, the reasons say that it was not run.
    5. Whatever else a role asks for, given as `also`.

    Where the criterion is `NotInferior`, the interval has to exclude a loss of its margin instead of 1, and `saved`, a
    share, has to reach its saving instead of 2 (Schuirmann 1987).
    """
    gate = gate or GateSettings()
    primary = comparison.at(confidence_after(comparison.test_reads, gate.confidence))
    if isinstance(criterion, NotInferior):
        checks = [_no_worse(comparison, primary, criterion), _saves(criterion, saved)]
    else:
        checks = [_real(comparison, primary), _enough(primary, gate)]
    checks.append(_slices(comparison, gate))
    if comparison.general is not None:
        checks.append(_general(comparison.general.before, comparison.general.after, gate))
    checks += also
    passed = all(check.passed for check in checks)
    reasons = [check.sentence for check in checks if passed or not check.passed]
    reasons += _notes(comparison, primary, gate)
    return Verdict("proven" if passed else "not proven", tuple(reasons), tuple(checks), comparison.proxy)


def smallest(comparison: Comparison, gate: GateSettings) -> float:
    """The true difference that this gate accepts in 80 of 100 such tests; infinite where nothing can be proven."""
    primary = comparison.at(confidence_after(comparison.test_reads, gate.confidence))
    if primary.clusters < least_clusters(primary.confidence):
        return math.inf
    return detectable(primary.mde, primary.effective_clusters, primary.confidence, gate.min_gain)


def smallest_fresh(fresh: Fresh, gate: GateSettings) -> float:
    """The true difference that this gate accepts in 80 of 100 first looks at the fresh questions alone."""
    if fresh.clusters < least_clusters(gate.confidence):
        return math.inf
    return detectable(fresh.mde, fresh.effective_clusters, gate.confidence, gate.min_gain)


def cautions(comparison: Comparison, primary: Paired, gate: GateSettings) -> list[str]:
    """What makes this test weaker than its numbers look, in sentences; nothing when all is well."""
    sentences = []
    if comparison.test_reads > 1:
        sentences.append(
            f"These test {_unit(comparison)} have been read {comparison.test_reads} times, this look counted, so the gate "
            f"asks for {percent(primary.confidence)} confidence instead of {percent(gate.confidence)}; "
            "new labels would restore its strength (`--fresh` tests on them alone)."
        )
    if primary.few_clusters:
        uneven = primary.effective_clusters < 0.8 * primary.clusters
        worth = f", of such unequal size that they count as {primary.effective_clusters:.0f}" if uneven else " only"
        sentences.append(
            f"The interval is rougher than it looks: it rests on {plural(primary.clusters, 'cluster')}{worth}."
        )
    return sentences


def _unit(comparison: Comparison) -> str:
    """The noun for what a test consists of."""
    return "titles" if comparison.proxy else "questions"


def _real(comparison: Comparison, primary: Paired) -> Check:
    name, metric = "Is the difference real?", metric_name(comparison.metric)
    low, high = primary.ci
    if low == -math.inf:
        return Check(name, False, "All test queries belong to one cluster, so no interval can be given.")
    alpha = 1 - primary.confidence
    p = p_value(primary.p, beside=alpha)
    change = f"{metric} goes from {primary.base:.3f} to {primary.candidate:.3f}"
    span = f"the {percent(primary.confidence)} interval from {interval(low, high)} points"
    if high < 0:
        return Check(name, False, f"{change}: it gets worse, and {span} excludes 0 (p {p}).")
    if low <= 0:
        return Check(name, False, f"{change}, but {span} includes 0, so the difference may be chance.")
    if primary.p > alpha:
        return Check(name, False, f"{change} and {span} excludes 0, but {_disagreement(primary, p)}.")
    return Check(name, True, f"{change}, and {span} excludes 0 (p {p}).")


def _disagreement(primary: Paired, p: str) -> str:
    """Why the permutation test does not call a difference real that the interval does."""
    alpha, clusters = 1 - primary.confidence, plural(primary.clusters, "cluster")
    asked_for = f"p {p}, at most {alpha:.2g} is asked for"
    least = least_clusters(primary.confidence)
    cannot = f"; it cannot with fewer than {least}" if primary.clusters < least else ""
    return f"the permutation test over {clusters} does not agree ({asked_for}{cannot})"


def _no_worse(comparison: Comparison, primary: Paired, criterion: NotInferior) -> Check:
    name, margin = "Is it no worse?", points(criterion.margin)
    low, high = primary.ci
    if low == -math.inf:
        return Check(name, False, "All test queries belong to one cluster, so no interval can be given.")
    change = f"{metric_name(comparison.metric)} goes from {primary.base:.3f} to {primary.candidate:.3f}"
    span = f"the {percent(primary.confidence)} interval from {interval(low, high)} points"
    if low > -criterion.margin:
        return Check(name, True, f"{change}, and {span} excludes a loss of {margin}.")
    return Check(name, False, f"{change}, and {span} does not exclude a loss of {margin}.")


def _saves(criterion: NotInferior, saved: float) -> Check:
    sentence = f"{percent(round(saved, 3))} of the {criterion.of} are saved; {percent(criterion.saving)} are asked for."
    return Check("Does it save enough?", saved >= criterion.saving, sentence)


def _enough(primary: Paired, gate: GateSettings) -> Check:
    name = "Is it large enough?"
    least = points(gate.min_gain)
    if primary.delta < 0:
        return Check(name, False, f"The candidate loses {points(-primary.delta)}; the gate asks for a gain of {least}.")
    gain = points(primary.delta, beside=gate.min_gain)
    if primary.delta < gate.min_gain:
        return Check(name, False, f"The gain of {gain} is below the {least} that the gate asks for.")
    return Check(name, True, f"The gain of {gain} is at least the {least} that the gate asks for.")


def _slices(comparison: Comparison, gate: GateSettings) -> Check:
    name, limit = "Do all groups of queries keep up?", points(gate.max_slice_drop)
    tested = [part for part in comparison.slices if part.paired.queries >= gate.min_slice_queries]
    fallen = _fallen(tested, gate)
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


def _fallen(tested: Sequence[SliceResult], gate: GateSettings) -> list[SliceResult]:
    """The slices that lose more than is allowed, beyond doubt and although there are many of them."""
    sure = [part for part in tested if part.paired.clusters >= least_clusters(_SURE)]
    corrected = holm([part.paired.p for part in sure])
    return [
        part
        for part, p in zip(sure, corrected, strict=True)
        if part.paired.delta < -gate.max_slice_drop and part.paired.ci95[1] < 0 and p <= 1 - _SURE
    ]


def _general(before: float, after: float, gate: GateSettings) -> Check:
    name, limit = "Is general language kept?", points(gate.max_general_drop)
    change = f"The general probe goes from {before:.3f} to {after:.3f}"
    # Rounded, so that .80 to .78 is a drop of .02 and not of .020000000000000018.
    if round(before - after, 9) < gate.max_general_drop:
        return Check(name, True, f"{change}; a drop of {limit} would not be accepted.")
    return Check(name, False, f"{change}, a drop of {points(before - after)}; less than {limit} is accepted.")


def _notes(comparison: Comparison, primary: Paired, gate: GateSettings) -> list[str]:
    notes = [_PROXY] if comparison.proxy else []
    if comparison.general is None:
        notes.append("The general probe was not run.")
    tested = [part for part in comparison.slices if part.paired.queries >= gate.min_slice_queries]
    fallen = _fallen(tested, gate)
    unsure = [
        f"'{part.name}' ({points(part.paired.delta)}, {plural(part.paired.queries, 'query', 'queries')})"
        for part in tested
        if part.paired.delta < -gate.max_slice_drop and part not in fallen
    ]
    if unsure:
        notes.append(f"Keep an eye on slices that fall, though perhaps by chance: {', '.join(unsure)}.")
    notes += cautions(comparison, primary, gate)
    if comparison.fresh and comparison.test_reads > 1:
        notes.append(_freshness(comparison, gate))
    return [*notes, _strength(comparison, primary, gate)]


def _freshness(comparison: Comparison, gate: GateSettings) -> str:
    """A sentence on the questions that nobody had looked at before."""
    fresh = comparison.fresh
    assert fresh is not None
    if not fresh.queries:
        return "All of them had been looked at before."
    who = f"{plural(fresh.queries, 'question')} of them in {plural(fresh.clusters, 'cluster')} had never been looked at"
    size = smallest_fresh(fresh, gate)
    if not math.isfinite(size):
        return f"{who}; alone they could prove nothing: that takes {least_clusters(gate.confidence)} clusters."
    return f"{who}; alone they would have shown a true difference of {points(size)} in 4 of 5 cases."


def _strength(comparison: Comparison, primary: Paired, gate: GateSettings) -> str:
    tried = f"{plural(comparison.candidates_tried, 'candidate')} competed on dev."
    size = f"{primary.queries:,} {_unit(comparison)} in {plural(primary.clusters, 'cluster')}"
    if not primary.wins + primary.losses:
        return f"Both score the same on each of the {size}, so what such a test could show is not known; {tried}"
    seen = smallest(comparison, gate)
    if not math.isfinite(seen):
        least = least_clusters(primary.confidence)
        return f"With {size} nothing can be proven, however large it is: that takes {least} clusters; {tried}"
    return f"With {size} this gate accepts a true difference of {points(seen)} in 4 of 5 cases; {tried}"
