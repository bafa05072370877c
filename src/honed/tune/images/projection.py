"""A head in training: the matrix of a finished head plus a change that starts at nothing."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import dropout, normalize

from honed.models.vision.head import ImageHead
from honed.tune.images.bench import Descriptors


class Projection:
    """`unit((x - centre) / spread @ (start + pace * change))`.

    The change is learned in units of each number's own spread, so that one rate fits all parts of a descriptor.

    Attributes:
        change: [d, m], what learns.
        pace: How fast the change moves next to other parameters of the same optimiser.
    """

    def __init__(self, head: ImageHead, descriptors: Descriptors, *, pace: float = 1.0) -> None:
        """Take a head and the descriptors that it was fitted on."""
        self._centre = torch.from_numpy(head.centre)
        rows = torch.from_numpy(descriptors) - self._centre
        self._spread = rows.std(dim=0).clamp_min(1e-6)
        start = torch.from_numpy(head.matrix)
        self._length = (rows @ start).norm(dim=1).mean().clamp_min(1e-12)
        self._start = start * (self._spread[:, None] / self._length)
        self.pace = pace
        self.change = torch.nn.Parameter(torch.zeros_like(self._start))

    def __call__(self, descriptors: torch.Tensor, *, noise: float = 0.0) -> torch.Tensor:
        """Unit vectors [n, m]; a share of `noise` of the numbers of a descriptor is left out."""
        rows = (descriptors - self._centre) / self._spread
        if noise:
            rows = dropout(rows, noise)
        return normalize(rows @ (self._start + self.pace * self.change), dim=1)

    def head(self, share: float = 1.0) -> ImageHead:
        """The head with a share of the change."""
        matrix = (self._start + share * self.pace * self.change.detach()) * (self._length / self._spread[:, None])
        return ImageHead(self._centre.numpy(), np.ascontiguousarray(matrix.numpy(), np.float32))
