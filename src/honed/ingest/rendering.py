"""What is kept of a picture: a small PNG or JPEG that this process encodes itself, and a hash that near-copies share.

The sandbox hands over plain pixels, and pixels cannot attack anybody. Encoded here they become the blob that `images.media`
names: descriptors, pages and training decode that one and never the bytes that came from outside, which stay the blob of
the source. What is kept depends on the pixels alone: the same picture as PNG and as BMP is one media.
"""

from __future__ import annotations

import functools
import io
import zlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from honed.types import Picture

if TYPE_CHECKING:
    from PIL import Image

SIDE = 512
"""Longest side of a rendering in pixels: encoders see 224 to 448, and a page shows no more."""

_JPEG_QUALITY = 92
_GRAIN = 0.35
"""Share of its size to which a photograph's pixels cannot be squeezed; drawings and screenshots can, by far."""
_DCT = 32
_LOW = 8


def as_image(picture: Picture) -> Image.Image:
    """A parsed picture as encoders take it."""
    from PIL import Image

    return Image.frombytes("RGB", picture.size, picture.pixels)


def encoded(picture: Picture) -> bytes:
    """The rendering: JPEG for photographs, PNG for everything else. Equal pixels give equal bytes, and so one hash."""
    image = as_image(picture)
    sink = io.BytesIO()
    if _is_grainy(picture.array):
        image.save(sink, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    else:
        image.save(sink, "PNG")
    return sink.getvalue()


def perceptual_hash(picture: Picture) -> int:
    """64 bits: which of the lowest frequencies of the picture, in grey and 32 x 32, lie above their median.

    The method is pHash's (C. Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010).
    Copies at another size or as a poor JPEG differ in a few bits. A difference hash finds more of them, and many times as
    many pictures that are no copies.
    """
    from PIL import Image

    image = as_image(picture).convert("L")
    grey = np.asarray(image.resize((_DCT, _DCT), Image.Resampling.BOX), np.float64)
    transform = _transform()
    # Rounded, so that in an even picture nothing lies above anything.
    low = np.round((transform @ grey @ transform.T)[:_LOW, :_LOW].ravel(), 3)
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _is_grainy(pixels: NDArray[np.uint8]) -> bool:
    """Whether lossless coding would be a waste: every eighth row, each pixel less its left neighbour, hardly compresses."""
    rows = pixels[::8].astype(np.int16)
    sample = np.diff(rows, axis=1).astype(np.uint8).tobytes()
    return len(sample) > 4096 and len(zlib.compress(sample, 1)) > _GRAIN * len(sample)


@functools.cache
def _transform() -> NDArray[np.float64]:
    """The orthonormal DCT-II of length 32."""
    rows, columns = np.mgrid[:_DCT, :_DCT]
    matrix = np.cos(np.pi * rows * (2 * columns + 1) / (2 * _DCT)) * np.sqrt(2 / _DCT)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, np.float64)
