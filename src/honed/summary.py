"""A finished turn in the three forms that people and scripts read: JSON, ten lines, report data."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from honed.catalog import documents
from honed.evaluate.comparison import Comparison
from honed.evaluate.gate import GateSettings, smallest, smallest_fresh
from honed.evaluate.metrics import Scores
from honed.evaluate.report import Cost, ReportData, Rung, report_text
from honed.session import Session
from honed.turn import AnyTurn, Turn
from honed.types import Split


def result(turn: Turn) -> dict[str, Any]:
    """The turn as the JSON that scripts rely on."""
    base, candidate = turn.exam.base, turn.exam.candidate
    return turn_json(
        turn,
        role="retriever",
        baseline={**side(base.entrant.name, base.scores), "dev": turn.ground.baseline.dev},
        candidate={**side(turn.chosen.name, candidate.scores), "what": turn.chosen.what},
        labels=turn.ground.task.origin,
    )


def turn_json(
    turn: AnyTurn, *, role: str, baseline: dict[str, Any], candidate: dict[str, Any], labels: str
) -> dict[str, Any]:
    """A turn of any role as JSON, given what is the role's own: both sides and where the labels come from."""
    primary = turn.comparison.primary
    return {
        "run": turn.run.id,
        "verdict": turn.verdict.text,
        "proxy": turn.verdict.proxy,
        "reasons": list(turn.verdict.reasons),
        "role": role,
        "baseline": baseline,
        "candidate": candidate,
        "delta": {
            "metric": turn.comparison.metric,
            "mean": round(primary.delta, 4),
            "ci95": [_finite(bound) for bound in primary.ci95],
            "p": primary.p,
            "mde": _finite(smallest(turn.comparison, turn.gate)),
        },
        "queries": primary.queries,
        "clusters": primary.clusters,
        "labels": labels,
        "candidates_tried": turn.comparison.candidates_tried,
        "test_reads": turn.comparison.test_reads,
        "fresh": fresh_json(turn.comparison, turn.gate),
        "ladder": [
            {"rung": one.name, "dev": round(one.mean, 4), "seconds": round(one.seconds, 1), "details": one.details}
            for one in turn.candidates
        ],
        "release": turn.release or None,
        "notes": [*turn.ground.notes, *turn.notes],
        "seconds": round(turn.seconds, 1),
        "budget": turn.budget,
        "report": str(turn.run.folder / "report.html"),
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


def side(name: str, scores: Mapping[str, Scores]) -> dict[str, Any]:
    """A system and its means, as JSON."""
    return {"name": name, "metrics": {metric: round(float(np.nanmean(array)), 4) for metric, array in scores.items()}}


def text(session: Session, turn: AnyTurn) -> str:
    """A turn of any role in ten lines for a terminal, and what its release changes elsewhere."""
    return "\n".join([report_text(turn_report(session, turn)), *turn.notes])


def report_data(session: Session, turn: Turn) -> ReportData:
    """The turn as the report shows it."""
    task = turn.ground.task
    counts = documents.counts(session.catalog)
    sizes = {split: len(labelled.queries) for split, labelled in task.splits.items()}
    return replace(
        turn_report(session, turn),
        test_set=f"test, {sizes['test']} questions",
        digests={
            turn.exam.base.entrant.name: turn.ground.embedder.space[:12],
            turn.exam.candidate.entrant.name: turn.release or turn.chosen.what,
        },
        cases=turn.exam.cases(),
        data_card={
            "documents": f"{counts['documents']:,}",
            "passages": f"{counts['passages']:,}",
            "questions": each_split(sizes),
            "clusters": each_split({split: labelled.cluster_count for split, labelled in task.splits.items()}),
            "labels": "judgements" if task.origin == "labels" else "titles and headings (proxy)",
        },
        commands=(f"honed tune --budget {turn.budget:.0f}s", "honed evaluate --split test"),
    )


def turn_report(session: Session, turn: AnyTurn) -> ReportData:
    """What the report of a turn of any role shows; the role adds its data and its cases."""
    spent = ", ".join(f"{one.name} {one.seconds:.0f} s" for one in turn.candidates)
    return ReportData(
        title=session.workspace.root.name,
        comparison=turn.comparison,
        verdict=turn.verdict,
        gate=turn.gate,
        ladder=tuple(
            Rung(one.name, one.what, one.mean, one.seconds, chosen=one is turn.chosen) for one in turn.candidates
        ),
        costs=(Cost("time of the whole turn", "", f"{turn.seconds:.0f} s of {turn.budget:.0f} s ({spent})"),),
        environment=environment() | {"seed": str(session.settings.seed)},
        warnings=(*turn.ground.notes, *turn.notes),
        release=turn.release,
        path=str((turn.run.folder / "report.html").relative_to(session.workspace.root)),
    )


def each_split(counts: Mapping[Split, int]) -> str:
    """Counts as the data card writes them."""
    return ", ".join(f"{count:,} {split}" for split, count in counts.items())


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


def _finite(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
