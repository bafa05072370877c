"""Rungs of seconds: whitening, expansion of queries, the discriminant. Nothing is trained and no picture is looked at."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from honed.evaluate.image_board import primary
from honed.evaluate.metrics import Scores
from honed.models.vision.head import ImageHead
from honed.roles.image_retriever.bench import Descriptors, ImageBench
from honed.roles.image_retriever.candidate import ImageCandidate
from honed.roles.image_retriever.closed import discriminants, whitenings


def tune_whitening(bench: ImageBench) -> ImageCandidate:
    """Whiten the descriptors of train; dev picks how many directions are kept and how far the weak ones are raised."""
    started, recipe = time.monotonic(), bench.recipe
    most = min(len(bench.train) - 1, bench.train.shape[1])
    tries: list[tuple[Scores, ImageHead, int, float]] = []
    widest_first = whitenings(bench.train, bench.parts, min(most, max(recipe.widths)), recipe.ridges)
    for ridge, widest in zip(recipe.ridges, widest_first, strict=True):
        for width in sorted({min(most, width) for width in recipe.widths}):
            head = ImageHead(widest.centre, np.ascontiguousarray(widest.matrix[:, :width]))
            tries.append((primary(bench.board, head.apply(bench.gallery)), head, width, ridge))
    dev, head, width, ridge = max(tries, key=lambda one: float(np.nanmean(one[0])))
    return ImageCandidate(
        "whitening",
        f"whitened to {width} numbers",
        head,
        dev,
        time.monotonic() - started,
        len(tries),
        details={"width": width, "ridge": ridge},
    )


def tune_expansion(
    bench: ImageBench, best: ImageCandidate, *, gallery: Descriptors | None = None
) -> ImageCandidate | None:
    """Expand the queries of the winner so far by their neighbours; None where dev likes none of it better.

    Args:
        gallery: Descriptors of all pictures by the winner's encoder, if it is not the base's.
    """
    started = time.monotonic()
    descriptors = bench.gallery if gallery is None else gallery
    tries = [
        (primary(bench.board, best.head.apply(descriptors), neighbours=count), count)
        for count in bench.recipe.neighbours
    ]
    scores, count = max(tries, key=lambda one: float(np.nanmean(one[0])))
    if float(np.nanmean(scores)) <= best.mean:
        return None
    return replace(
        best,
        name="expansion",
        what=f"{best.what}, queries expanded by {count} neighbours",
        dev=scores,
        seconds=time.monotonic() - started,
        tried=len(tries),
        neighbours=count,
        details={**best.details, "neighbours": count},
    )


def tune_discriminant(bench: ImageBench) -> ImageCandidate:
    """The directions that tell groups apart; dev picks the ridge and the number of directions.

    Raises:
        UsageError: Fewer than two groups of train have two pictures.
    """
    started = time.monotonic()
    head, scores, details, tried = best_discriminant(bench, bench.train, bench.gallery)
    return ImageCandidate(
        "discriminant",
        f"{details['width']} directions that tell groups apart",
        head,
        scores,
        time.monotonic() - started,
        tried,
        details=details,
    )


def best_discriminant(
    bench: ImageBench, train: Descriptors, gallery: Descriptors
) -> tuple[ImageHead, Scores, dict[str, float], int]:
    """The discriminant that dev likes best, its dev scores, ridge and width, and how many were compared."""
    tries = []
    for ridge, found in zip(
        bench.recipe.ridges, discriminants(train, bench.groups, bench.parts, bench.recipe.ridges), strict=True
    ):
        most = found.full.dimension
        for width in sorted({min(most, width) for width in bench.recipe.widths}):
            head = found.head(width)
            tries.append((primary(bench.board, head.apply(gallery)), head, {"ridge": ridge, "width": width}))
    scores, head, details = max(tries, key=lambda one: float(np.nanmean(one[0])))
    return head, scores, details, len(tries)
