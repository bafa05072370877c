"""Figures of a PDF, cut out of the drawn page: so they have what is drawn over them, and are turned as a reader sees them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pypdfium2
from PIL import Image
from pypdfium2 import raw

from honed.ingest.parse import Job, pixels
from honed.ingest.parse.figures import LABELLED, LEAST_SIDE, shortened
from honed.ingest.parse.pdf_layout import Line
from honed.ingest.wire import MOST_PICTURES
from honed.types import Picture

_PAGE_PIXELS = 1600
"""Longest side of a drawn page: a figure of a third of it is as sharp as it is kept."""

_MOST_PAGE = 14_400.0
_LEAST_POINTS = 36.0
_MOST_OBJECTS = 3000
_MOST_IMAGES = 200
_BACKGROUND = 0.85
"""Share of the page from which a picture with text over it is its background."""

_TOUCHING = 3.0
"""Points between two pieces of one figure: programs cut large pictures into strips."""

_CAPTION_REACH = 72.0
_MOST_PIXEL_BYTES = 40 << 20


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page, in points from its lower left; `pixels` is the size of the largest image in it."""

    left: float
    bottom: float
    right: float
    top: float
    pixels: tuple[int, int] = (0, 0)

    @property
    def area(self) -> float:
        """Square points."""
        return max(0.0, self.right - self.left) * max(0.0, self.top - self.bottom)


class PageFigures:
    """Collects the figures of pages until time or room is used up."""

    def __init__(self, job: Job) -> None:
        self._seconds = job.seconds
        self._bytes = 0
        self.pictures: list[Picture] = []

    @property
    def is_full(self) -> bool:
        """Whether the next page belongs to the next parse."""
        late = time.process_time() > self._seconds
        return late or self._bytes > _MOST_PIXEL_BYTES or len(self.pictures) >= MOST_PICTURES

    def add_page(self, page: pypdfium2.PdfPage, number: int, lines: Sequence[Line], *, is_scan: bool) -> None:
        """Take the figures of a page, or the whole page if it is a scan.

        Args:
            number: Counted from 1.
            lines: Its text, among which captions are looked for.
        """
        width, height = page.get_size()
        if not 1 < max(width, height) < _MOST_PAGE or min(width, height) < 1:
            return
        boxes = [] if is_scan else list(_figures(page, has_text=bool(lines)))
        if not boxes and not is_scan:
            return
        bitmap = page.render(scale=_PAGE_PIXELS / max(width, height), may_draw_forms=False)
        drawn = bitmap.to_pil().convert("RGB")
        if is_scan:
            self._keep(pixels.taken(drawn, drawn.size, kind="page", page=number))
            return
        place = bitmap.get_posconv(page)
        for box in boxes:
            cut = _cut(drawn, place.to_bitmap(box.left, box.top), place.to_bitmap(box.right, box.bottom))
            if cut is None:
                continue
            caption, near = _caption(box, lines)
            size = box.pixels if max(box.pixels) > max(cut.size) else cut.size
            self._keep(pixels.taken(cut, size, kind="figure", page=number, caption=caption, near=near))

    def _keep(self, picture: Picture) -> None:
        self._bytes += len(picture.pixels)
        self.pictures.append(picture)


def has_images(page: pypdfium2.PdfPage) -> bool:
    """Whether something on a page may be a figure: an image of its own or in a form, seen without drawing anything."""
    for index in range(min(raw.FPDFPage_CountObjects(page), _MOST_OBJECTS)):
        kind = raw.FPDFPageObj_GetType(raw.FPDFPage_GetObject(page, index))
        if kind in (raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_FORM):
            return True
    return False


def _figures(page: pypdfium2.PdfPage, *, has_text: bool) -> Iterator[Box]:
    """Boxes of the images on a page that are large enough, pieces of one figure as one; not the page's background."""
    left, bottom, right, top = page.get_cropbox()
    whole = (right - left) * (top - bottom)
    for box in _merged(list(_images(page, Box(left, bottom, right, top)))):
        if min(box.right - box.left, box.top - box.bottom) < _LEAST_POINTS or min(box.pixels) < LEAST_SIDE:
            continue
        if not (has_text and box.area > _BACKGROUND * whole):
            yield box


