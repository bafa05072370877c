"""The drawings of a test as its report shows them: a grid by lot, and those that gained and lost most."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from honed.evaluate.report import Case, Cost, Hit, extremes
from honed.evaluate.thumbnails import data_uri
from honed.roles.image_generator.collection import Collection
from honed.roles.image_generator.distance import Drawn
from honed.roles.image_generator.held_out import KINDS, NONE, RANDOM, RETRIEVED, Drawings, Targets
from honed.roles.image_generator.pictures import by_lot
from honed.roles.image_generator.results import Results
from honed.roles.image_generator.sample_grid import grid_png

_LINES = 24
"""Targets of the report's grid, by lot: no best ones are picked."""

_CELL = 64
_SEED = 5

Picture = NDArray[np.uint8]


def grid_words(targets: Targets) -> str:
    """What the grid shows."""
    slots = targets.pictures.references.shape[1]
    return (
        f"Held-out pictures, by lot. Each line: {slots} retrieved references; what is drawn from them, from random references, "
        "from words and style alone; the true picture."
    )


def grid(results: Results) -> str:
    """Two blocks of lines as a data URI: references, drawings of every kind, the true picture."""
    pictures, rows = results.targets.pictures, results.targets.rows
    lines: list[list[Picture | None]] = []
    for place in by_lot(np.arange(len(rows)), _LINES, _SEED).tolist():
        references = [pictures.pixels[row] if row >= 0 else None for row in pictures.references[rows[place]]]
        drawings = [results.candidate.pictures[kind][place] for kind in KINDS]
        lines.append([*references, None, *drawings, None, pictures.pixels[rows[place]]])
    half = (len(lines) + 1) // 2
    right: list[list[Picture | None]] = [*lines[half:], *([[]] * (2 * half - len(lines)))]
    return data_uri(
        grid_png([[*left, None, *other] for left, other in zip(lines[:half], right, strict=True)], cell=_CELL)
    )


def cases(results: Results, collection: Collection) -> tuple[Case, ...]:
    """Targets whose drawing gained or lost most against the baseline."""
    gains = results.base.distance - results.candidate.drawn[RETRIEVED].distance
    return tuple(_case(results, collection, place) for place in extremes(gains))


def _case(results: Results, collection: Collection, place: int) -> Case:
    pictures, row = results.targets.pictures, int(results.targets.rows[place])
    references = tuple(
        Hit("reference", "", False, _cell(pictures.pixels[reference]))
        for reference in pictures.references[row].tolist()
        if reference >= 0
    )
    style, asked = collection.style_of(row), collection.listing.asked[row]
    return Case(
        query=f"{asked} ({style})" if style else asked,
        base=float(1.0 - results.base.distance[place]),
        candidate=float(1.0 - results.candidate.drawn[RETRIEVED].distance[place]),
        before=(Hit("drawn", "", False, _cell(results.base_pictures[place])),),
        after=(Hit("drawn", "", True, _cell(results.candidate.pictures[RETRIEVED][place])), *references),
        picture=_cell(pictures.pixels[row]),
    )


def _cell(picture: Picture) -> str:
    return data_uri(grid_png([[picture]], cell=_CELL))


def cost(kind: str, drawn: Drawn) -> Cost:
    """How far drawings of a kind are from the truth, one by one and as a set."""
    names: Mapping[str, str] = {RETRIEVED: "retrieved references", RANDOM: "random references", NONE: "no references"}
    return Cost(
        f"distance to the true picture, KID: {names[kind]}", "", f"{drawn.distance.mean():.3f}, {drawn.kid:.3f}"
    )


def copies(candidate: Drawings) -> Cost:
    """How many drawings are near-copies."""
    what = f"near-copies of a reference (distance below {candidate.threshold:.3f}, 1 in 20 of real pairs)"
    return Cost(what, "", f"{100 * candidate.near_copies:.1f} %")
