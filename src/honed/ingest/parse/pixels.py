"""Decode a picture that nobody vouches for: the first frame, upright, small, RGB on white. Inside the sandbox only."""

from __future__ import annotations

import warnings
from typing import BinaryIO

import numpy as np
from PIL import AvifImagePlugin, Image, ImageFile, ImageOps

from honed.ingest.codes import Refused
from honed.ingest.rendering import SIDE
from honed.types import ImageKind, Picture

FORMATS = {
    "image/avif": "AVIF",
    "image/bmp": "BMP",
    "image/gif": "GIF",
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/tiff": "TIFF",
    "image/webp": "WEBP",
}
"""Media type to Pillow's name of the format: a file is opened as what its first bytes say, and as nothing else."""

_MOST_PIXELS = 40_000_000
_MOST_JPEG_PIXELS = 120_000_000
"""More, because a JPEG can be decoded at an eighth of its size; phones make 50 to 108 million."""
_MOST_SIDE = 20_000

ImageFile.LOAD_TRUNCATED_IMAGES = False
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the sandbox has no threads: more than one would be an error


def opened(source: BinaryIO, media_type: str) -> Image.Image:
    """A picture whose header was read and whose size is allowed; nothing is decoded yet.

    Raises:
        Refused: `bomb`, `unsupported`; what Pillow raises means that the file is corrupt.
    """
    if media_type not in FORMATS:
        raise Refused("unsupported", media_type)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture: Image.Image = Image.open(source, formats=(FORMATS[media_type],))
    except Image.DecompressionBombError as error:
        raise Refused("bomb", str(error)) from error
    except ValueError as error:  # the limits on compressed text beside the pixels
        raise Refused("bomb" if "too large" in str(error) else "corrupt", str(error)) from error
    most = _MOST_JPEG_PIXELS if media_type == "image/jpeg" else _MOST_PIXELS
    if picture.width * picture.height > most or max(picture.size) > _MOST_SIDE:
        raise Refused("bomb", f"{picture.width} x {picture.height} pixels")
    return picture


def upright(picture: Image.Image, *, side: int = 2 * SIDE) -> Image.Image:
    """The picture decoded, turned as its camera says, RGB on white, its longest side at most `side`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture.draft("RGB", (side, side))
        picture.load()
        picture = _plain(picture)
        if max(picture.size) > side:
            picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        picture = ImageOps.exif_transpose(picture)
    if picture.mode != "RGB":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    return picture.convert("RGB")


def taken(
    picture: Image.Image,
    size: tuple[int, int],
    *,
    kind: ImageKind = "file",
    page: int | None = None,
    caption: str = "",
    near: str = "",
) -> Picture:
    """The pixels of an upright RGB picture as they are kept.

    Args:
        size: Width and height of the original.
    """
    small = picture.convert("RGB")
    if max(small.size) > SIDE:
        small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return Picture(small.tobytes(), small.size, *size, kind, page, caption, near)


def original_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height as a person sees the picture: a camera that was held upright says so in the metadata."""
    try:
        turned = picture.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except Exception:  # metadata that cannot be read turns nothing
        turned = False
    width, height = picture.size
    return (height, width) if turned else (width, height)


_ORIENTATION = 274


def _plain(picture: Image.Image) -> Image.Image:
    """RGB, or RGBA where something shines through, with the orientation that was noted; 16 and 32 bits become 8."""
    if picture.mode.startswith(("I", "F")):
        return _levels(picture)
    see_through = picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info
    wanted = "RGBA" if see_through else "L" if picture.mode == "L" else "RGB"
    return picture if picture.mode == wanted else picture.convert(wanted)  # a copy of 40 million pixels is 160 MB


def _levels(picture: Image.Image) -> Image.Image:
    """Grey in 8 bits from more: 16 bits by their upper half, wider numbers from darkest to lightest."""
    values = np.asarray(picture)
    if values.dtype.itemsize == 2:
        grey = (values >> 8).astype(np.uint8)
    else:
        numbers = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
        low, high = float(numbers.min()), float(numbers.max())
        grey = ((numbers - low) * (255.0 / max(high - low, 1e-6))).astype(np.uint8)
    plain = Image.fromarray(grey)
    exif = picture.info.get("exif")
    if exif:
        plain.info["exif"] = exif
    return plain