def _images(page: pypdfium2.PdfPage, crop: Box) -> Iterator[Box]:
    for count, image in enumerate(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3)):
        if count >= _MOST_IMAGES:
            return
        try:
            left, bottom, right, top = image.get_bounds() if image.level == 0 else _placed(image)
            size = image.get_px_size()
        except pypdfium2.PdfiumError:
            continue
        box = Box(max(left, crop.left), max(bottom, crop.bottom), min(right, crop.right), min(top, crop.top), size)
        if box.area > 1 and max(size) < 1 << 20:
            yield box


def _placed(image: Any) -> tuple[float, float, float, float]:
    """Bounds on the page of an image inside of forms: each form moves what is in it."""
    left, bottom, right, top = image.get_bounds()
    corners = [(left, bottom), (left, top), (right, bottom), (right, top)]
    container = image.container
    while container is not None:
        matrix = container.get_matrix()
        corners = [matrix.on_point(x, y) for x, y in corners]
        container = container.container
    across, down = [x for x, _ in corners], [y for _, y in corners]
    return min(across), min(down), max(across), max(down)


def _merged(boxes: list[Box]) -> list[Box]:
    """Boxes that touch joined, until none do."""
    joined: list[Box] = []
    for box in boxes:
        touching = [part for part in joined if _touch(box, part)]
        while touching:
            joined = [part for part in joined if part not in touching]
            box = _around([box, *touching])
            touching = [part for part in joined if _touch(box, part)]
        joined.append(box)
    return joined


def _touch(first: Box, second: Box) -> bool:
    return (
        first.left - _TOUCHING < second.right
        and second.left - _TOUCHING < first.right
        and first.bottom - _TOUCHING < second.top
        and second.bottom - _TOUCHING < first.top
    )


def _around(boxes: Sequence[Box]) -> Box:
    across, down = sum(box.pixels[0] for box in boxes), sum(box.pixels[1] for box in boxes)
    return Box(
        min(box.left for box in boxes),
        min(box.bottom for box in boxes),
        max(box.right for box in boxes),
        max(box.top for box in boxes),
        (min(across, 1 << 20), min(down, 1 << 20)),
    )


def _cut(drawn: Image.Image, corner: tuple[float, float], opposite: tuple[float, float]) -> Image.Image | None:
    """The part of a drawn page between two corners; None where it is too small or of a single colour."""
    left, right = sorted((corner[0], opposite[0]))
    top, bottom = sorted((corner[1], opposite[1]))
    area = (max(0, int(left)), max(0, int(top)), min(drawn.width, round(right)), min(drawn.height, round(bottom)))
    if min(area[2] - area[0], area[3] - area[1]) < LEAST_SIDE // 2:
        return None
    cut = drawn.crop(area)
    return cut if np.ptp(np.asarray(cut).reshape(-1, 3), axis=0).any() else None


def _caption(box: Box, lines: Sequence[Line]) -> tuple[str, str]:
    """The caption of a figure, and its first line: a labelled line close by, below before above; else the closest text."""
    below = sorted(
        (line for line in lines if _is_beside(box, line) and line.y < box.bottom + 2), key=lambda line: -line.y
    )
    above = sorted((line for line in lines if _is_beside(box, line) and line.y > box.top - 2), key=lambda line: line.y)
    for side, distance in ((below, box.bottom), (above, box.top)):
        for index, line in enumerate(side):
            if abs(line.y - distance) < _CAPTION_REACH and LABELLED.match(line.text):
                following = side[index : index + 4] if side is below else side[index::-1]
                return shortened(" ".join(_paragraph(following))), line.text
    closest = min(
        (*below[:1], *above[:1]), key=lambda line: min(abs(line.y - box.bottom), abs(line.y - box.top)), default=None
    )
    if closest is None:
        return "", ""
    text = below[:3] if closest in below else above[2::-1]
    return shortened(" ".join(line.text for line in text)), closest.text


def _is_beside(box: Box, line: Line) -> bool:
    """Whether a line begins above or below a figure rather than in another column."""
    return box.left - 0.5 * (box.right - box.left) - 20 < line.x < box.right


def _paragraph(lines: Sequence[Line]) -> Iterator[str]:
    """The lines of a caption: until the distance or the size of the letters changes."""
    step = 0.0
    for index, line in enumerate(lines):
        if index:
            gap = lines[index - 1].y - line.y
            if gap > 1.35 * (step or 1.4 * line.size) or abs(line.size - lines[0].size) > 0.5:
                return
            step = step or gap
        yield line.text
