"""A head in training: one matrix on descriptors whose parts are brought to one scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import normalize

from honed.index.images import Descriptors
from honed.models.vision.head import ImageHead
from honed.roles.image_retriever.closed_form import Scaling


class Projection:
    """`unit((x * factors - centre) @ (pace * matrix))`.

    Attributes:
        matrix: [d, m], what learns.
        pace: How fast the head moves next to other parameters of the same optimiser.
    """

    def __init__(
        self, descriptors: Descriptors, parts: Sequence[int], start: torch.Tensor, *, pace: float = 1.0
    ) -> None:
        """Take the descriptors that it learns on, and a matrix for scaled ones."""
        self._factors = torch.from_numpy(Scaling.of(descriptors, parts).factors)
        self._centre = (torch.from_numpy(descriptors) * self._factors).mean(dim=0)
        self.pace = pace
        self.matrix = torch.nn.Parameter(start / pace)

    @classmethod
    def random(cls, descriptors: Descriptors, parts: Sequence[int], width: int, *, seed: int) -> Projection:
        """A new head of small random numbers, as a linear layer of torch begins."""
        size = descriptors.shape[1]
        drawn = torch.rand(size, width, generator=torch.Generator().manual_seed(seed))
        return cls(descriptors, parts, (2 * drawn - 1) / size**0.5)

    @classmethod
    def of(cls, head: ImageHead, descriptors: Descriptors, parts: Sequence[int], *, pace: float) -> Projection:
        """A finished head that moves on; its vectors of these descriptors get a mean length of one."""
        factors = torch.from_numpy(Scaling.of(descriptors, parts).factors)
        matrix = torch.from_numpy(head.matrix) / factors[:, None]
        length = torch.from_numpy((descriptors - head.centre) @ head.matrix).norm(dim=1).mean().clamp_min(1e-12)
        moving = cls(descriptors, parts, matrix / length, pace=pace)
        moving._centre = torch.from_numpy(head.centre) * factors
        return moving

    def __call__(self, descriptors: torch.Tensor) -> torch.Tensor:
        """Unit vectors [n, m]."""
        return normalize((descriptors * self._factors - self._centre) @ (self.pace * self.matrix), dim=1)

    def head(self) -> ImageHead:
        """The head as it is now, for raw descriptors."""
        matrix = self._factors[:, None] * (self.pace * self.matrix.detach())
        return ImageHead((self._centre / self._factors).numpy(), np.ascontiguousarray(matrix.numpy()))
