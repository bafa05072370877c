"""One pair of systems on one test set, as plain data: what the gate decides on, the report draws and JSON keeps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import InputError, UsageError
from honed.evaluate.metrics import METRICS, Scores
from honed.evaluate.significance import Paired, confidence_after, paired
from honed.evaluate.slices import Slice
from honed.workspace import finite

FORMAT = 1

_Test = Callable[[str, float, NDArray[np.bool_]], Paired]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A system's name and its scores: metric to array, as `metrics.per_query` gives them."""

    name: str
    scores: Mapping[str, Scores]


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """The queries of a test set, the cluster of each (any label), and their slices."""

    ids: Sequence[str]
    clusters: Sequence[object] | NDArray[Any]
    slices: tuple[Slice, ...] = ()


@dataclass(frozen=True, slots=True)
class General:
    """The general probe (0 to 1) of the base and of the candidate."""

    before: float
    after: float


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What a reader must know to weigh a result: how much was tried, and how often this test set was read (now too).

    Attributes:
        fresh: [queries] whether nobody has looked at a query before; None where nobody counted.
        fresh_only: Whether the others are left out.
        proxy: Whether titles stood in for questions.
        resamples: Of every test.
    """

    candidates_tried: int = 1
    test_reads: int = 1
    general: General | None = None
    confidence: float = 0.95
    seed: int = 0
    fresh: NDArray[np.bool_] | None = None
    fresh_only: bool = False
    proxy: bool = False
    resamples: int = 10_000


@dataclass(frozen=True, slots=True)
class SliceResult:
    """The comparison inside one slice, for the primary metric."""

    name: str
    paired: Paired


@dataclass(frozen=True, slots=True)
class Fresh:
    """The judged queries that nobody had looked at before: how many, and the `Paired.mde` of a first look at them alone."""

    queries: int
    clusters: int
    effective_clusters: float
    mde: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Base and candidate on the same queries. Scores are of the primary metric; None where a query has no judgement."""

    base_name: str
    candidate_name: str
    metric: str
    primary: Paired
    others: Mapping[str, Paired]
    slices: tuple[SliceResult, ...]
    general: General | None
    queries: tuple[str, ...]
    clusters: tuple[str, ...]
    base_scores: tuple[float | None, ...]
    candidate_scores: tuple[float | None, ...]
    candidates_tried: int = 1
    test_reads: int = 1
    seed: int = 0
    fresh: Fresh | None = None
    fresh_only: bool = False
    proxy: bool = False

    @property
    def deltas(self) -> NDArray[np.float64]:
        """Candidate minus base for each query, shape [queries]; NaN where a query has no judgement."""
        return _array(self.candidate_scores) - _array(self.base_scores)

    def at(self, confidence: float) -> Paired:
        """The primary comparison with its interval at another confidence, from the stored scores."""
        if math.isclose(confidence, self.primary.confidence, abs_tol=1e-12):
            return self.primary
        return paired(
            _array(self.base_scores),
            _array(self.candidate_scores),
            self.clusters,
            seed=self.seed,
            confidence=confidence,
        )

    def to_json(self) -> str:
        """One JSON object; `from_json` gives back an equal comparison. Infinite bounds are written as null."""
        return json.dumps(finite({"format": FORMAT, **asdict(self)}), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """Reads what `to_json` wrote.

        Raises:
            InputError: It is not such a JSON object, or of a newer format.
        """
        try:
            data = json.loads(text)
            if data.pop("format") != FORMAT:
                raise InputError(
                    "This comparison was written by another version of Honed.", hint="update Honed, or compare again"
                )
            general, fresh = data.pop("general"), data.pop("fresh", None)
            return cls(
                primary=_paired(data.pop("primary")),
                others={name: _paired(value) for name, value in data.pop("others").items()},
                slices=tuple(SliceResult(row["name"], _paired(row["paired"])) for row in data.pop("slices")),
                general=General(**general) if general else None,
                fresh=Fresh(**_measured(fresh)) if fresh else None,
                **_tuples(data),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"This is not a comparison: {error!r}.", hint="give the comparison.json of a run"
            ) from error


def compare(
    base: Measured,
    candidate: Measured,
    questions: Questions,
    *,
    metric: str = METRICS[0],
    trial: Trial | None = None,
) -> Comparison:
    """The full comparison: every metric that both systems have, and the primary one inside every slice.

    The primary interval is computed at the confidence that the number of test reads asks for (`confidence_after`), all
    others at `trial.confidence`.

    Raises:
        UsageError: The primary metric is missing, or the arrays do not fit the queries.
    """
    trial = trial or Trial()
    names = [name for name in base.scores if name in candidate.scores]
    if metric not in names:
        raise UsageError(f"Not both systems have scores for '{metric}'.", hint=f"both have: {', '.join(names) or '-'}")
    _check_fit(questions)
    before, after = base.scores[metric], candidate.scores[metric]
    clusters = np.array([str(cluster) for cluster in questions.clusters])

    def test(name: str, confidence: float, members: NDArray[np.bool_] | slice = slice(None)) -> Paired:
        return paired(
            base.scores[name][members],
            candidate.scores[name][members],
            clusters[members],
            seed=trial.seed,
            confidence=confidence,
            resamples=trial.resamples,
        )

    return Comparison(
        base_name=base.name,
        candidate_name=candidate.name,
        metric=metric,
        primary=test(metric, confidence_after(trial.test_reads, trial.confidence)),
        others={name: test(name, trial.confidence) for name in names if name != metric},
        slices=tuple(
            SliceResult(part.name, test(metric, trial.confidence, part.members & ~np.isnan(before)))
            for part in questions.slices
            if (part.members & ~np.isnan(before)).any()
        ),
        general=trial.general,
        queries=tuple(questions.ids),
        clusters=tuple(clusters.tolist()),
        base_scores=_values(before),
        candidate_scores=_values(after),
        candidates_tried=trial.candidates_tried,
        test_reads=trial.test_reads,
        seed=trial.seed,
        fresh=None if trial.fresh is None else _fresh(trial.fresh & ~np.isnan(before), test, metric, trial),
        fresh_only=trial.fresh_only,
        proxy=trial.proxy,
    )


def _check_fit(questions: Questions) -> None:
    count = len(questions.ids)
    if {count} != {len(part.members) for part in questions.slices} | {len(questions.clusters)}:
        raise UsageError(f"The clusters or slices do not fit the {count} queries.", hint="give one entry a query")


def _fresh(members: NDArray[np.bool_], test: _Test, metric: str, trial: Trial) -> Fresh:
    if not members.any():
        return Fresh(0, 0, 0.0, math.inf)
    alone = test(metric, trial.confidence, members)
    return Fresh(alone.queries, alone.clusters, alone.effective_clusters, alone.mde)


def _values(scores: Scores) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(score) else score for score in scores.tolist())


def _array(scores: tuple[float | None, ...]) -> Scores:
    return np.array([np.nan if score is None else score for score in scores])


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}


def _paired(data: dict[str, Any]) -> Paired:
    for key in ("ci95", "ci"):
        low, high = data[key]
        data[key] = (-math.inf if low is None else low, math.inf if high is None else high)
    return Paired(**_measured(data))


def _measured(data: dict[str, Any]) -> dict[str, Any]:
    """With the infinite `mde` that JSON has no word for."""
    return data | {"mde": math.inf if data["mde"] is None else data["mde"]}
