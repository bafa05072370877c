"""Lines of a page to paragraphs and headings: by distance, indentation and font size."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from honed.ingest.outline import Outline
from honed.ingest.parse.plain import add_paragraph, heading_level

_LARGER = 1.12
_GAP = 1.35
_CENTRED = 6
_BULLET = re.compile(r"[•▪◦●■–-]\s")
_NUMBERED = re.compile(r"(?:\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|\d{1,3}(?:\.\d{1,3})+\.?)\s")
_MOST_HEADING_WORDS = 16
_MOST_LEVELS = 4


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text as it lies on its page, in points; `size` is the font size of its first letter."""

    text: str
    page: int
    x: float
    y: float
    size: float
    bold: bool


def add_lines(lines: Sequence[Line], outline: Outline) -> None:
    """Group lines into paragraphs and add them under headings; lines keep their ends, which cleaning needs."""
    body = _body_size(lines)
    paragraphs = _paragraphs(lines)
    sizes = _heading_sizes(paragraphs, body)
    for index, paragraph in enumerate(paragraphs):
        level = _level(paragraph, sizes, is_last=index + 1 == len(paragraphs))
        text = "\n".join(line.text for line in paragraph)
        if level:
            outline.heading(level, text, page=paragraph[0].page)
        else:
            add_paragraph(text, outline, page=paragraph[0].page, above=len(sizes[:_MOST_LEVELS]))


def _body_size(lines: Sequence[Line]) -> float:
    """The font size of most of the text."""
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[_rounded(line.size)] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def _rounded(size: float) -> float:
    return round(2 * size) / 2


def _paragraphs(lines: Sequence[Line]) -> list[list[Line]]:
    spacing = _spacing(lines)
    paragraphs: list[list[Line]] = []
    for line in lines:
        if paragraphs and not _begins(line, paragraphs[-1], spacing.get(line.page, 0.0)):
            paragraphs[-1].append(line)
        else:
            paragraphs.append([line])
    return paragraphs


def _spacing(lines: Sequence[Line]) -> dict[int, float]:
    """The usual distance between two lines of a paragraph on each page: on short pages half of the steps are wider."""
    steps: dict[int, list[float]] = {}
    for before, line in pairwise(lines):
        step = before.y - line.y
        if before.page == line.page and 0.5 * line.size < step < 4 * max(line.size, 1.0):
            steps.setdefault(line.page, []).append(step)
    return {page: sorted(distances)[len(distances) // 4] for page, distances in steps.items()}


def _begins(line: Line, paragraph: Sequence[Line], spacing: float) -> bool:
    """Whether a line begins a paragraph after the given one."""
    last = paragraph[-1]
    step = last.y - line.y
    if line.page == last.page and abs(step) < 0.3 * line.size and line.x > last.x:
        return False  # the next cell of a table row
    if line.page != last.page or step < -0.5 * line.size or _rounded(line.size) != _rounded(last.size):
        return True
    if (spacing and step > _GAP * spacing) or line.x > last.x + _CENTRED * line.size:
        return True
    if _BULLET.match(line.text) or (_NUMBERED.match(line.text) and last.text.endswith((".", ";", ":", " and", " or"))):
        return True
    if len(paragraph) == 1 and last.bold and not line.bold:
        return True
    indented = line.x > paragraph[-1].x + 0.9 * line.size and last.text[-1:] in ".:;?!"
    return indented and len(paragraph) > 1


def _heading_sizes(paragraphs: Sequence[Sequence[Line]], body: float) -> list[float]:
    """Font sizes above the body's that short paragraphs have, largest first."""
    sizes = {_rounded(part[0].size) for part in paragraphs if part[0].size > _LARGER * body and _is_short(part)}
    return sorted(sizes, reverse=True)


def _is_short(paragraph: Sequence[Line]) -> bool:
    words = sum(len(line.text.split()) for line in paragraph)
    return (
        len(paragraph) <= 3
        and words <= _MOST_HEADING_WORDS
        and any(c.isalpha() for line in paragraph for c in line.text)
    )


def _level(paragraph: Sequence[Line], sizes: Sequence[float], *, is_last: bool) -> int:
    if is_last or not _is_short(paragraph):
        return 0
    size = _rounded(paragraph[0].size)
    if size in sizes:
        return min(sizes.index(size) + 1, _MOST_LEVELS)
    line = paragraph[0].text.strip()
    by_words = heading_level(line) if len(paragraph) == 1 else 0
    if by_words and (
        paragraph[0].bold or line.upper() == line or re.match(r"(?:article|section|chapter)\b", line, re.I)
    ):
        return min(len(sizes), _MOST_LEVELS) + by_words
    return 0
