"""Picture files: the picture itself, what its metadata says of it, and, with OCR, the text in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from honed.ingest.parse import Job, captions, pixels
from honed.models.painter.provenance import KEYWORD, is_generated
from honed.types import Block, Parsed

_OCR_SIDE = 2200
_LEAST_OCR_SIDE = 100
"""Smaller pictures hold no line that the recogniser reads."""


def preload(job: Job) -> None:
    """Load the recogniser while its models can be read."""
    if job.ocr:
        from honed.ingest.parse import ocr

        ocr.engine()


def parse(source: BinaryIO, job: Job) -> Parsed:
    """The picture under its caption; its text is its description and tags, or, with `job.ocr`, the text in it alone.

    The meta entry "scanned_pages" asks for a second visit with OCR; that of `provenance.KEYWORD` says that the picture was
    drawn by a generator.
    """
    picture = pixels.opened(source, job.media_type)
    size = pixels.original_size(picture)
    if job.ocr:
        return Parsed(job.stem, _recognised(pixels.upright(picture, side=_OCR_SIDE)), job.media_type)
    plain = pixels.upright(picture)  # some formats have their metadata behind the pixels
    words = captions.words_of(picture)
    meta: dict[str, Any] = {"width": size[0], "height": size[1]}
    if is_generated(picture.info):
        meta[KEYWORD] = True
    elif max(size) >= _LEAST_OCR_SIDE:
        meta["scanned_pages"] = [1]
    return described(Parsed(captions.readable(job.stem), (), job.media_type, meta), words, plain, size)


def described(parsed: Parsed, words: captions.Words, plain: Image.Image, size: tuple[int, int]) -> Parsed:
    """A parsed picture file with its picture, the caption as title, and what else was said of it before its text.

    Args:
        parsed: With a title made of the file's name, for a picture that says nothing of itself.
        plain: The decoded picture.
        size: Width and height of the original.
    """
    caption = words.caption or parsed.title
    texts = [text for text in (*words.titles, *words.descriptions) if text != caption]
    tags = [", ".join(words.tags)] if words.tags else []
    return replace(
        parsed,
        title=caption,
        blocks=(*(Block(text) for text in (*texts, *tags)), *parsed.blocks),
        meta={**parsed.meta, **({"tags": list(words.tags)} if words.tags else {})},
        media=(pixels.taken(plain, size, caption=caption),),
    )


def _recognised(plain: Image.Image) -> tuple[Block, ...]:
    from honed.ingest.parse import ocr

    bgr = np.asarray(plain)[:, :, ::-1]
    return tuple(Block(text) for text in ocr.paragraphs(np.ascontiguousarray(bgr)))
