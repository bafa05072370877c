"""A finished run in the three forms that people and scripts read: JSON, ten lines, report data."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import dataclass
from typing import Any

import numpy as np

from honed.evaluate.comparison import Comparison, Measured
from honed.evaluate.gate import GateSettings, Verdict, smallest, smallest_fresh
from honed.evaluate.report import Cost, ReportData, StageRow, report_text
from honed.runs import Run
from honed.session import Session
from honed.tuning.candidate import Candidate
from honed.tuning.role import DataCard, Evaluation, Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """What a finished run leaves: for the report, for JSON, for the next run.

    Attributes:
        notes: What the user should know of the data, of what changed while this ran, and of what its release makes void.
        release: Name of the release that goes live, or "".
    """

    role: str
    run: Run
    snapshot: Snapshot
    candidates: tuple[Candidate, ...]
    chosen: Candidate
    evaluation: Evaluation
    comparison: Comparison
    verdict: Verdict
    gate: GateSettings
    card: DataCard
    seconds: float
    budget: float
    notes: tuple[str, ...]
    release: str = ""


def result(finished: Finished) -> dict[str, Any]:
    """The run as the JSON that scripts rely on."""
    comparison, evaluation, baseline = finished.comparison, finished.evaluation, finished.snapshot.baseline
    primary = comparison.primary
    return {
        "run": finished.run.id,
        "verdict": finished.verdict.text,
        "proxy": finished.verdict.proxy,
        "reasons": list(finished.verdict.reasons),
        "role": finished.role,
        "baseline": {
            **_means(evaluation.base),
            "dev": dict(baseline.dev),
            "others": [_means(system) for system in evaluation.others],
        },
        "candidate": {**_means(evaluation.candidate), "name": finished.chosen.name, "what": finished.chosen.what},
        "delta": {
            "metric": comparison.metric,
            "mean": round(primary.delta, 4),
            "ci95": [_finite(bound) for bound in primary.ci95],
            "p": primary.p,
            "mde": _finite(smallest(comparison, finished.gate)),
        },
        "queries": primary.queries,
        "clusters": primary.clusters,
        "labels": finished.card.labels,
        "candidates_tried": comparison.candidates_tried,
        "test_reads": comparison.test_reads,
        "fresh": fresh_json(comparison, finished.gate),
        "stages": [
            {
                "stage": candidate.name,
                "dev": round(candidate.mean, 4),
                "seconds": round(candidate.seconds, 1),
                "details": dict(candidate.details),
            }
            for candidate in finished.candidates
        ],
        "release": finished.release or None,
        "notes": list(finished.notes),
        "seconds": round(finished.seconds, 1),
        "budget": finished.budget,
        "report": str(finished.run.folder / "report.html"),
        **finished.evaluation.extras,
    }


def fresh_json(comparison: Comparison, gate: GateSettings) -> dict[str, Any] | None:
    """The questions that nobody had looked at before, and the difference that they alone would have shown."""
    fresh = comparison.fresh
    if fresh is None:
        return None
    return {
        "only": comparison.fresh_only,
        "queries": fresh.queries,
        "clusters": fresh.clusters,
        "mde": _finite(smallest_fresh(fresh, gate)),
    }


def text(session: Session, finished: Finished) -> str:
    """The run in ten lines for a terminal, and what its release changes elsewhere."""
    return "\n".join([report_text(report_data(session, finished)), *finished.notes])


def report_data(session: Session, finished: Finished) -> ReportData:
    """The run as the report shows it."""
    spent = ", ".join(f"{candidate.name} {candidate.seconds:.0f} s" for candidate in finished.candidates)
    card = finished.card
    role = f"--role {finished.role} "
    return ReportData(
        title=session.workspace.root.name,
        comparison=finished.comparison,
        verdict=finished.verdict,
        gate=finished.gate,
        test_set=card.test_set,
        digests={**card.digests, finished.comparison.candidate_name: finished.release or finished.chosen.what},
        stages=tuple(
            StageRow(
                candidate.name, candidate.what, candidate.mean, candidate.seconds, chosen=candidate is finished.chosen
            )
            for candidate in finished.candidates
        ),
        others={system.name: _means(system)["metrics"] for system in finished.evaluation.others},
        sheets=finished.evaluation.sheets,
        cases=finished.evaluation.cases(),
        costs=(
            Cost("time of the whole run", "", f"{finished.seconds:.0f} s of {finished.budget:.0f} s ({spent})"),
            *finished.evaluation.costs,
        ),
        data_card=card.rows,
        environment=environment() | {"seed": str(session.settings.seed)},
        commands=(
            f"honed tune {role}--budget {finished.budget:.0f}s",
            f"honed evaluate {role}--split test",
        ),
        warnings=finished.notes,
        release=finished.release,
        path=str((finished.run.folder / "report.html").relative_to(session.workspace.root)),
    )


def environment() -> dict[str, str]:
    """Versions and machine, for repeating a result."""
    names = ("honed", "numpy", "torch", "transformers", "onnxruntime", "openvino", "faiss-cpu", "tantivy")
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions | {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, {platform.system()}",
    }


def _means(system: Measured) -> dict[str, Any]:
    """A system and its means, as JSON."""
    return {
        "name": system.name,
        "metrics": {metric: _finite(float(np.nanmean(scores))) for metric, scores in system.scores.items()},
    }


def _finite(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
