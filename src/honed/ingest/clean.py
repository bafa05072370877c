"""Cleaning: readable text without what repeats or cannot be seen. Everything that goes is recorded with its text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from honed.types import Block, Parsed, Removal

_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    "\ufff9-\ufffc\U000e0000-\U000e0fff\ud800-\udfff\ufffe\uffff]+"
)
_JOINERS = re.compile("(?<![\u0600-\u0fff\U0001f000-\U0001faff\ufe0f\u2640-\u27bf])[\u200c\u200d]+")
_TAGS = range(0xE0020, 0xE007F)
_LINE_BREAKS = re.compile("\r\n|[\r\u000c\u0085\u2028\u2029]")
_SPACES = re.compile(r"[^\S\n]+")
_HYPHEN = re.compile(r"(\w+)[-\u2010]\n\s*([a-zà-öø-ÿ]\w*)")
_KEEP_HYPHEN = frozenset(
    [
        "all",
        "anti",
        "co",
        "cross",
        "e",
        "ex",
        "half",
        "inter",
        "mid",
        "multi",
        "non",
        "off",
        "on",
        "one",
        "over",
        "post",
        "pre",
        "self",
        "semi",
        "sub",
        "two",
        "well",
    ]
)
_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(
    r"(?:page\s*)?[-–—\[(]*\s*(?:\d{1,4}|[ivxlc]{1,6})\s*[-–—\])]*(?:\s*(?:of|/)\s*\d{1,4})?", re.I
)
_LONE_NUMBER = re.compile(r"[-–—\[( ]*(\d{1,4})[-–—\]) ]*")
_ITEM = re.compile(r"\s*(?:[-•▪◦●■*–]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.)])\s")
_EDGE_LINES = 3
_REPEATED_ON = 0.3
_LEAST_PAGES = 3
_MOSTLY = 0.6
_LEAST_DUPLICATE_WORDS = 5


def clean(parsed: Parsed) -> tuple[Parsed, tuple[Removal, ...]]:
    """The same document, readable: and what was taken out of it, in reading order by rule.

    Unicode is composed (NFC); control, zero-width, bidirectional and tag characters go; white space is normalised;
    lines that repeat at the edges of pages and page numbers go; words broken over lines are joined; a block whose text
    was there before goes.
    """
    removals: list[Removal] = []
    blocks = [
        replace(block, text=_plain(block.text, removals), headings=_headings(block.headings)) for block in parsed.blocks
    ]
    blocks = _without_running_lines(blocks, removals)
    if parsed.media_type == "application/pdf" or parsed.media_type.startswith("image/"):
        blocks = _joined_sentences([replace(block, text=_unwrapped(block.text)) for block in _dehyphenated(blocks)])
    blocks = _without_duplicates(blocks, removals)
    title = " ".join(normalised(parsed.title).split())
    return replace(parsed, title=title, blocks=tuple(blocks)), tuple(removals)


def normalised(text: str) -> str:
    """Text in NFC without invisible characters, with single spaces and at most one blank line in a row."""
    return _plain(text, [])


def _headings(headings: Iterable[str]) -> tuple[str, ...]:
    return tuple(text for heading in headings if (text := " ".join(normalised(heading).split())))


def _plain(text: str, removals: list[Removal]) -> str:
    hidden = "".join(chr(ord(char) - 0xE0000) for char in text if ord(char) in _TAGS)
    text = _LINE_BREAKS.sub("\n", unicodedata.normalize("NFC", text))
    seen = _JOINERS.sub("", _INVISIBLE.sub("", text))
    if len(seen) < len(text):
        codes = dict.fromkeys(f"U+{ord(char):04X}" for char in sorted(set(text) - set(seen)))
        detail = f"{len(text) - len(seen)} invisible characters: {', '.join(list(codes)[:10])}"
        removals.append(Removal("empty", hidden, f"{detail}; they spell what is shown here" if hidden else detail))
    lines = (_SPACES.sub(" ", line.lstrip(" ")).rstrip() for line in seen.split("\n"))
    kept = [" " * _indent(line) + rest for line, rest in zip(seen.split("\n"), lines, strict=True)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line if line.strip() else "" for line in kept)).strip("\n")


def _indent(line: str) -> int:
    """Leading blanks, which mean something in lists and code; more than a dozen only came from a page's layout."""
    blanks = len(line) - len(line.lstrip(" "))
    return blanks if blanks <= 12 else 0


