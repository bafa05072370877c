"""Pictures of any size and mode to the squares of pixels that an encoder takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from honed.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]
"""RGB, [side, side, 3] or [n, side, side, 3]."""

Fit = Literal["pad", "crop", "stretch"]
Resample = Literal["bicubic", "bilinear"]

LARGEST_SIDE = 2048

REDUCING_GAP = 3.0
"""Large pictures are first averaged down until they are this many times too large, which the eye does not see (Pillow)."""

TRANSPARENT = frozenset(("RGBA", "LA", "PA", "RGBa", "La"))
"""Pillow's modes with an alpha channel. Others may name one transparent colour in their info."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """What happens to a picture before the network. All of it belongs to the space.

    Attributes:
        side: Of the square of pixels.
        fit: `pad` keeps the whole picture and fills up with white, `crop` cuts the middle square out, `stretch` forgets
            the proportions.
        mean: Of pixel values from 0 to 255, a number a channel.
        deviation: Likewise.
        keep: With `crop`, the part of the short side that the square keeps.
        resample: The filter.
    """

    side: int
    fit: Fit
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    keep: float = 1.0
    resample: Resample = "bicubic"

    def __post_init__(self) -> None:
        if type(self.side) is not int or not 1 <= self.side <= LARGEST_SIDE:
            raise InputError(f"Pictures cannot be made {self.side!r} pixels wide.")
        if self.fit not in get_args(Fit) or self.resample not in get_args(Resample) or not 0 < self.keep <= 1:
            raise InputError(f"Pictures cannot be prepared by '{self.fit}', {self.keep} and '{self.resample}'.")
        if len(self.mean) != 3 or len(self.deviation) != 3 or min(self.deviation) <= 0:
            raise InputError("The mean and the deviation of pixels are three numbers each, deviations above 0.")
        if not np.isfinite([*self.mean, *self.deviation]).all():
            raise InputError("The mean or the deviation of pixels is not a number.")

    def to_json(self) -> dict[str, Any]:
        """As it is written to a folder's config.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Preparation:
        """Read what `to_json` gave.

        Raises:
            InputError: Something is missing, unknown or out of range.
        """
        try:
            mean, deviation = (tuple(float(number) for number in value[key]) for key in ("mean", "deviation"))
            return cls(**{**value, "mean": mean, "deviation": deviation})
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"The preparation of pictures is not described: {error!r}.") from error

    def __call__(self, image: Image.Image) -> Pixels:
        """One picture as pixels [side, side, 3]."""
        picture = on_white(image)
        if self.fit == "crop":
            picture = _middle(picture, self.keep)
        small = picture.resize(self._size(picture), _filter(self.resample), reducing_gap=REDUCING_GAP)
        pixels = np.full((self.side, self.side, 3), 255, np.uint8)
        left, top = (self.side - small.width) // 2, (self.side - small.height) // 2
        pixels[top : top + small.height, left : left + small.width] = np.asarray(small)
        return pixels

    def _size(self, image: Image.Image) -> tuple[int, int]:
        """Width and height to resize to."""
        if self.fit != "pad":
            return self.side, self.side
        scale = self.side / max(image.size)
        return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def on_white(image: Image.Image) -> Image.Image:
    """The picture in RGB; what is transparent shows white, and 16 bits a pixel become 8."""
    from PIL import Image as pillow

    if image.mode in TRANSPARENT or "transparency" in image.info:
        layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        return pillow.alpha_composite(pillow.new("RGBA", image.size, "white"), layer).convert("RGB")
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits or of floating point by its own range: Pillow would cut off everything above 255."""
    from PIL import Image as pillow

    values = np.nan_to_num(np.asarray(image, np.float64))
    low, high = float(values.min()), float(values.max())
    if high > 255 or low < 0 or image.mode == "F":
        values = (values - low) * (255 / max(high - low, 1e-12))
    return pillow.fromarray(values.astype(np.uint8)).convert("RGB")


def _middle(image: Image.Image, keep: float) -> Image.Image:
    """The square in the middle, of a part of the short side."""
    side = max(1, round(min(image.size) * keep))
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _filter(name: Resample) -> Any:
    from PIL.Image import Resampling

    return Resampling.BICUBIC if name == "bicubic" else Resampling.BILINEAR
