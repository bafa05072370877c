"""Text recognition by rapidocr, whose models come in its wheel. Imported in the sandbox only."""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from honed.ingest.codes import Refused

_SURE = 0.5
_APART = 1.6


@functools.cache
def engine() -> Any:
    """The recogniser with one thread, so that it survives a fork; built once.

    Raises:
        Refused: `ocr-missing`.
    """
    try:
        import cv2
        from rapidocr import RapidOCR
    except ImportError as error:
        raise Refused("ocr-missing", str(error)) from error
    cv2.setNumThreads(1)
    logging.disable(logging.INFO)
    recogniser = RapidOCR(
        params={
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "Global.log_level": "error",
        }
    )
    recogniser(_sample())  # it reads its models on first use
    return recogniser


def _sample() -> NDArray[np.uint8]:
    picture = Image.new("RGB", (320, 64), "white")
    ImageDraw.Draw(picture).text((10, 10), "Warm 123", fill="black", font=ImageFont.load_default(size=32))
    return np.asarray(picture)


def paragraphs(image: NDArray[np.uint8]) -> list[str]:
    """Paragraphs of a picture [height, width, BGR], top to bottom; lines within one keep their ends."""
    result = engine()(image)
    if result.txts is None or result.boxes is None:
        return []
    rows = _rows(
        [
            (box, text)
            for box, text, score in zip(result.boxes, result.txts, result.scores, strict=True)
            if score > _SURE
        ]
    )
    groups: list[list[str]] = []
    bottom = height = 0.0
    for top, low, text in rows:
        if not groups or top - bottom > _APART * max(height, 1.0) - height:
            groups.append([])
        groups[-1].append(text)
        bottom, height = low, low - top
    return ["\n".join(lines) for lines in groups]


def _rows(words: list[tuple[NDArray[np.float32], str]]) -> list[tuple[float, float, str]]:
    """Boxes on the same height joined from left to right: top, bottom and text of each row."""
    boxes = sorted(
        (float(box[:, 1].min()), float(box[:, 1].max()), float(box[:, 0].min()), text) for box, text in words
    )
    rows: list[tuple[float, float, list[tuple[float, str]]]] = []
    for top, low, left, text in boxes:
        if rows and top < (rows[-1][0] + rows[-1][1]) / 2:
            rows[-1][2].append((left, text))
        else:
            rows.append((top, low, [(left, text)]))
    return [(top, low, " ".join(text for _, text in sorted(cells))) for top, low, cells in rows]
