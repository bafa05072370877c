"""A finished turn on pictures as people and scripts read it: JSON, and report data with grids."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from honed.evaluate.image_exam import Picture
from honed.evaluate.report import ReportData
from honed.ingest.describe import open_rendering
from honed.session import Session
from honed.summary import each_split, side, turn_json, turn_report
from honed.turn import Gallery, ImageTurn, WordsTurn
from honed.types import Split

_SHOWN_SIDE = 96
"""Pixels of a picture in a report."""


def image_result(turn: ImageTurn) -> dict[str, Any]:
    """The turn as the JSON that scripts rely on; the same keys as for text."""
    base, candidate = turn.exam.base, turn.exam.candidate
    return turn_json(
        turn,
        role="image-retriever",
        baseline={**side(base.name, base.scores), "dev": {turn.ground.baseline: turn.ground.dev}},
        candidate={**side(turn.chosen.name, candidate.scores), "what": turn.chosen.what},
        labels="groups",
    )


def image_report(session: Session, turn: ImageTurn) -> ReportData:
    """The turn as the report shows it, with grids of pictures."""
    ground = turn.ground
    counts = {split: len(gallery.pictures) for split, gallery in ground.galleries.items()}
    groups = {split: len(np.unique(gallery.pictures.groups)) for split, gallery in ground.galleries.items()}

    return replace(
        turn_report(session, turn),
        test_set=f"test, {counts['test']:,} pictures in {groups['test']:,} groups",
        digests={
            turn.exam.base.name: ground.encoder.space[:12],
            turn.exam.candidate.name: turn.release or turn.chosen.what,
        },
        cases=turn.exam.cases(_pictures(session, ground.galleries["test"])),
        data_card={
            "pictures": each_split(counts),
            "groups": each_split(groups),
            "labels": "groups: pictures that show the same thing",
        },
        commands=(f"honed tune --role image-retriever --budget {turn.budget:.0f}s",),
    )


def words_result(turn: WordsTurn) -> dict[str, Any]:
    """The turn as the JSON that scripts rely on; the same keys as for text, and what dev did not choose as baseline."""
    base, candidate = turn.exam.base, turn.exam.candidate
    others = [side(paper.name, paper.scores) for paper in turn.exam.others]
    return turn_json(
        turn,
        role="text-to-image",
        baseline={**side(base.name, base.scores), "dev": turn.ground.dev, "others": others},
        candidate={**side(turn.chosen.name, candidate.scores), "what": turn.chosen.what},
        labels="keywords",
    )


def words_report(session: Session, turn: WordsTurn) -> ReportData:
    """The turn as the report shows it: questions, and grids of the pictures that they found before and find now."""
    ground = turn.ground
    counts = {split: len(gallery.pictures) for split, gallery in ground.galleries.items()}
    asked: dict[Split, int] = {split: len(ground.queries[split].texts) for split in ("dev", "test")}
    return replace(
        turn_report(session, turn),
        test_set=f"test, {asked['test']:,} questions about {counts['test']:,} pictures",
        digests={
            turn.exam.base.name: ground.embedder.space[:12],
            turn.exam.candidate.name: turn.release or turn.chosen.what,
        },
        cases=turn.exam.cases(_pictures(session, ground.galleries["test"])),
        data_card={
            "pictures": each_split(counts),
            "questions": each_split(asked),
            "labels": "keywords that a picture's title lacks; half of the titles are hidden from search",
        },
        commands=(f"honed tune --role text-to-image --budget {turn.budget:.0f}s",),
    )


def _pictures(session: Session, gallery: Gallery) -> Picture:
    """What a report shows of the picture at a place: caption and data URI."""

    @cache  # a picture is found for many queries
    def picture(place: int) -> tuple[str, str]:
        record = gallery.records[place]
        return record.caption or record.external_id, _thumbnail(session, record.media)

    return picture


def _thumbnail(session: Session, media: str) -> str:
    """A picture as a data URI."""
    small = open_rendering(session.workspace, media)
    small.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
    sink = io.BytesIO()
    small.save(sink, "PNG")
    return uri(sink.getvalue())


def uri(png: bytes) -> str:
    """A PNG file as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
