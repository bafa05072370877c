"""What a role brings to a tuning run: its data, its stages, its evaluation, its part of a release. Nothing else differs.

A role is a class with these members, named in `registry.py` or by an entry point of the group `honed.role`. What trains is
imported inside `prepare`, so that measuring a role loads no training library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from honed.errors import UsageError
from honed.evaluate.comparison import General, Measured, Questions, SliceResult, Trial
from honed.evaluate.gate import Check, Criterion, GateSettings
from honed.evaluate.ledger import TestSet
from honed.evaluate.metrics import MetricShape
from honed.evaluate.report import Case, Cost
from honed.release.manifest import Part
from honed.session import Session
from honed.tuning.candidate import Candidate
from honed.tuning.plan import Clock, Plan, Stage
from honed.types import SPLITS, Split

Progress = Callable[[str], None]
"""Told one line of progress."""

Rankings = Mapping[str, Sequence[tuple[str, float]]]
"""Query id -> document ids with scores, best first."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a candidate has to beat: the best on dev of what needs no tuning, and of what is live.

    Attributes:
        name: Of the system.
        dev: Every system that was considered -> mean on dev of the metric that decides; empty where there was no choice.
    """

    name: str
    dev: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Work:
    """What a stage is given to work with.

    Attributes:
        folder: The run's; candidates and checkpoints are written there.
        seconds: That are left for training in all; a stage shrinks to fit.
        tell: Told one line of progress at a time.
    """

    folder: Path
    seconds: float
    tell: Progress


class Snapshot(Protocol):
    """The data of a run, read once: what comes after it is neither learned from nor tested."""

    @property
    def baseline(self) -> Baseline:
        """What has to be beaten."""

    @property
    def test(self) -> TestSet:
        """The held-out queries as the ledger knows them, and the metric that decides."""

    @property
    def dev_clusters(self) -> NDArray[Any]:
        """[queries] label of each dev query's cluster."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the data, one sentence each."""


