"""Heads that are computed, not trained, in seconds: whitening without labels, and directions that tell groups apart.

Both are linear, so what they find is one matrix; neither sees a picture twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from honed.errors import UsageError
from honed.index.images import Descriptors
from honed.models.vision.head import ImageHead

LEAST = 1e-6
"""Variance that a part is taken to have at least, so that a constant one stays finite."""


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Brings the parts of a descriptor to one scale: [d] factors after which each part has a total variance of one.

    Maps of different depth differ in scale by a factor of ten; a ridge that is right for one would drown another.
    """

    factors: NDArray[np.float32]

    @classmethod
    def of(cls, descriptors: Descriptors, parts: Sequence[int]) -> Scaling:
        """Measure the parts of the given widths on descriptors [n, d]; without parts all of it is one.

        Raises:
            UsageError: The widths do not add up.
        """
        widths = list(parts) or [descriptors.shape[1]]
        if sum(widths) != descriptors.shape[1]:
            raise UsageError(f"Parts of {widths} numbers do not make a descriptor of {descriptors.shape[1]}.")
        ends = np.cumsum(widths)
        variances = descriptors.var(axis=0, dtype=np.float64)
        sizes = [float(variances[end - width : end].sum()) for width, end in zip(widths, ends, strict=True)]
        factors = np.repeat([1.0 / np.sqrt(max(size, LEAST)) for size in sizes], widths)
        return cls(factors.astype(np.float32))

    def head(self, inner: ImageHead) -> ImageHead:
        """A head for raw descriptors from one that was fitted on scaled ones."""
        return ImageHead(inner.centre / self.factors, self.factors[:, None] * inner.matrix)


def whitenings(
    descriptors: Descriptors, parts: Sequence[int], width: int, ridges: Sequence[float]
) -> Iterator[ImageHead]:
    """Heads that make the strongest directions about equally strong, one for each ridge, the strongest direction first.

    The same as `models.vision.head.whitening` on scaled descriptors, with one decomposition for all ridges: of 3,056 numbers it
    takes a quarter of a minute.

    Args:
        descriptors: [n, d] raw.
        parts: Widths of the parts of a descriptor.
        width: Directions to keep, at most d and n - 1.
        ridges: Added to each variance, in mean variances.

    Raises:
        UsageError: There are too few descriptors for so many directions.
    """
    count, size = descriptors.shape
    if not 1 <= width <= min(count - 1, size):
        raise UsageError(f"{count} pictures of {size} numbers do not give {width} directions.")
    scaling = Scaling.of(descriptors, parts)
    rows = torch.from_numpy(np.ascontiguousarray(descriptors * scaling.factors))
    centre = rows.mean(dim=0)
    rows -= centre
    # In float32 the solver gives NaN, or gives up, where many numbers are nought for all pictures, as behind a ReLU.
    variances, directions = torch.linalg.eigh((rows.T @ rows / (count - 1)).double())
    strongest = torch.arange(size - 1, size - 1 - width, -1)
    for ridge in ridges:
        raised = variances[strongest].clamp_min(0) + ridge * variances.mean() + 1e-12
        matrix = (directions[:, strongest] / raised.sqrt()).float()
        yield scaling.head(ImageHead(centre.numpy(), np.ascontiguousarray(matrix.numpy())))


@dataclass(frozen=True, slots=True, eq=False)
class Discriminant:
    """Heads of one ridge and any width, the most telling directions first.

    Attributes:
        spread: [directions] how far group means lie apart in each, in standard deviations within groups.
    """

    full: ImageHead
    spread: NDArray[np.float32]

    def head(self, width: int) -> ImageHead:
        """The first `width` directions, or all where there are fewer."""
        return ImageHead(self.full.centre, np.ascontiguousarray(self.full.matrix[:, :width]))


def discriminants(
    descriptors: Descriptors, groups: NDArray[np.int64], parts: Sequence[int], ridges: Sequence[float]
) -> Iterator[Discriminant]:
    """Fisher's discriminant with a ridge: whiten what varies inside groups, keep where their means lie apart.

    Variation inside groups is what must not matter (style, light, an author's hand), whatever the pictures show. Within-class
    whitening (Hatch et al. 2006, "Within-class covariance normalization") with the rotation of linear discriminant
    analysis. There are at most as many directions as groups, less one.

    Args:
        descriptors: [n, d] raw.
        groups: [n]; pictures of groups of one, or of none (-1), are left out of the scatter.
        parts: Widths of the parts of a descriptor.
        ridges: Added to each variance inside groups, in mean variances; one result each.

    Raises:
        UsageError: Fewer than two groups have two pictures.
    """
    _, labels, counts = np.unique(groups, return_inverse=True, return_counts=True)
    kept = (groups >= 0) & (counts[labels] > 1)
    _, labels = np.unique(groups[kept], return_inverse=True)
    if not kept.any() or labels.max() < 1:
        raise UsageError("Fewer than two groups have two pictures.", hint="give pictures of the same thing one group")
    scaling = Scaling.of(descriptors[kept], parts)
    rows = torch.from_numpy(np.ascontiguousarray(descriptors[kept] * scaling.factors))
    centre = rows.mean(dim=0)
    rows -= centre
    means, inside = _means(rows, torch.from_numpy(labels))
    scatter = inside.T @ inside / len(inside)
    mean_variance = float(scatter.diagonal().mean().clamp_min(LEAST / scatter.shape[0]))
    for ridge in ridges:
        lower = torch.linalg.cholesky(scatter + ridge * mean_variance * torch.eye(len(scatter)))
        apart = torch.linalg.solve_triangular(lower, means.T, upper=False).T
        _, spread, directions = torch.linalg.svd(apart, full_matrices=False)
        rank = int((spread > 1e-5 * spread[0]).sum())
        matrix = torch.linalg.solve_triangular(lower.T, directions[:rank].T, upper=True)
        # One scale for all ridges: the vectors of the fitted pictures have a mean length of one.
        matrix /= (rows @ matrix).norm(dim=1).mean()
        inner = ImageHead(centre.numpy(), np.ascontiguousarray(matrix.numpy()))
        yield Discriminant(scaling.head(inner), (spread[:rank] / np.sqrt(len(means))).numpy())


def _means(rows: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Means of the groups, and what each row differs from its own."""
    counts = torch.bincount(labels).to(rows.dtype)[:, None]
    means = torch.zeros(len(counts), rows.shape[1]).index_add_(0, labels, rows) / counts
    return means, rows - means[labels]
