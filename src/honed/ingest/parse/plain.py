"""Plain text: paragraphs between blank lines; a heading is guessed only where a line stands alone and looks like one."""

from __future__ import annotations

import re
from typing import BinaryIO

from honed.ingest.outline import Outline
from honed.ingest.parse import Job
from honed.ingest.parse.text import read_text
from honed.types import Parsed

_NUMBER = re.compile(
    r"(?:(?:article|section|chapter|part)\s+([\dIVXLC]+(?:\.\d{1,2})*)[.):]?|(\d{1,2}(?:\.\d{1,2})+|(?:\d{1,2}|[IVXLC]{1,6}|[A-Z])(?=[.)]))[.)]?)\s+",
    re.I,
)
_RUN_IN = re.compile(r"(?P<title>(?P<number>\S+(?:\s+\d[\d.]*)?)\s+[A-Z][^.:\n]{2,70})[.:]\s")
_NAMED = re.compile(r"(?:article|section|chapter|part|exhibit|appendix|annex|schedule)\s+[\w.-]{1,8}\b", re.I)
_SMALL_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "as",
        "at",
        "by",
        "de",
        "del",
        "der",
        "die",
        "du",
        "for",
        "from",
        "if",
        "in",
        "is",
        "it",
        "la",
        "of",
        "on",
        "or",
        "per",
        "the",
        "to",
        "und",
        "vs",
        "with",
    ]
)
_MOST_WORDS = 12
_LEAST_PROSE = 7


def parse(source: BinaryIO, job: Job) -> Parsed:
    """Paragraphs under guessed headings."""
    return parse_text(read_text(source), job)


def parse_text(text: str, job: Job) -> Parsed:
    """Paragraphs of a text that is already decoded."""
    outline = Outline()
    paragraphs = [
        lines
        for part in re.split(r"\n[^\S\n]*(?:\n[^\S\n]*)+|\f", text)
        if (lines := part.strip("\n").rstrip()).strip()
    ]
    for index, paragraph in enumerate(paragraphs):
        level = heading_level(paragraph)
        if level and _heads_something(paragraphs, index):
            outline.heading(level, paragraph)
        else:
            add_paragraph(paragraph, outline)
    return Parsed(outline.title or job.stem, outline.finish(), job.media_type)


def add_paragraph(text: str, outline: Outline, *, page: int | None = None, above: int = 0) -> None:
    """Add a paragraph. One that begins "3. Term of Lease." opens a section of that name, and keeps the words.

    Args:
        text: The paragraph.
        outline: Where to add it.
        page: Its page.
        above: The level of the headings that such a section belongs under.
    """
    run_in = _RUN_IN.match(text)
    if run_in and (level := heading_level(run_in["title"])) and _NUMBER.match(text):
        outline.heading(above + level, run_in["title"], page=page)
    outline.add(text, page=page)


def _heads_something(paragraphs: list[str], index: int) -> bool:
    """Whether prose follows a line that looks like a heading; in an address or a list, more short lines do."""
    for follower in paragraphs[index + 1 : index + 4]:
        if not heading_level(follower):
            return len(follower.split()) >= _LEAST_PROSE or follower[-1:] in ".:;" or paragraphs[index][-1:] == "?"
    return False


def heading_level(paragraph: str) -> int:
    """1 for a line in capitals or "Annex B", 2 for a question, 2 and deeper for numbers, 3 for a title, 0 for no heading."""
    line = paragraph.strip()
    words = line.split()
    if "\n" in line or len(line) > 100 or len(words) > _MOST_WORDS or not any(char.isalpha() for char in line):
        return 0
    number = _NUMBER.match(line)
    if number and len(words) > 1:
        rest = line[number.end() :].rstrip(".")
        return 2 + (number[1] or number[2]).count(".") if _is_title(rest) else 0
    if max(map(len, words)) == 1 or line[-1] in ".,;:-" or not line[0].isupper():
        return 0
    if line.upper() == line or _NAMED.fullmatch(line):
        return 1
    if line.endswith("?"):
        return 2
    return 3 if _is_title(line) else 0


def _is_title(text: str) -> bool:
    words = [word for word in re.findall(r"[^\W\d_][\w'’-]*", text) if word.lower() not in _SMALL_WORDS]
    return bool(words) and all(word[0].isupper() for word in words) and not re.search(r"[.;,:]\s", text)