def _without_running_lines(blocks: Sequence[Block], removals: list[Removal]) -> list[Block]:
    """Take out page numbers and lines that many pages of the document begin or end with."""
    blocks = _without_counted_pages(blocks, removals)
    pages: defaultdict[int, list[tuple[int, int, str]]] = defaultdict(list)
    for index, block in enumerate(blocks):
        if block.page is not None and block.kind == "text":
            pages[block.page] += [(index, row, line) for row, line in enumerate(block.text.split("\n")) if line.strip()]
    if len(pages) < _LEAST_PAGES:
        return list(blocks)
    edges = [place for places in pages.values() for place in {*places[:_EDGE_LINES], *places[-_EDGE_LINES:]}]
    counts = Counter(_shape(line) for _, _, line in edges)
    outer = {place for places in pages.values() for place in (places[0], places[-1])}
    needed = max(_LEAST_PAGES, _REPEATED_ON * len(pages))
    doomed = {
        place[:2]
        for place in edges
        if counts[_shape(place[2])] >= needed or (place in outer and _PAGE_NUMBER.fullmatch(place[2].strip()))
    }
    return [kept for index, block in enumerate(blocks) if (kept := _without_lines(block, index, doomed, removals))]


def _without_counted_pages(blocks: Sequence[Block], removals: list[Removal]) -> list[Block]:
    """Take out lines that hold nothing but a number, if together they count up: the pages of a print inside the text."""
    numbers = [
        (index, row, int(number[1]))
        for index, block in enumerate(blocks)
        if block.kind == "text"
        for row, line in enumerate(block.text.split("\n"))
        if (number := _LONE_NUMBER.fullmatch(line))
    ]
    chains: dict[int, list[tuple[int, int]]] = {}
    for index, row, value in numbers:
        chains[value] = [*chains.pop(value - 1, []), (index, row)]
    counted = max(chains.values(), key=len, default=[])
    if len(counted) < _LEAST_PAGES or len(counted) < _MOSTLY * len(numbers):
        return list(blocks)
    doomed = set(counted)
    return [kept for index, block in enumerate(blocks) if (kept := _without_lines(block, index, doomed, removals))]


def _shape(line: str) -> str:
    """A line with its numbers blanked, so that "Page 3" and "Page 4" are the same."""
    return _DIGITS.sub("#", " ".join(line.split()).casefold())


def _without_lines(block: Block, index: int, doomed: set[tuple[int, int]], removals: list[Removal]) -> Block | None:
    lines = block.text.split("\n")
    gone = [line for row, line in enumerate(lines) if (index, row) in doomed]
    if not gone:
        return block
    removals.extend(Removal("boilerplate", line.strip(), f"page {block.page}" if block.page else "") for line in gone)
    text = "\n".join(line for row, line in enumerate(lines) if (index, row) not in doomed)
    return replace(block, text=text) if text.strip() else None


def _dehyphenated(blocks: Sequence[Block]) -> list[Block]:
    words = Counter(word for block in blocks for word in re.findall(r"\w+(?:-\w+)*", block.text.lower()))

    def join(match: re.Match[str]) -> str:
        first, second = match[1], match[2]
        whole, hyphened = f"{first}{second}".lower(), f"{first}-{second}".lower()
        keeps = words[hyphened] > words[whole] or (not words[whole] and first.lower() in _KEEP_HYPHEN)
        return f"{first}-{second}" if keeps else f"{first}{second}"

    return [replace(block, text=_HYPHEN.sub(join, block.text)) if block.kind == "text" else block for block in blocks]


def _unwrapped(text: str) -> str:
    """Lines of a paragraph as one; the items of a list keep theirs."""
    lines = text.split("\n")
    pieces = [lines[0]]
    for line in lines[1:]:
        pieces.append("\n" if _ITEM.match(line) or not line.strip() else " ")
        pieces.append(line.strip())
    return "".join(pieces)


def _joined_sentences(blocks: Sequence[Block]) -> list[Block]:
    """A sentence that goes on after a page's end, or after a line taken out, is one paragraph on its first page."""
    joined: list[Block] = []
    for block in blocks:
        last = joined[-1] if joined else None
        if (
            last
            and last.kind == block.kind == "text"
            and last.headings == block.headings
            and last.text[-1:] not in ".!?:;|"
            and block.text[:1].islower()
        ):
            joined[-1] = replace(last, text=f"{last.text} {block.text}")
        else:
            joined.append(block)
    return joined


def _without_duplicates(blocks: Sequence[Block], removals: list[Removal]) -> list[Block]:
    seen: set[str] = set()
    kept: list[Block] = []
    for block in blocks:
        words = block.text.casefold().split()
        if not words:
            continue
        key = " ".join(words)
        if key in seen:
            removals.append(Removal("duplicate", block.text, " > ".join(block.headings)))
            continue
        if len(words) >= _LEAST_DUPLICATE_WORDS:
            seen.add(key)
        kept.append(block)
    return kept
