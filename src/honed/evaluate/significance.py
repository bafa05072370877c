"""Two systems on the same queries: how much better, how sure, and what could have been seen at all.

Queries about the same documents rise and fall together, so the unit of every test here is the cluster, never the query:
a test over queries would count the same evidence many times, and its standard error would be too small.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from honed.errors import UsageError

FEW_CLUSTERS = 10
"""Below this many effective clusters an interval leans on very few independent facts, and p is coarse."""

POWER = 0.8
_MARGIN = 1.05  # by simulation (benchmarks/gate): four of five pass a little above what Student's t says
_SAME = 1e-9  # scores closer than this are a tie: sums of floats in another order differ by less
_CHUNK = 4_000_000  # random numbers a block: 32 MB
_WORK = 100_000_000  # random numbers in all: a few seconds
_MOST_HALVINGS = 40  # beyond it 1 - confidence is rounding
_BEYOND = 20  # resamples that are expected beyond the level that is asked for
_NORMAL = NormalDist()

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Paired:
    """A paired comparison of two systems over clusters of queries. Differences are candidate minus base.

    `ci95` is what is shown; `ci` is the interval at `confidence`, which is what the gate reads. Both, and `mde`, are
    infinite when there is one cluster only. `mde` is the true difference that this test would call different from zero
    in 80 of 100 repetitions (see `detectable` for what the gate asks for besides). `exact` tells that `p` went through
    every sign pattern, not through a sample of them. `effective_clusters` is how many clusters of equal size would carry
    as much information.
    """

    delta: float
    ci95: tuple[float, float]
    ci: tuple[float, float]
    confidence: float
    p: float
    exact: bool
    mde: float
    queries: int
    clusters: int
    effective_clusters: float
    unjudged: int
    base: float
    candidate: float
    wins: int
    losses: int
    ties: int

    @property
    def few_clusters(self) -> bool:
        """Whether the interval deserves less trust than it claims."""
        return self.effective_clusters < FEW_CLUSTERS


@dataclass(frozen=True, slots=True)
class _Clusters:
    """Sums of differences and numbers of queries, one entry a cluster."""

    sums: Floats
    sizes: Floats

    @property
    def effective(self) -> float:
        """The number of clusters of equal size that say as much (Kish); at most the number of clusters."""
        return float(self.sizes.sum() ** 2 / (self.sizes**2).sum())


def paired(
    base: ArrayLike,
    candidate: ArrayLike,
    clusters: Sequence[Hashable] | NDArray[np.generic],
    *,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> Paired:
    """Compares two lists of scores of the same queries.

    The difference is the mean over queries. The interval is a bootstrap over clusters: percentiles, moved outwards as
    Student's t widens the normal interval (Hesterberg 2015, "What teachers should know about the bootstrap"), with the
    effective number of clusters in place of their number, because large clusters make a mean less sure (Carter,
    Schnepel and Steigerwald 2017). Chosen by simulation of correlated queries in clusters of unequal size: with few
    clusters its coverage falls least short of 95%; the same with the plain number of clusters, bootstrap-t, percentile and
    BCa follow in this order (`docs/log.md`).

    p is a two-sided sign-flip permutation of cluster sums, the test that Smucker et al. (2007) and Urbano et al. (2019)
    recommend for retrieval, against Wilcoxon and sign tests.

    Args:
        base: Scores of the one system, shape [queries]. NaN where a query has no judgement.
        candidate: Scores of the other system on the same queries.
        clusters: The cluster of each query.
        seed: Same seed and same scores, same numbers.
        confidence: Of `ci` and `mde`. See `confidence_after` for tests that are read more than once.
        resamples: Of the bootstrap and of the permutation (which is exact when all sign patterns are fewer). They grow
            with 1 / (1 - confidence), as far as some seconds go; beyond that the tails are those of Student's t, and p is
            bounded by Hoeffding's inequality.

    Raises:
        UsageError: Lengths differ, nothing is judged, or a query is judged for one of the systems only.
    """
    if not 0 < confidence < 1:
        raise UsageError(f"A confidence of {confidence} is not between 0 and 1.", hint="use for example 0.95")
    before, after, labels, unjudged = judged(np.asarray(base, float), np.asarray(candidate, float), clusters)
    differences = after - before
    groups = _group(differences, labels)
    delta = float(differences.mean())
    resamples = _enough(resamples, len(groups.sums), confidence)
    bootstrap = _bootstrap(groups, np.random.default_rng([seed, 0]), resamples)
    p, exact = _sign_flip(groups.sums, np.random.default_rng([seed, 1]), resamples)
    return Paired(
        delta=delta,
        ci95=_interval(bootstrap, groups, delta, 0.95),
        ci=_interval(bootstrap, groups, delta, confidence),
        confidence=confidence,
        p=p,
        exact=exact,
        mde=_mde(groups, delta, confidence),
        queries=len(differences),
        clusters=len(groups.sums),
        effective_clusters=groups.effective,
        unjudged=unjudged,
        base=float(before.mean()),
        candidate=float(after.mean()),
        wins=int((differences > _SAME).sum()),
        losses=int((differences < -_SAME).sum()),
        ties=int((np.abs(differences) <= _SAME).sum()),
    )


def holm(ps: Sequence[float]) -> tuple[float, ...]:
    """The p values adjusted for testing several hypotheses at once (Holm 1979), in the given order."""
    count = len(ps)
    adjusted = [0.0] * count
    highest = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (count - rank) * ps[index]))
        adjusted[index] = highest
    return tuple(adjusted)


def standard_error(differences: Floats, clusters: NDArray[Any]) -> float:
    """Standard error of the mean of differences [queries] that fall into clusters; 0 where there is one cluster only."""
    groups = _group(differences, np.unique(clusters, return_inverse=True)[1])
    return _error(groups, float(differences.mean())) if len(groups.sums) > 1 else 0.0


def least_clusters(confidence: float) -> int:
    """The fewest clusters with which a sign flip can reach this confidence: p is at best 2 to the power of 1 - clusters."""
    return 1 + math.ceil(-math.log2(1.0 - confidence) - _SAME)


def detectable(mde: float, effective_clusters: float, confidence: float, least: float = 0.0) -> float:
    """The true difference that is accepted in 80 of 100 tests which also ask for a measured gain of `least`.

    It is what a test needs to call the difference real, or `least` where that is more, and what chance may take away; and
    a little more (`_MARGIN`), because bootstrap, permutation and slices all have to agree.
    """
    freedom = max(1.0, effective_clusters - 1)
    real, power = _student((1 + confidence) / 2, freedom), _student(POWER, freedom)
    error = mde / (real + power)
    return _MARGIN * (max(real * error, least) + power * error)


def confidence_after(reads: int, confidence: float = 0.95) -> float:
    """The confidence to ask for when a test set is read for the `reads`-th time (this read counted).

    Every read of the same test set is one more chance to be fooled by it, so the error that is allowed halves with each
    read: alpha, alpha/2, alpha/4, ... All reads together then err with at most 2 alpha, however many there are, and the
    first read, which is nearly all that happens, keeps the full alpha (a geometric alpha-spending sequence: Lan and
    DeMets 1983; Foster and Stine 2008). alpha/m was the other choice: its sum grows without end. Each read still leaks
    something about the test set; new labels are the cure, this is the brake.
    """
    if reads < 1:
        raise UsageError(f"A test set cannot have been read {reads} times.", hint="count this read too: 1 or more")
    return 1.0 - (1.0 - confidence) / 2.0 ** min(reads - 1, _MOST_HALVINGS)


def judged(
    base: Floats, candidate: Floats, clusters: Sequence[Hashable] | NDArray[np.generic]
) -> tuple[Floats, Floats, NDArray[np.intp], int]:
    """Scores and cluster numbers of the judged queries, and the number of the others.

    Raises:
        UsageError: As `paired`: so that what cannot be compared is known before a look at a test set is counted.
    """
    if not len(base) == len(candidate) == len(clusters):
        raise UsageError(
            f"There are {len(base)} scores, {len(candidate)} scores and {len(clusters)} clusters.",
            hint="give one of each for every query, in the same order",
        )
    missing = np.isnan(base)
    if (missing != np.isnan(candidate)).any():
        raise UsageError(
            "Some queries are judged for one system and not for the other.", hint="use the same qrels for both"
        )
    if missing.all():
        raise UsageError("No query has a judgement, so nothing can be compared.", hint="check the qrels of this split")
    numbers: dict[Hashable, int] = {}
    labels = np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=np.intp)
    return base[~missing], candidate[~missing], labels[~missing], int(missing.sum())


def _group(differences: Floats, labels: NDArray[np.intp]) -> _Clusters:
    sizes: Floats = np.bincount(labels).astype(np.float64)
    present = sizes > 0
    sums: Floats = np.bincount(labels, differences).astype(np.float64)
    return _Clusters(sums[present], sizes[present])


def _bootstrap(groups: _Clusters, rng: np.random.Generator, resamples: int) -> Floats:
    """Sorted means of `resamples` draws of whole clusters with replacement."""
    count = len(groups.sums)
    # One gather for both: the real part carries the sum, the imaginary part the size.
    packed = groups.sums + 1j * groups.sizes
    means = np.empty(resamples)
    step = max(1, _CHUNK // count)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = packed[rng.integers(0, count, (rows, count), dtype=np.int32)].sum(axis=1)
        means[start : start + rows] = drawn.real / drawn.imag
    means.sort()
    return means


def _enough(resamples: int, clusters: int, confidence: float) -> int:
    """So many that some fall beyond the level that is asked for, as far as the work is bearable."""
    return max(resamples, min(math.ceil(_BEYOND / (1.0 - confidence)), _WORK // clusters))


def _interval(bootstrap: Floats, groups: _Clusters, delta: float, confidence: float) -> tuple[float, float]:
    if len(groups.sums) < 2:
        return (-np.inf, np.inf)
    count = max(2.0, groups.effective)
    quantile = _student((1 - confidence) / 2, count - 1)
    tail = _NORMAL.cdf(float(np.sqrt(count / (count - 1))) * quantile)
    low, high = np.quantile(bootstrap, [tail, 1 - tail])
    if tail * len(bootstrap) < 1:  # no draw lies out there, so the outermost ones are not far enough
        reach = -quantile * _error(groups, delta)
        low, high = min(low, delta - reach), max(high, delta + reach)
    return float(low), float(high)


def _sign_flip(sums: Floats, rng: np.random.Generator, resamples: int) -> tuple[float, bool]:
    """Two-sided p of the sum under random signs, and whether every sign pattern was tried."""
    moved = sums[np.abs(sums) > _SAME]  # a cluster without a difference has no sign to flip
    if not len(moved):
        return 1.0, True
    observed = abs(moved.sum()) - _SAME * len(moved)
    exact = len(moved) < 63 and 2 ** len(moved) <= resamples
    signs = _all_signs(len(moved)) if exact else _random_signs(len(moved), rng, resamples)
    hits = sum(int((np.abs(2.0 * (block @ moved) - moved.sum()) >= observed).sum()) for block in signs)
    if exact:
        return hits / 2 ** len(moved), True
    # The observed signs are one of the patterns, so p is never 0 (Phipson and Smyth 2010). No number of draws shows how
    # small the p of a large difference is; Hoeffding (1963, theorem 2) bounds it from above.
    bound = 2.0 * math.exp(-(observed**2) / (2.0 * float((moved**2).sum())))
    return min((hits + 1) / (resamples + 1), bound), False


def _all_signs(count: int) -> Iterator[Floats]:
    """Every pattern of `count` signs as zeros and ones, in blocks [rows, count]."""
    step = max(1, _CHUNK // count)
    for start in range(0, 2**count, step):
        numbers = np.arange(start, min(start + step, 2**count))
        yield ((numbers[:, None] >> np.arange(count)) & 1).astype(np.float64)


def _random_signs(count: int, rng: np.random.Generator, resamples: int) -> Iterator[Floats]:
    """Random patterns, likewise."""
    step = max(1, _CHUNK // count)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        bits = np.unpackbits(rng.integers(0, 256, (rows, -(-count // 8)), dtype=np.uint8), axis=1)
        yield bits[:, :count].astype(np.float64)


def _mde(groups: _Clusters, delta: float, confidence: float) -> float:
    """(t of the test + t of the power) standard errors of a mean over clusters of unequal size (ratio estimator)."""
    if len(groups.sums) < 2:
        return float("inf")
    freedom = max(1.0, groups.effective - 1)
    return float((_student((1 + confidence) / 2, freedom) + _student(POWER, freedom)) * _error(groups, delta))


def _error(groups: _Clusters, delta: float) -> float:
    """Standard error of the mean difference."""
    count = len(groups.sums)
    residuals = groups.sums - delta * groups.sizes
    return float(np.sqrt(count / (count - 1) * (residuals**2).sum()) / groups.sizes.sum())


def _student(p: float, freedom: float) -> float:
    """Quantile of Student's t: exact for 1 and 2 degrees of freedom (broken ones round down), else Abramowitz and Stegun
    26.7.5.

    Within .003 of the exact value at 3 degrees of freedom and .001 at 4 or more (95%); scipy is slow to import.
    """
    if freedom < 2:
        return float(np.tan(np.pi * (p - 0.5)))
    if freedom < 3:
        return float((2 * p - 1) / np.sqrt(2 * p * (1 - p)))
    z, v = _NORMAL.inv_cdf(p), freedom
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4)
    )
