"""A finished turn on pictures as people and scripts read it: JSON, and report data with grids."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from honed.catalog import images
from honed.evaluate.image_board import IMAGE_METRICS
from honed.evaluate.report import ReportData
from honed.ingest.describe import open_rendering
from honed.roles.image_retriever.evaluation import Picture
from honed.session import Session
from honed.tuning.nouns import ImageTurn, WordsTurn
from honed.tuning.results import each_split, side, turn_json, turn_report
from honed.types import Split

_SHOWN_SIDE = 96
"""Pixels of a picture in a report."""


def image_result(turn: ImageTurn) -> dict[str, Any]:
    """The turn as the JSON that scripts rely on; the same keys as for text."""
    base, candidate = turn.exam.base, turn.exam.candidate
    return turn_json(
        turn,
        role="image-retriever",
        baseline={**side(base.name, base.scores, IMAGE_METRICS), "dev": {turn.ground.baseline: turn.ground.dev}},
        candidate={**side(turn.chosen.name, candidate.scores, IMAGE_METRICS), "what": turn.chosen.what},
        labels="groups",
    )


def image_report(session: Session, turn: ImageTurn) -> ReportData:
    """The turn as the report shows it, with grids of pictures."""
    ground = turn.ground
    task = ground.gallery.task
    counts = {split: len(pictures) for split, pictures in task.splits.items()}
    groups = {split: len(np.unique(pictures.groups)) for split, pictures in task.splits.items()}
    judged = int(turn.exam.board.judged.sum())

    return replace(
        turn_report(session, turn),
        test_set=f"test, {judged:,} pictures that share their group with others, looking among {len(task.everything):,}",
        digests={
            turn.exam.base.name: ground.encoder.space[:12],
            turn.exam.candidate.name: turn.release or turn.chosen.what,
        },
        cases=turn.exam.cases(_pictures(session, task.everything.rowids.tolist())),
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
    others = [side(paper.name, paper.scores, IMAGE_METRICS) for paper in turn.exam.others]
    value = turn_json(
        turn,
        role="text-to-image",
        baseline={**side(base.name, base.scores, IMAGE_METRICS), "dev": turn.ground.dev, "others": others},
        candidate={**side(turn.chosen.name, candidate.scores, IMAGE_METRICS), "what": turn.chosen.what},
        labels="keywords",
    )
    return value | {
        "if_search_knew": {
            known: {
                paper.name: side(paper.name, paper.scores, IMAGE_METRICS)["metrics"]
                for paper in (exam.base, exam.candidate)
            }
            for known, exam in turn.exam.knowledge.items()
        }
    }


def words_report(session: Session, turn: WordsTurn) -> ReportData:
    """The turn as the report shows it: questions, and grids of the pictures that they found before and find now."""
    ground = turn.ground
    task = ground.gallery.task
    counts = {split: len(pictures) for split, pictures in task.splits.items()}
    asked: dict[Split, int] = {split: len(ground.queries[split].texts) for split in ("dev", "test")}
    return replace(
        turn_report(session, turn),
        test_set=f"test, {asked['test']:,} questions about {counts['test']:,} pictures, looking among {len(task.everything):,}",
        digests={
            turn.exam.base.name: ground.embedder.space[:12],
            turn.exam.candidate.name: turn.release or turn.chosen.what,
        },
        cases=turn.exam.cases(_pictures(session, task.everything.rowids.tolist())),
        data_card={
            "pictures": each_split(counts),
            "questions": each_split(asked),
            "labels": "keywords that a picture's title lacks; search knows all words, as it does live",
        },
        commands=(f"honed tune --role text-to-image --budget {turn.budget:.0f}s",),
    )


def _pictures(session: Session, rowids: list[int]) -> Picture:
    """What a report shows of the picture at a place: caption and data URI."""
    records = images.by_rowid(session.catalog, rowids)

    @cache  # a picture is found for many queries
    def picture(place: int) -> tuple[str, str]:
        record = records[rowids[place]]
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
