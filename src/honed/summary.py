"""A finished turn in the three forms that people and scripts read: JSON, ten lines, report data."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

import numpy as np

from honed.catalog import documents
from honed.evaluate.comparison import Comparison
from honed.evaluate.metrics import METRICS
from honed.evaluate.report import Cost, ReportData, Rung, report_text
from honed.session import Session
from honed.turn import Turn


def result(turn: Turn) -> dict[str, Any]:
    """The turn as the JSON that scripts rely on."""
    primary = turn.comparison.primary

    def side(name: str, scores: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "metrics": {metric: round(float(np.nanmean(scores[metric])), 4) for metric in METRICS}}

    return {
        "run": turn.run.id,
        "verdict": turn.verdict.verdict,
        "reasons": list(turn.verdict.reasons),
        "role": "retriever",
        "baseline": {**side(turn.exam.base.entrant.name, turn.exam.base.scores), "dev": turn.ground.baseline.dev},
        "candidate": {**side(turn.chosen.name, turn.exam.candidate.scores), "what": turn.chosen.what},
        "delta": delta(turn.comparison),
        "queries": primary.queries,
        "clusters": primary.clusters,
        "labels": turn.ground.task.origin,
        "candidates_tried": turn.comparison.candidates_tried,
        "test_reads": turn.comparison.test_reads,
        "ladder": [
            {"rung": one.name, "dev": round(one.mean, 4), "seconds": round(one.seconds, 1), "details": one.details}
            for one in turn.candidates
        ],
        "release": turn.release or None,
        "seconds": round(turn.seconds, 1),
        "budget": turn.budget,
        "report": str(turn.run.folder / "report.html"),
    }


def delta(comparison: Comparison) -> dict[str, Any]:
    """What changed in the primary metric, as the JSON that scripts rely on; an infinite bound is null."""
    primary = comparison.primary
    return {
        "metric": comparison.metric,
        "mean": round(primary.delta, 4),
        "ci95": [_finite(bound) for bound in primary.ci95],
        "p": primary.p,
        "mde": _finite(primary.mde),
    }


def text(session: Session, turn: Turn) -> str:
    """The turn in ten lines for a terminal."""
    return report_text(report_data(session, turn))


def report_data(session: Session, turn: Turn) -> ReportData:
    """The turn as the report shows it."""
    task = turn.ground.task
    counts = documents.counts(session.catalog)
    sizes = {split: len(labelled.queries) for split, labelled in task.splits.items()}
    spent = ", ".join(f"{one.name} {one.seconds:.0f} s" for one in turn.candidates)
    return ReportData(
        title=session.workspace.root.name,
        comparison=turn.comparison,
        verdict=turn.verdict,
        gate=turn.gate,
        test_set=f"test, {sizes['test']} questions",
        digests={
            turn.exam.base.entrant.name: turn.ground.embedder.space[:12],
            turn.exam.candidate.entrant.name: turn.release or turn.chosen.what,
        },
        ladder=tuple(
            Rung(one.name, one.what, one.mean, one.seconds, chosen=one is turn.chosen) for one in turn.candidates
        ),
        cases=turn.exam.cases(),
        costs=(Cost("time of the whole turn", "", f"{turn.seconds:.0f} s of {turn.budget:.0f} s ({spent})"),),
        data_card={
            "documents": f"{counts['documents']:,}",
            "passages": f"{counts['passages']:,}",
            "questions": ", ".join(f"{count:,} {split}" for split, count in sizes.items()),
            "clusters": ", ".join(f"{labelled.cluster_count:,} {split}" for split, labelled in task.splits.items()),
            "labels": "judgements" if task.origin == "labels" else "titles and headings (proxy)",
        },
        environment=environment() | {"seed": str(session.settings.seed)},
        commands=(f"honed tune --budget {turn.budget:.0f}s", "honed evaluate --split test"),
        warnings=turn.ground.notes,
        proxy_labels=task.origin == "proxy",
        release=turn.release,
        path=_shown(turn, session),
    )


def environment() -> dict[str, str]:
    """Versions and machine, for repeating a result."""
    names = ("honed", "numpy", "torch", "transformers", "onnxruntime", "openvino", "faiss-cpu", "tantivy")
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found | {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, {platform.system()}",
    }


def _shown(turn: Turn, session: Session) -> str:
    return str((turn.run.folder / "report.html").relative_to(session.workspace.root))


def _finite(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
