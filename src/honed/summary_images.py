"""A finished turn on pictures in the three forms that people and scripts read: JSON, ten lines, report data with grids."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from typing import Any

import numpy as np

from honed.catalog import images
from honed.evaluate.report import Cost, ReportData, Rung, report_text
from honed.ingest.describe import open_rendering
from honed.session import Session
from honed.summary import delta, environment
from honed.turn import ImageTurn

_SHOWN_SIDE = 96
"""Pixels of a picture in a report."""


def image_result(turn: ImageTurn) -> dict[str, Any]:
    """The turn as the JSON that scripts rely on; the same keys as for text."""
    primary = turn.comparison.primary

    def side(name: str, scores: Any) -> dict[str, Any]:
        return {"name": name, "metrics": {metric: round(float(np.nanmean(v)), 4) for metric, v in scores.items()}}

    return {
        "run": turn.run.id,
        "verdict": turn.verdict.verdict,
        "reasons": list(turn.verdict.reasons),
        "role": "image-retriever",
        "baseline": {
            **side(turn.exam.base.name, turn.exam.base.scores),
            "dev": {turn.ground.baseline: turn.ground.dev},
        },
        "candidate": {**side(turn.chosen.name, turn.exam.candidate.scores), "what": turn.chosen.what},
        "delta": delta(turn.comparison),
        "queries": primary.queries,
        "clusters": primary.clusters,
        "labels": "groups",
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


def image_text(session: Session, turn: ImageTurn) -> str:
    """The turn in ten lines for a terminal."""
    return report_text(replace(image_report(session, turn), cases=()))


def image_report(session: Session, turn: ImageTurn) -> ReportData:
    """The turn as the report shows it, with grids of pictures."""
    ground = turn.ground
    rowids = ground.galleries["test"].pictures.rowids.tolist()
    records = images.by_rowid(session.catalog, rowids)
    counts = {split: len(gallery.pictures) for split, gallery in ground.galleries.items()}
    groups = {split: len(np.unique(gallery.pictures.groups)) for split, gallery in ground.galleries.items()}
    spent = ", ".join(f"{one.name} {one.seconds:.0f} s" for one in turn.candidates)

    def picture(place: int) -> tuple[str, str]:
        record = records[rowids[place]]
        return record.caption or record.external_id, _thumbnail(session, record.media)

    return ReportData(
        title=session.workspace.root.name,
        comparison=turn.comparison,
        verdict=turn.verdict,
        gate=turn.gate,
        test_set=f"test, {counts['test']:,} pictures in {groups['test']:,} groups",
        digests={
            turn.exam.base.name: ground.encoder.space[:12],
            turn.exam.candidate.name: turn.release or turn.chosen.what,
        },
        ladder=tuple(
            Rung(one.name, one.what, one.mean, one.seconds, chosen=one is turn.chosen) for one in turn.candidates
        ),
        cases=turn.exam.cases(picture),
        costs=(Cost("time of the whole turn", "", f"{turn.seconds:.0f} s of {turn.budget:.0f} s ({spent})"),),
        data_card={
            "pictures": ", ".join(f"{count:,} {split}" for split, count in counts.items()),
            "groups": ", ".join(f"{count:,} {split}" for split, count in groups.items()),
            "labels": "groups: pictures that show the same thing",
        },
        environment=environment() | {"seed": str(session.settings.seed)},
        commands=(f"honed tune --role image-retriever --budget {turn.budget:.0f}s",),
        warnings=ground.notes,
        release=turn.release,
        path=str((turn.run.folder / "report.html").relative_to(session.workspace.root)),
    )


def _thumbnail(session: Session, media: str) -> str:
    """A picture as a data URI."""
    small = open_rendering(session.workspace, media)
    small.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
    sink = io.BytesIO()
    small.save(sink, "PNG")
    return "data:image/png;base64," + base64.b64encode(sink.getvalue()).decode("ascii")
