"""Stages of seconds: whitening, expansion of queries, the discriminant. Nothing is trained and no picture is looked at."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from honed.evaluate.image_board import primary
from honed.evaluate.metrics import Scores
from honed.index.images import Descriptors
from honed.models.vision.head import ImageHead
from honed.roles.image_retriever.closed_form import discriminants, whitenings
from honed.roles.image_retriever.training import HEAD, TrainingContext, head_of
from honed.tuning.candidate import Candidate


def tune_whitening(context: TrainingContext) -> Candidate:
    """Whiten the descriptors of train; dev picks how many directions are kept and how far the weak ones are raised."""
    started, recipe = time.monotonic(), context.recipe
    most = min(len(context.train) - 1, context.train.shape[1])
    variants: list[tuple[Scores, ImageHead, int, float]] = []
    widest_first = whitenings(context.train, context.parts, min(most, max(recipe.widths)), recipe.ridges)
    for ridge, widest in zip(recipe.ridges, widest_first, strict=True):
        for width in sorted({min(most, width) for width in recipe.widths}):
            head = ImageHead(widest.centre, np.ascontiguousarray(widest.matrix[:, :width]))
            variants.append((primary(context.board, head.apply(context.gallery)), head, width, ridge))
    dev, head, width, ridge = max(variants, key=lambda variant: float(np.nanmean(variant[0])))
    return Candidate(
        "whitening",
        f"whitened to {width} numbers",
        dev,
        time.monotonic() - started,
        len(variants),
        files={HEAD: context.write_head("whitening", head)},
        details={"width": width, "ridge": ridge},
    )


def tune_expansion(context: TrainingContext, best: Candidate) -> Candidate | None:
    """Expand the queries of the best candidate so far by their neighbours; None where dev likes none of it better."""
    started = time.monotonic()
    vectors = head_of(best).apply(context.described(best))
    variants = [
        (primary(context.board, vectors, neighbours=neighbours), neighbours) for neighbours in context.recipe.neighbours
    ]
    scores, neighbours = max(variants, key=lambda variant: float(np.nanmean(variant[0])))
    if float(np.nanmean(scores)) <= best.mean:
        return None
    return replace(
        best,
        name="expansion",
        what=f"{best.what}, queries expanded by {neighbours} neighbours",
        dev=scores,
        seconds=time.monotonic() - started,
        tried=len(variants),
        values={**best.values, "neighbours": neighbours},
        details={**best.details, "neighbours": neighbours},
    )


def tune_discriminant(context: TrainingContext) -> Candidate:
    """The directions that tell groups apart; dev picks the ridge and the number of directions.

    Raises:
        UsageError: Fewer than two groups of train have two pictures.
    """
    started = time.monotonic()
    head, scores, details, tried = best_discriminant(context, context.train, context.gallery)
    return Candidate(
        "discriminant",
        f"{details['width']} directions that tell groups apart",
        scores,
        time.monotonic() - started,
        tried,
        files={HEAD: context.write_head("discriminant", head)},
        details=details,
    )


def best_discriminant(
    context: TrainingContext, train: Descriptors, gallery: Descriptors
) -> tuple[ImageHead, Scores, dict[str, float], int]:
    """The discriminant that dev likes best, its dev scores, ridge and width, and how many were compared."""
    variants = []
    ridges = context.recipe.ridges
    fitted = discriminants(train, context.groups, context.parts, ridges)
    for ridge, discriminant in zip(ridges, fitted, strict=True):
        most = discriminant.full.dimension
        for width in sorted({min(most, width) for width in context.recipe.widths}):
            head = discriminant.head(width)
            variants.append((primary(context.board, head.apply(gallery)), head, {"ridge": ridge, "width": width}))
    scores, head, details = max(variants, key=lambda variant: float(np.nanmean(variant[0])))
    return head, scores, details, len(variants)
