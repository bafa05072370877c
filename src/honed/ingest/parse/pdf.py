"""PDF: text and layout by pdfium, page by page, each after pypdf has looked at it; scanned pages go to OCR."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import pypdf
import pypdfium2
from pypdfium2 import raw

from honed.ingest.codes import Refused
from honed.ingest.outline import Outline
from honed.ingest.parse import Job
from honed.ingest.parse.pdf_figures import PageFigures, has_images
from honed.ingest.parse.pdf_guard import Guard
from honed.ingest.parse.pdf_layout import Line, add_lines
from honed.ingest.parse.preloading import import_all
from honed.types import Block, Parsed

_FEW_CHARACTERS = 16
_MOST_CHARACTERS = 400_000
_MOST_OCR_POINTS = 14_400.0
_OCR_PIXELS = 1600
_BOLD = 600
_LINE_FEED = 10
_LINE_END_HYPHENS = (0x02, 0xFFFE)
"""What pdfium gives for a hyphen together with the line end after it."""


def preload(job: Job) -> None:
    """Load all of pypdf, and the recogniser; pdfium is loaded by importing this module."""
    import_all(pypdf)
    import_all(pypdf.generic)
    if job.ocr:
        from honed.ingest.parse import ocr

        ocr.engine()


def parse(source: BinaryIO, job: Job) -> Parsed:
    """Blocks with page numbers, from `job.first_page` until the end or until `job.seconds` are used up.

    The meta entry "next_page" says where to go on; "scanned_pages" lists pages that hold a picture and no text, as long
    as `job.ocr` is off.
    """
    guard = Guard(source)
    source.seek(0)
    document = _open(source)
    pages = len(document)
    lines: list[Line] = []
    scanned: list[int] = []
    recognised: list[Block] = []
    figures, pictures = PageFigures(job), False
    page = job.first_page
    while page < pages and (page == job.first_page or time.process_time() < job.seconds):
        guard.check(page)
        content = _read_page(document, page)
        lines += content.lines
        pictures = pictures or content.has_images
        if content.is_scan:
            scanned.append(page + 1)
            if job.ocr:
                recognised += _recognise(document[page], page)
        if job.figures and content.has_images:
            figures.add_page(document[page], page + 1, content.lines, is_scan=content.is_scan)
        page += 1
        if job.figures and figures.is_full:
            break
    meta: dict[str, Any] = {"pages": pages}
    if page < pages:
        meta["next_page"] = page
    if job.figures:
        return Parsed("", (), job.media_type, meta, media=tuple(figures.pictures))
    outline = Outline()
    add_lines(lines, outline)
    if pictures:
        meta["pictures"] = True
    if scanned and not job.ocr:
        meta["scanned_pages"] = scanned
    blocks = sorted((*outline.finish(), *recognised), key=lambda block: block.page or 0)
    warnings = (f"{len(scanned)} scanned pages have no text",) if scanned and not job.ocr else ()
    return Parsed(_title(document, outline, job), tuple(blocks), job.media_type, meta, warnings)


def _open(source: BinaryIO) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        encrypted = "password" in str(error).lower() or "security" in str(error).lower()
        raise Refused("encrypted" if encrypted else "corrupt", str(error)) from error


@dataclass(frozen=True, slots=True)
class _Page:
    """The lines of a page, whether it has images, and whether it is a picture without text."""

    lines: list[Line]
    has_images: bool = False
    is_scan: bool = False


def _read_page(document: pypdfium2.PdfDocument, index: int) -> _Page:
    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        return _Page([])
    try:
        text = page.get_textpage()
        try:
            lines = list(_lines(text.raw, index + 1))
        finally:
            text.close()
        few = sum(len(line.text) for line in lines) < _FEW_CHARACTERS
        is_scan = few and any(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3))
        return _Page(lines, is_scan or has_images(page), is_scan)
    finally:
        page.close()


def _lines(text: Any, page: int) -> Iterator[Line]:
    count = min(raw.FPDFText_CountChars(text), _MOST_CHARACTERS)
    units = [raw.FPDFText_GetUnicode(text, index) for index in range(count)]
    start = 0
    for index in range(count + 1):
        if index == count or units[index] == _LINE_FEED or units[index] in _LINE_END_HYPHENS:
            characters = _text(units[start:index])
            if index < count and units[index] in _LINE_END_HYPHENS:
                characters += "-"
            if characters.strip():
                first = next(at for at in range(start, count) if units[at] > 32 and units[at] != 0xA0)
                yield _line(" ".join(characters.split()), text, first, page)
            start = index + 1


def _text(units: list[int]) -> str:
    """Text from UTF-16 code units, or code points where pdfium gives them."""
    if max(units, default=0) > 0xFFFF:
        return "".join(chr(unit) for unit in units if not 0xD800 <= unit < 0xE000)
    return b"".join(unit.to_bytes(2, "little") for unit in units).decode("utf-16-le", "replace")


def _line(characters: str, text: Any, at: int, page: int) -> Line:
    x, y, matrix = ctypes.c_double(), ctypes.c_double(), raw.FS_MATRIX()
    raw.FPDFText_GetCharOrigin(text, at, x, y)
    scale = 1.0
    if raw.FPDFText_GetMatrix(text, at, matrix):
        scale = (matrix.c**2 + matrix.d**2) ** 0.5
    size = raw.FPDFText_GetFontSize(text, at) * scale
    return Line(characters, page, x.value, y.value, size, raw.FPDFText_GetFontWeight(text, at) >= _BOLD)


def _recognise(page: pypdfium2.PdfPage, index: int) -> list[Block]:
    from honed.ingest.parse import ocr

    width, height = page.get_size()
    if not 1 < max(width, height) < _MOST_OCR_POINTS:
        return []
    bitmap = page.render(scale=_OCR_PIXELS / max(width, height))
    return [Block(text, (), "text", index + 1) for text in ocr.paragraphs(bitmap.to_numpy()[:, :, :3])]


def _title(document: pypdfium2.PdfDocument, outline: Outline, job: Job) -> str:
    """The title in the metadata if it reads like one, else the first heading, else the file's name."""
    try:
        title = " ".join(document.get_metadata_dict().get("Title", "").split())
    except pypdfium2.PdfiumError:
        title = ""
    looks_like_one = (
        " " in title and not title.lower().startswith("microsoft") and "." not in title[-5:] and len(title) < 200
    )
    return title if looks_like_one else outline.title or job.stem
