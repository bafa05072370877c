"""Are generated pictures any good? Their distance to the true drawing, to real pictures as a set, and to what they copied.

Four questions, in the order in which the gate asks them: is a drawing near the true one (`likeness`, one value a target, so
that two systems can be compared in pairs); does retrieval matter (the same with random references, or none); is it more
than a copy of a reference (`near_copy_share`); and do the drawings as a whole look like the user's pictures (`kid`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import UsageError
from honed.evaluate.comparison import Measured

PIXELS = "pixel likeness"
"""1 minus the mean absolute difference of pixels: needs no weights, so no painter can have learned to please it."""

LIKENESS = "likeness"
"""Name of the primary metric: 1 minus the distance to the true drawing, so that higher is better."""

COPY_PERCENTILE = 5.0
"""Of the distances between real pictures and what is retrieved for them: below it, two are nearly copies of each other."""

_ROWS = 64  # pictures compared at a time

Floats = NDArray[np.float64]

Maps = Sequence[NDArray[Any]]
"""Feature maps of n pictures, one array [n, channels, height, width] a layer, every position of unit length."""


def map_distance(maps: Maps, others: Maps) -> Floats:
    """How unlike two pictures are, pair by pair: [n], 0 for the same, 1 for no likeness at any place of any layer.

    One minus the cosine of the features at each position, averaged over positions and then over layers: LPIPS (Zhang et al.
    2018, arXiv:1801.03924) in its unweighted form, halved, on the layers of a network that trains no painter.

    Raises:
        UsageError: The two were not made by the same network from as many pictures of one size.
    """
    if [layer.shape for layer in maps] != [layer.shape for layer in others] or not maps:
        raise UsageError("The feature maps of the two sets of pictures do not fit each other.")
    count = len(maps[0])
    distances = np.zeros(count)
    for start in range(0, count, _ROWS):
        rows = slice(start, start + _ROWS)
        for left, right in zip(maps, others, strict=True):
            cosine = np.einsum("nchw,nchw->nhw", left[rows].astype(np.float32), right[rows].astype(np.float32))
            distances[rows] += 1.0 - cosine.mean(axis=(1, 2), dtype=np.float64)
    return distances / len(maps)


def pixel_distance(pictures: NDArray[np.uint8], others: NDArray[np.uint8]) -> Floats:
    """Mean absolute difference of pictures [n, height, width, 3], pair by pair: [n], from 0 to 1."""
    if pictures.shape != others.shape:
        raise UsageError(f"Pictures of the shape {pictures.shape} cannot be compared with {others.shape}.")
    differences = np.abs(pictures.astype(np.int16) - others)
    return np.asarray(differences.mean(axis=(1, 2, 3), dtype=np.float64) / 255.0)


def kid(features: NDArray[np.floating[Any]], others: NDArray[np.floating[Any]]) -> float:
    """Kernel inception distance of two sets of features [n, d] and [m, d]: near 0 when both come from one distribution.

    The unbiased estimate of the squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018,
    arXiv:1801.01401). Unbiased also for small sets, where FID is not; it may fall a little below 0. Only values made
    with the same features can be compared.

    Raises:
        UsageError: A set holds fewer than two pictures, or the features are of different length.
    """
    if min(len(features), len(others)) < 2 or features.shape[1:] != others.shape[1:]:
        raise UsageError("KID needs two sets of at least two pictures, described by the same encoder.")
    left, right = features.astype(np.float64), others.astype(np.float64)
    within = [_kernel(part, part) for part in (left, right)]
    own = sum((part.sum() - np.trace(part)) / (len(part) * (len(part) - 1)) for part in within)
    return float(own - 2.0 * _kernel(left, right).mean())


def _kernel(left: Floats, right: Floats) -> Floats:
    return np.asarray((left @ right.T / left.shape[1] + 1.0) ** 3)


def copy_threshold(real: NDArray[np.floating[Any]]) -> float:
    """The distance below which a picture counts as a near-copy of another.

    Args:
        real: Distances between real pictures and their references, any shape; NaN where there is none.
    """
    if not np.isfinite(real).any():
        raise UsageError(
            "No train picture has a reference, so there is no telling what a near-copy is.",
            hint="captions find references: honed import DIR, where items.jsonl gives pictures a caption",
        )
    return float(np.nanpercentile(real, COPY_PERCENTILE))


def near_copy_share(distances: NDArray[np.floating[Any]], threshold: float) -> float:
    """Share of drawings that are nearer to one of their references than `threshold`.

    Args:
        distances: [n, references] from each drawing to each of its references; NaN where there is none.
        threshold: From `copy_threshold`.
    """
    return float((np.nan_to_num(distances, nan=np.inf).min(axis=1) < threshold).mean())


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One system's drawings of the same targets, measured.

    Attributes:
        name: What is shown: "retrieved", "random", "none", or a release.
        distance: [n] to the true drawing (`map_distance`).
        pixels: [n] the same in pixels (`pixel_distance`).
        to_references: [n, references] to each reference that was given; NaN where there was none.
        kid: To the real pictures as a set.
    """

    name: str
    distance: Floats
    pixels: Floats
    to_references: Floats
    kid: float

    @property
    def measured(self) -> Measured:
        """As the paired comparison takes it: higher is better."""
        return Measured(self.name, {LIKENESS: 1.0 - self.distance, PIXELS: 1.0 - self.pixels})

    def nearer_than(self, other: Drawn) -> float:
        """By which share the mean distance to the true drawing is lower than the other's: .25 is a quarter lower."""
        return float(1.0 - self.distance.mean() / other.distance.mean())
