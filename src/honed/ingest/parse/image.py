"""Images: checked by Pillow, read by OCR. Without OCR an image is only checked, and reported as a scanned page."""

from __future__ import annotations

import warnings
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, ImageOps

from honed.ingest.codes import Refused
from honed.ingest.parse import Job
from honed.types import Block, Parsed

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
_MOST_PIXELS = 40_000_000
_MOST_SIDE = 20_000
_OCR_SIDE = 2200

ImageFile.LOAD_TRUNCATED_IMAGES = False


def preload(job: Job) -> None:
    """Load what decoding and recognising would load later."""
    Image.init()
    if job.ocr:
        from honed.ingest.parse import ocr

        ocr.engine()


def parse(source: BinaryIO, job: Job) -> Parsed:
    """The text of the first frame; without `job.ocr` the meta entry "scanned_pages" asks for a second visit."""
    picture = _load(source)
    meta = {"width": picture.width, "height": picture.height}
    if not job.ocr:
        return Parsed(job.stem, (), job.media_type, {**meta, "scanned_pages": [1]})
    from honed.ingest.parse import ocr

    pixels = np.asarray(picture)[:, :, ::-1]
    blocks = tuple(Block(text) for text in ocr.paragraphs(np.ascontiguousarray(pixels)))
    return Parsed(job.stem, blocks, job.media_type, meta)


def _load(source: BinaryIO) -> Image.Image:
    """The first frame, upright, as RGB, not larger than OCR needs.

    Raises:
        Refused: `bomb`, `corrupt`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture: Image.Image = Image.open(source, formats=_FORMATS)
            if picture.width * picture.height > _MOST_PIXELS or max(picture.size) > _MOST_SIDE:
                raise Refused("bomb", f"{picture.width} x {picture.height} pixels")
            picture.draft("RGB", (_OCR_SIDE, _OCR_SIDE))
            picture.load()
            picture = ImageOps.exif_transpose(picture)
    except Image.DecompressionBombError as error:
        raise Refused("bomb", str(error)) from error
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    picture.thumbnail((_OCR_SIDE, _OCR_SIDE))
    return picture.convert("RGB")