S = TypeVar("S", bound=Snapshot)
C = TypeVar("C")


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Baseline and candidate on the same held-out queries, and what weighs on the result.

    Attributes:
        base: The baseline's scores of every query, for every metric.
        candidate: The same of the candidate.
        questions: The queries, their clusters and slices.
        others: Systems that dev did not choose as baseline, for the reader; they decide nothing.
        general: The general probe of both; None where no language model changed.
        slices: Comparisons on other queries that count as slices, given how often the test set was read.
        checks: What the role asks for besides its criterion.
        saved: Share that the candidate saves, where that is the criterion.
        cases: Queries to show, with what both systems give.
        costs: Lines of "time and size".
        sheets: Pictures to show whole: a sentence and a data URI each.
        extras: What the JSON of the run says besides.
    """

    base: Measured
    candidate: Measured
    questions: Questions
    others: tuple[Measured, ...] = ()
    general: General | None = None
    slices: Callable[[Trial], tuple[SliceResult, ...]] = lambda _: ()
    checks: Callable[[GateSettings, Trial], Sequence[Check]] = lambda _gate, _trial: ()
    saved: float = 0.0
    cases: Callable[[], tuple[Case, ...]] = lambda: ()
    costs: tuple[Cost, ...] = ()
    sheets: tuple[tuple[str, str], ...] = ()
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DataCard:
    """What a run learned from and was tested on, in words.

    Attributes:
        test_set: One phrase, such as "test, 500 questions".
        labels: Where the labels come from: one word for scripts.
        proxy: Whether something stood in for real labels.
        rows: Label -> text.
        digests: Name of a system -> fingerprint of what it is made of.
    """

    test_set: str
    labels: str
    rows: Mapping[str, str]
    digests: Mapping[str, str] = field(default_factory=dict)
    proxy: bool = False


def each_split(counts: Mapping[Split, int]) -> str:
    """Counts as a data card writes them."""
    return ", ".join(f"{count:,} {split}" for split, count in counts.items())


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """A system on a split.

    Attributes:
        system: As the user named it.
        release: The release behind it.
        digest: Of everything that its results depend on: two looks at one digest are one look.
        scores: Metric -> score of every query.
        questions: The queries, their clusters and slices.
        test: The queries as the ledger knows them, and the metric that decides.
        unit: What a query is, in the plural: "questions", "pictures".
        labels: Where the labels come from.
        general: Its general probe; None where the role has none.
    """

    system: str
    release: str
    digest: str
    scores: Mapping[str, Any]
    questions: Questions
    test: TestSet
    unit: str
    labels: str
    general: float | None = None


def checked_split(name: str) -> Split:
    """A split by its name.

    Raises:
        UsageError: There is none of this name.
    """
    for split in SPLITS:
        if split == name:
            return split
    raise UsageError(f"There is no split '{name}'.", hint=f"splits are: {', '.join(SPLITS)}")


def deciding_metric(session: Session, role: Role[Any, Any]) -> str:
    """The metric that decides: the user's, fixed before the test, or the role's own.

    Raises:
        UsageError: The role has no such metric.
    """
    metric = session.settings.metrics.get(role.name, role.metrics[0])
    if not role.metric_shape.fits(metric):
        raise UsageError(f"'{metric}' is no metric of {role.name}.", hint=f"name {role.metric_shape.words}")
    return metric


class Role(Protocol[S, C]):
    """What is tuned.

    S is its snapshot of the data, C what its stages work with (models, vectors, dev, a recipe), built once.
    """

    name: str
    """As users type it; also the kind of its runs and the name of its part of a release."""

    packages: tuple[str, ...]
    """What training imports that an installation may lack."""

    metrics: tuple[str, ...]
    """What is measured; the first decides, unless the user names another."""

    metric_shape: MetricShape
    """Which metrics may decide."""

    criterion: Criterion
    """What a candidate has to be: better, or no worse at a saving."""

    def snapshot(self, session: Session, metric: str, tell: Progress) -> S:
        """Read the data and choose the baseline on dev, by the metric that decides.

        Raises:
            UsageError: There is nothing to learn from or to measure with.
        """

    def prepare(self, session: Session, snapshot: S, tell: Progress) -> C:
        """Open what the stages work with."""

    def plan(self, context: C, clock: Clock) -> Plan:
        """Measure this machine and fit the stages into the budget."""

    def experiment(self, context: C) -> Mapping[str, Any]:
        """All that the result depends on, as JSON: data, models, recipe, settings."""

    def run_stage(self, context: C, stage: Stage, before: Sequence[Candidate], work: Work) -> Candidate | None:
        """Train one candidate.

        Args:
            stage: What the plan says.
            before: The candidates of earlier stages.
            work: Where to write, and how long it may take.

        Returns:
            The candidate, or None where nothing better than an earlier one can come of it.

        Raises:
            HonedError: It failed; other stages go on.
        """

    def evaluate(self, context: C, plan: Plan, candidate: Candidate) -> Evaluation:
        """Baseline and candidate on test. Called once; nobody sees the result before the look is counted."""

    def ship(self, context: C, candidate: Candidate, folder: Path) -> Mapping[str, Part]:
        """Role -> part that a release with this candidate replaces; what it needs to be searched is indexed.

        Args:
            folder: Empty, for files that are made of several.
        """

    def data_card(self, context: C, candidate: Candidate) -> DataCard:
        """What the report says of the data."""

    def measure(self, session: Session, system: str, split: str, metric: str) -> Measurement:
        """A system on a split, through the search that users get; `metric` is measured besides the usual ones.

        Raises:
            UsageError: There is no such system or split, or nothing judged in it.
        """

    def rankings(self, session: Session, system: str, split: str, depth: int) -> Rankings:
        """What a system finds for every query of a split.

        Raises:
            UsageError: As `measure`, or the role ranks nothing.
        """
