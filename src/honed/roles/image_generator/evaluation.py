"""Baseline and candidate on the held-out pictures, with what the report shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from honed.evaluate.comparison import Questions
from honed.evaluate.slices import MIN_QUERIES, Slice
from honed.models.vision.folder import JUDGE_PACKAGE
from honed.roles.image_generator.collection import Collection
from honed.roles.image_generator.context import TrainingContext
from honed.roles.image_generator.drawing import by_painter
from honed.roles.image_generator.held_out import KIND_NAMES, KINDS, RETRIEVED, Drawings, draw_and_measure
from honed.roles.image_generator.plan import PAINTER
from honed.roles.image_generator.presentation import cases, copies, cost, grid, grid_words
from honed.roles.image_generator.results import Results
from honed.tuning.candidate import Candidate
from honed.tuning.plan import Plan
from honed.tuning.role import Evaluation
from honed.types import Split


def evaluated(context: TrainingContext, plan: Plan, candidate: Candidate) -> Evaluation:
    """Candidate and what is live draw the test; the candidate from random and from no references too."""
    snapshot, collection = context.snapshot, context.collection
    targets = context.targets("test", plan.stage(PAINTER).options["test"])
    drawn = draw_and_measure(context.learner.draw(candidate.files[PAINTER]), targets, context.judge)
    before: tuple[str, Drawings] | None = None
    if snapshot.live is not None:
        draw = by_painter(snapshot.live, collection)
        before = snapshot.baseline.name, draw_and_measure(draw, targets, context.judge, kinds=(RETRIEVED,))
    results = Results(targets, before, drawn)
    return Evaluation(
        results.measured(results.base, results.base_name),
        results.measured(drawn.drawn[RETRIEVED], KIND_NAMES[RETRIEVED]),
        sliced(collection, "test"),
        others=results.others(),
        checks=results.checks,
        cases=lambda: cases(results, collection),
        costs=(*(cost(kind, drawn.drawn[kind]) for kind in KINDS), copies(drawn)),
        sheets=((grid_words(targets), grid(results)),),
        extras={"drawn": _figures(results)},
    )


def sliced(collection: Collection, split: Split) -> Questions:
    """The pictures of a split that may be drawn; slices are styles and whether others of a group were found."""
    pictures, rows = collection.pictures, collection.rows[split]
    styles, references = pictures.styles[rows], pictures.references[rows]
    slices = [Slice(f"style: {name}", styles == number) for number, name in enumerate(collection.styles, 1)]
    same = ((pictures.groups[references] == pictures.groups[rows][:, None]) & (references >= 0)).any(axis=1)
    slices += [Slice("a picture of the same thing was found", same), Slice("none was found", ~same)]
    kept = tuple(part for part in slices if MIN_QUERIES <= part.members.sum() < len(rows))
    return Questions([collection.listing.ids[row] for row in rows.tolist()], pictures.groups[rows], kept)


def _figures(results: Results) -> Mapping[str, Any]:
    """What the JSON of the run says of the drawings; "live" is what the last release drew from retrieved references."""
    candidate = results.candidate
    drawn = dict(candidate.drawn)
    if results.before:
        drawn["live"] = replace(results.base, name="live")
    return {
        "judge": JUDGE_PACKAGE,
        "pixel_distance": {kind: round(float(part.pixels.mean()), 4) for kind, part in drawn.items()},
        "distance": {kind: round(float(part.distance.mean()), 4) for kind, part in drawn.items()},
        "kid": {kind: round(part.kid, 4) for kind, part in drawn.items()},
        "lower_than_random": round(candidate.gain, 4),
        "near_copies": round(candidate.near_copies, 4),
        "near_copy_threshold": round(candidate.threshold, 4),
    }
