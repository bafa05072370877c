"""Scans are read where rapidocr is installed, and say what is missing where it is not."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from honed.ingest.sandbox import Sandbox
from honed.types import Parsed, Rejection
from tests.ingest.packages import page_pdf, stream

LINES = ("Dosage of ibuprofen for adults", "Take 400 mg every six hours.", "Do not exceed three tablets.")
needs_ocr = pytest.mark.skipif(importlib.util.find_spec("rapidocr") is None, reason="the extra `ocr` is not installed")


def picture() -> Image.Image:
    image = Image.new("RGB", (900, 300), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=36)
    for line, y in zip(LINES, (20, 120, 170), strict=True):
        pen.text((20, y), line, fill="black", font=font)
    return image


def scan(folder: Path) -> Path:
    buffer = io.BytesIO()
    picture().save(buffer, "JPEG", quality=90)
    entries = (
        b"/Type/XObject/Subtype/Image/Width 900/Height 300/BitsPerComponent 8/ColorSpace/DeviceRGB/Filter/DCTDecode"
    )
    image = stream(buffer.getvalue(), entries)
    path = folder / "scan.pdf"
    path.write_bytes(page_pdf(stream(b"600 0 0 200 0 400 cm /I Do"), image, resources=b"/XObject<</I 5 0 R>>"))
    return path


def photo(folder: Path) -> Path:
    path = folder / "photo.png"
    picture().save(path)
    return path


def test_without_recognition_a_scan_is_refused_by_name(sandbox: Sandbox, tmp_path: Path) -> None:
    outcome = sandbox.parse(scan(tmp_path))
    assert isinstance(outcome, Rejection)
    assert (outcome.code, outcome.hint) == ("ocr-missing", "pip install 'honed[ocr]'")


def test_without_recognition_a_picture_is_still_a_picture(sandbox: Sandbox, tmp_path: Path) -> None:
    outcome = sandbox.parse(photo(tmp_path))
    assert isinstance(outcome, Parsed)
    assert (outcome.title, outcome.blocks, len(outcome.media)) == ("photo", (), 1)


@needs_ocr
@pytest.mark.slow
def test_scans_and_photographs_are_read(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        outcomes = [sandbox.parse(make(tmp_path)) for make in (scan, photo)]
    for outcome, page in zip(outcomes, (1, None), strict=True):
        assert isinstance(outcome, Parsed), outcome
        words = "\n".join(block.text for block in outcome.blocks).split()
        assert words == " ".join(LINES).split()
        assert {block.page for block in outcome.blocks} == {page}
