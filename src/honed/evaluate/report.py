"""A comparison and its verdict as one HTML file for people, and as ten lines for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from markupsafe import Markup

from honed.errors import MissingError
from honed.evaluate import figures, wording
from honed.evaluate.comparison import Comparison
from honed.evaluate.gate import GateSettings, Verdict, cautions, smallest
from honed.evaluate.metrics import Scores
from honed.evaluate.significance import Paired
from honed.workspace import write_atomic

SMALL_TEST = 100
"""Below this many queries the report warns: with a standard deviation of .2 only gains of 5 points can be seen."""

_CASES = 10
_DEPTH = 3
_EXCERPT = 320


@dataclass(frozen=True, slots=True)
class StageRow:
    """One training stage: what its candidate is, its metric on dev, the seconds it took, whether it went to the test."""

    name: str
    what: str
    dev: float | None
    seconds: float
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage or picture as it was retrieved, best first in its list, and whether the judgements call it relevant.

    `picture` is a data URI, or "" for text.
    """

    title: str
    text: str
    relevant: bool
    picture: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One test query: its scores and what both systems retrieved. `picture` is a data URI where the query is a picture."""

    query: str
    base: float
    candidate: float
    before: tuple[Hit, ...]
    after: tuple[Hit, ...]
    picture: str = ""

    @property
    def gain(self) -> float:
        """Candidate minus base."""
        return self.candidate - self.base


@dataclass(frozen=True, slots=True)
class Cost:
    """One line of "time and size": what, for the base, for the candidate. Texts with their units."""

    what: str
    base: str
    candidate: str


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that the report shows.

    Attributes:
        title: Of the page, for example the name of the workspace.
        comparison: What was measured.
        verdict: What the gate said.
        gate: The settings that it said it with.
        test_set: Its name and hash in words, for example "test split, sha256 3f2a…".
        digests: Name of a system -> fingerprint of what it is made of.
        others: Systems that could have been the baseline: name -> metric -> mean. Nothing is decided by them.
        stages: The candidates that competed on dev.
        sheets: Pictures to show whole: a sentence and a data URI each.
        cases: Queries to show. The ten largest gains and the ten largest losses among them are.
        costs: Time and size of both systems.
        data_card: Counts, splits, origin of the labels: label -> text.
        environment: Versions, machine, seeds: label -> text.
        commands: What to type to repeat this.
        warnings: What the caller knows to be wrong with the data. The report adds its own (see `warnings_of`).
        release: The release that went live, or "".
        path: Where the report lies, for the terminal.
    """

    title: str
    comparison: Comparison
    verdict: Verdict
    gate: GateSettings = field(default_factory=GateSettings)
    test_set: str = "test"
    digests: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    stages: tuple[StageRow, ...] = ()
    sheets: tuple[tuple[str, str], ...] = ()
    cases: tuple[Case, ...] = ()
    costs: tuple[Cost, ...] = ()
    data_card: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    release: str = ""
    path: str = ""


def extremes(gains: Scores, count: int = _CASES) -> list[int]:
    """Places of the largest gains and of the largest losses, as many of each; what neither gained nor lost is left out.

    Args:
        gains: Candidate minus baseline for every query; NaN counts as neither.
    """
    finite = np.nan_to_num(gains)
    order = np.argsort(-finite, kind="stable")
    chosen = dict.fromkeys([*order[:count].tolist(), *order[::-1][:count].tolist()])
    return [place for place in chosen if finite[place] != 0]


def write_report(data: ReportData, path: Path) -> None:
    """Write the report as one self-contained HTML file: no script, no network, light and dark, fit for print.

    Everything that comes from data is escaped. Without matplotlib (extra `tune`) a sentence stands in for the drawings.
    """
    write_atomic(path, render(data).encode())


