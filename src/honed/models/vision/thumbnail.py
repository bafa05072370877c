"""The baseline without a model: a small copy of the picture is its descriptor. `thumbnail:8` is 8 x 8 pixels, 192 numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import UsageError
from honed.models.registry import Spec
from honed.models.vision.prepare import on_white

if TYPE_CHECKING:
    from PIL import Image

DEFAULT_SIDE = 8
MOST = 64

_BOX = 4
"""Pillow's `Resampling.BOX`: each number is the mean of its part of the picture."""


class ThumbnailEncoder:
    """Colours where they are: finds copies and pictures of the same layout, and knows nothing of what they show."""

    def __init__(self, side: int = DEFAULT_SIDE) -> None:
        self.side = side

    @classmethod
    def from_spec(cls, spec: Spec, **_: Any) -> ThumbnailEncoder:
        """`thumbnail` or `thumbnail:SIDE`.

        Raises:
            UsageError: The side is not a number from 2 to 64.
        """
        side = spec.name or str(DEFAULT_SIDE)
        if not side.isdecimal() or not 2 <= int(side) <= MOST:
            raise UsageError(f"A thumbnail of '{side}' pixels cannot be.", hint=f"thumbnail:SIDE, from 2 to {MOST}")
        return cls(int(side))

    @property
    def dimension(self) -> int:
        """Three numbers a pixel."""
        return 3 * self.side**2

    @property
    def space(self) -> str:
        """Fingerprint: of the side alone. 32 hex digits."""
        return hashlib.sha256(f"thumbnail {self.side}".encode()).hexdigest()[:32]

    def encode_image(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Pictures as [len(images), dimension]: 0 is mid grey, 1 is white."""
        rows = [
            np.asarray(on_white(image).resize((self.side, self.side), _BOX), np.float32).ravel() for image in images
        ]
        return np.stack(rows) / 127.5 - 1 if rows else np.empty((0, self.dimension), np.float32)
