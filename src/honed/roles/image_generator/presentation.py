"""A finished turn of the image generator as people and scripts read it: JSON, and report data with a sheet of drawings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from honed.evaluate.report import Case, Cost, Hit, ReportData
from honed.models.vision.folder import JUDGE_PACKAGE
from honed.roles.image_generator.candidate import PaintCandidate
from honed.roles.image_generator.collection import Collection
from honed.roles.image_generator.distance import Drawn
from honed.roles.image_generator.evaluation import PaintExam
from honed.roles.image_generator.plan import chosen_targets
from honed.roles.image_generator.sheet import sheet_png
from honed.roles.image_generator.trial import KINDS, NONE, RANDOM, RETRIEVED
from honed.roles.image_retriever.presentation import uri
from honed.session import Session
from honed.tuning.nouns import Finished
from honed.tuning.results import each_split, side, turn_json, turn_report

_LINES = 24
"""Targets on the report's sheet, by lot: no best ones are picked."""

_CELL = 64
_EACH = 10
_SEED = 5

Picture = NDArray[np.uint8]


PaintTurn: TypeAlias = "Finished[Collection, PaintCandidate, PaintExam]"
"""A finished turn of the image generator."""


def generator_result(turn: PaintTurn) -> dict[str, Any]:
    """The turn as the JSON that scripts rely on; the same keys as for text, and what was drawn from which references."""
    exam, shown = turn.exam, turn.exam.shown
    value = turn_json(
        turn,
        role="image-generator",
        baseline=_side(exam.base_name, exam.base),
        candidate={**_side("drawn from retrieved references", exam.candidate), "what": turn.chosen.what},
        labels="the true pictures",
    )
    return value | {
        "drawn": {
            "judge": JUDGE_PACKAGE,
            "pixel_distance": {kind: round(float(one.pixels.mean()), 4) for kind, one in shown.drawn.items()},
            "distance": {kind: round(float(one.distance.mean()), 4) for kind, one in shown.drawn.items()},
            "kid": {kind: round(one.kid, 4) for kind, one in shown.drawn.items()},
            "lower_than_random": round(shown.gain, 4),
            "near_copies": round(shown.near_copies, 4),
            "near_copy_threshold": round(shown.threshold, 4),
        }
    }


def generator_report(session: Session, turn: PaintTurn) -> ReportData:
    """The turn as the report shows it: a sheet by lot, then the drawings that gained and lost most."""
    exam, collection = turn.exam, turn.ground
    counts = collection.sizes
    groups = len(np.unique(collection.pictures.groups[exam.targets.rows]))
    drawn = exam.shown.drawn
    frame = turn_report(session, turn)
    return replace(
        frame,
        test_set=f"test, {len(exam.targets.rows):,} of {counts['test']:,} pictures drawn, in {groups:,} groups",
        digests={"drawn from retrieved references": turn.release or str(turn.chosen.details.get("digest", ""))[:12]},
        sheets=((sheet_words(exam), uri(sheet(exam))),),
        cases=_cases(exam, collection),
        costs=(*frame.costs, *(_cost(kind, drawn[kind]) for kind in KINDS), _copies(exam)),
        data_card={
            "pictures": each_split(counts),
            "styles": ", ".join(exam.styles) or "none",
            "labels": "the true pictures, which no drawing has seen",
        },
        commands=(f"honed tune --role image-generator --budget {turn.budget:.0f}s",),
    )


def sheet_words(exam: PaintExam) -> str:
    """What the sheet shows."""
    slots = exam.targets.pictures.references.shape[1]
    return (
        f"Held-out pictures, by lot. Each line: {slots} retrieved references; what is drawn from them, from random references, "
        "from words and style alone; the true picture."
    )


def sheet(exam: PaintExam) -> bytes:
    """Two blocks of lines as a PNG file: references, drawings of every kind, the true picture."""
    pictures, rows = exam.targets.pictures, exam.targets.rows
    lines: list[list[Picture | None]] = []
    for at in chosen_targets(np.arange(len(rows)), _LINES, _SEED).tolist():
        known = [pictures.pixels[one] if one >= 0 else None for one in pictures.references[rows[at]]]
        drawn = [exam.shown.pictures[kind][at] for kind in KINDS]
        lines.append([*known, None, *drawn, None, pictures.pixels[rows[at]]])
    half = (len(lines) + 1) // 2
    right: list[list[Picture | None]] = [*lines[half:], *([[]] * (2 * half - len(lines)))]
    return sheet_png([[*left, None, *other] for left, other in zip(lines[:half], right, strict=True)], cell=_CELL)


def _side(name: str, drawn: Drawn) -> dict[str, Any]:
    scores = drawn.measured.scores
    return {
        **side(name, scores, tuple(scores)),
        "distance": round(float(drawn.distance.mean()), 4),
        "kid": round(drawn.kid, 4),
    }


def _cases(exam: PaintExam, collection: Collection) -> tuple[Case, ...]:
    """Targets whose drawing gained or lost most against the baseline."""
    rows = exam.targets.rows
    gains = exam.base.distance - exam.candidate.distance
    order = np.argsort(-gains, kind="stable").tolist()
    chosen = dict.fromkeys([*order[:_EACH], *order[::-1][:_EACH]])
    earlier = exam.before[1].pictures[RETRIEVED] if exam.before else exam.shown.pictures[RANDOM]
    return tuple(_case(exam, collection, at, int(rows[at]), earlier) for at in chosen)


def _case(exam: PaintExam, collection: Collection, at: int, row: int, earlier: Picture) -> Case:
    pictures = collection.pictures
    references = tuple(
        Hit("reference", "", False, _one(pictures.pixels[one])) for one in pictures.references[row].tolist() if one >= 0
    )
    style = collection.style_of(row)
    return Case(
        query=f"{collection.listing.asked[row]} ({style})" if style else collection.listing.asked[row],
        base=float(1.0 - exam.base.distance[at]),
        candidate=float(1.0 - exam.candidate.distance[at]),
        before=(Hit("drawn", "", False, _one(earlier[at])),),
        after=(Hit("drawn", "", True, _one(exam.shown.pictures[RETRIEVED][at])), *references),
        picture=_one(pictures.pixels[row]),
    )


def _one(picture: Picture) -> str:
    return uri(sheet_png([[picture]], cell=_CELL))


def _cost(kind: str, drawn: Drawn) -> Cost:
    names: Mapping[str, str] = {RETRIEVED: "retrieved references", RANDOM: "random references", NONE: "no references"}
    return Cost(
        f"distance to the true picture, KID: {names[kind]}", "", f"{drawn.distance.mean():.3f}, {drawn.kid:.3f}"
    )


def _copies(exam: PaintExam) -> Cost:
    shown = exam.shown
    return Cost(
        f"near-copies of a reference (distance below {shown.threshold:.3f}, 1 in 20 of real pairs)",
        "",
        f"{100 * shown.near_copies:.1f} %",
    )
