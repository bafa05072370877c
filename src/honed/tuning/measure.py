"""Measure and compare the systems of any role on any split, through the very search that users get."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from honed.catalog import history
from honed.evaluate.comparison import Comparison, General, Measured, Trial, compare
from honed.evaluate.gate import GateSettings, Verdict, decide
from honed.evaluate.ledger import Looks
from honed.evaluate.significance import judged
from honed.runs import look_at
from honed.session import Session
from honed.tuning.role import Measurement, Role, deciding_metric


def measure(session: Session, role: Role[Any, Any], system: str, split: str) -> dict[str, Any]:
    """Means of all metrics of a system on a split, as the JSON that scripts rely on.

    Measuring chooses nothing, so it does not wear out the test set; `compare` and `tune`, which decide, are counted.

    Raises:
        UsageError: The split has no questions, or there is no such system.
    """
    result = role.measure(session, system, split, deciding_metric(session, role))
    scores = result.scores[result.test.metric]
    return {
        "release": result.release,
        "role": role.name,
        "system": system,
        "split": split,
        "queries": int((~np.isnan(scores)).sum()),
        "clusters": len(np.unique(np.asarray(result.questions.clusters)[~np.isnan(scores)])),
        "unit": result.unit,
        "labels": result.labels,
        "metrics": {metric: round(float(np.nanmean(values)), 4) for metric, values in result.scores.items()},
    }


def compare_systems(
    session: Session, role: Role[Any, Any], base: str, candidate: str, split: str
) -> tuple[Comparison, Verdict]:
    """Two systems on one split, query by query, and whether the gate would call the second one better.

    What a role asks for besides (`Evaluation.checks`, no loss at a saving) is asked when it is tuned, not here.
    A look at test is counted by what both names stand for at present, before anybody sees a result.

    Raises:
        UsageError: The split has no questions, there is no such system, or nothing is judged.
    """
    metric = deciding_metric(session, role)
    before, after = (role.measure(session, system, split, metric) for system in (base, candidate))
    judged(before.scores[metric], after.scores[metric], before.questions.clusters)
    trial = Trial(general=_general(before, after), seed=session.settings.seed, proxy=before.test.proxy)
    scores = [before.scores, after.scores]
    if split == "test":
        looks = _look(session, before, after)
        trial = replace(trial, test_reads=looks.reads, **looks.trial())
        scores = [looks.scores(values) for values in scores]
    first, second = (Measured(system, values) for system, values in zip((base, candidate), scores, strict=True))
    comparison = compare(first, second, before.questions, metric=metric, trial=trial)
    return comparison, decide(comparison, GateSettings.of(session.settings))


def _look(session: Session, before: Measurement, after: Measurement) -> Looks:
    what = f"compare {before.digest} {after.digest}"
    experiment = {"workspace": history.identity(session.catalog), "what": what}
    return look_at(session.catalog, before.test, what, experiment)


def _general(before: Measurement, after: Measurement) -> General | None:
    """The general probe of both; None where the role has none, or the same release stands behind both names."""
    if before.general is None or after.general is None or before.release == after.release:
        return None
    return General(before.general, after.general)