def render(data: ReportData) -> str:
    """The HTML of the report."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader("honed.evaluate", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(points=wording.points, metric=wording.metric_name, p=wording.p_value, interval=_interval)
    pages.filters.update(signed=_signed, seconds=_seconds, excerpt=_excerpt, percent=wording.percent)
    forest, gains = _drawings(data)
    best, worst = _extremes(data.cases)
    return pages.get_template("report.html.j2").render(
        data=data,
        comparison=data.comparison,
        primary=data.comparison.primary,
        headline=headline(data),
        seen=smallest(data.comparison, data.gate),
        warnings=warnings_of(data),
        rows=[(data.comparison.metric, data.comparison.primary), *data.comparison.others.items()],
        forest=forest,
        gains=gains,
        groups=[("Largest gains", best), ("Largest losses", worst)],
        depth=_DEPTH,
    )


def report_text(data: ReportData) -> str:
    """The result in at most ten lines for a terminal."""
    comparison, primary = data.comparison, data.comparison.primary
    metric = wording.metric_name(comparison.metric)
    systems = (f"baseline ({comparison.base_name})", f"candidate ({comparison.candidate_name})")
    width = max(22, *(len(name) + 2 for name in systems))
    size = f"test, {_size(comparison)} in {wording.plural(primary.clusters, 'cluster')}"
    low, high = primary.ci
    change = f"{primary.delta:+.3f}, {wording.percent(primary.confidence)} CI {low:+.3f}..{high:+.3f}"
    outcome = f"VERDICT: {data.verdict.text.upper()}"
    outcome += f" -> release {data.release} is live." if data.release else " -> nothing changes."
    if data.verdict.proven and not data.release:
        outcome = f"VERDICT: {data.verdict.text.upper()}."
    return "\n".join(
        [
            f"{systems[0]:<{width}}{metric} {primary.base:.3f}     {size}",
            f"{systems[1]:<{width}}{metric} {primary.candidate:.3f}     {change}, p {wording.p_value(primary.p)}",
            outcome + (f"  Report: {data.path}" if data.path else ""),
            *[f"  {reason}" for reason in data.verdict.reasons[:7]],
        ]
    )


def headline(data: ReportData) -> str:
    """The verdict as one plain sentence for somebody who reads nothing else."""
    comparison, primary = data.comparison, data.comparison.primary
    base, candidate = comparison.base_name, comparison.candidate_name
    change = wording.points(abs(primary.delta))
    if data.verdict.proven:
        on_titles = "PROXY, on titles alone. " if data.verdict.proxy else ""
        return f"{on_titles}Better: {candidate} gains {change} over {base}."
    if primary.ci[1] < 0:
        return f"Worse: {candidate} loses {change} against {base}."
    if primary.ci[0] > 0:
        return f"Better by {change}, but not good enough to go live: {candidate} against {base}."
    return f"No proven gain of {candidate} over {base}."


def warnings_of(data: ReportData) -> tuple[str, ...]:
    """What a reader must know before trusting the numbers: the caller's warnings and those that the numbers give."""
    comparison, primary = data.comparison, data.comparison.primary
    warnings = list(data.warnings)
    if data.comparison.proxy:
        warnings.append(
            "No judgements were given: titles and headings stood in for them. This shows that the system finds a "
            "passage by its title, not that it answers your users' questions."
        )
    if primary.queries < SMALL_TEST:
        seen = smallest(comparison, data.gate)
        what = f"only differences of about {wording.points(seen)} or more can be seen" if math.isfinite(seen) else ""
        warnings.append(f"The test set is small ({_size(comparison)}): {what or 'nothing can be proven on it'}.")
    warnings += cautions(comparison, primary, data.gate)
    if primary.unjudged and not comparison.fresh_only:
        warnings.append(
            f"{wording.plural(primary.unjudged, 'query has', 'queries have')} no relevant document and are left out."
        )
    return tuple(warnings)


def _size(comparison: Comparison) -> str:
    singular, several = ("title", "titles") if comparison.proxy else ("query", "queries")
    return wording.plural(comparison.primary.queries, singular, several)


def _drawings(data: ReportData) -> tuple[Markup, Markup]:
    try:
        return (
            figures.forest(data.comparison, min_gain=data.gate.min_gain),
            figures.gains(data.comparison.deltas, data.comparison.metric),
        )
    except MissingError as error:
        note = Markup("<p>{} {}</p>").format(error.message, error.hint)
        return note, note


def _extremes(cases: tuple[Case, ...]) -> tuple[list[Case], list[Case]]:
    """The largest gains and the largest losses; a query without a change is neither."""
    ranked = sorted(cases, key=lambda case: -case.gain)
    best = [case for case in ranked[:_CASES] if case.gain > 0]
    worst = [case for case in ranked[::-1][:_CASES] if case.gain < 0]
    return best, worst


def _interval(paired: Paired, *, gate: bool = False) -> str:
    return wording.interval(*(paired.ci if gate else paired.ci95))


def _signed(value: float) -> str:
    return wording.number_text(100 * value, 1, signed=True)


def _seconds(value: float) -> str:
    if value < 60 or not math.isfinite(value):
        return f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes} min {seconds:02d} s"


def _excerpt(text: str) -> str:
    """The beginning of a passage, cut at a word."""
    flat = " ".join(text.split())
    if len(flat) <= _EXCERPT:
        return flat
    return flat[:_EXCERPT].rsplit(" ", 1)[0] + " \N{HORIZONTAL ELLIPSIS}"
