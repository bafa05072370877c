"""Split a document into passages: along sections, then paragraphs, then sentences. Tables are split by rows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

from honed.types import Block, Parsed, Passage

_SENTENCE_END = re.compile(r"(?<=[.!?。！？])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-ZÀ-ÞΑ-ΩА-Я0-9])|(?<=[。！？])")
_CLAUSE_END = re.compile(r"(?<=[;:,])\s+")
_ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Z]|[a-z]\.[a-z]|Mr|Mrs|Ms|Dr|Prof|St|No|Nos|vs|etc|Inc|Ltd|Co|Corp|Fig|Sec|Art|al|approx|e\.g|i\.e|cf|bzw|Nr)\.|^\W*\w{1,3}\.)$"
)
_RULE = re.compile(r"\|(?:\s*:?-+:?\s*\|)+\s*$")


@dataclass(frozen=True, slots=True)
class _Piece:
    """Text that is not divided further; `glue` is what stands before it when it follows another piece."""

    text: str
    words: int
    page: int | None
    glue: str = "\n\n"


def split_passages(parsed: Parsed, document: str, *, max_words: int = 160) -> list[Passage]:
    """Passages of at most about `max_words` words, in reading order; every word of the document is in one of them.

    Paragraphs under one heading path share a passage while they fit; long ones are cut between sentences into parts of
    like size. A table's passages repeat its header, which is not counted. Equal inputs give equal passages.

    Args:
        parsed: A cleaned document.
        document: Its id. A passage's id is made of it, the ordinal and the text.
        max_words: Size at which a passage is cut. A header or one long table row may make it longer.
    """
    passages: list[Passage] = []
    for headings, blocks in groupby(parsed.blocks, key=lambda block: block.headings):
        pieces = [piece for block in blocks for piece in _pieces(block, max_words)]
        for text, page in _packed(pieces, max_words):
            ordinal = len(passages)
            passages.append(
                Passage(_id(document, ordinal, text), document, ordinal, parsed.title, text, headings, page)
            )
    return passages


def _id(document: str, ordinal: int, text: str) -> str:
    return hashlib.sha256(f"{document}\0{ordinal}\0{text}".encode("utf-8", "replace")).hexdigest()[:24]


def _pieces(block: Block, max_words: int) -> Iterator[_Piece]:
    words = _table_words(block.text) if block.kind == "table" else len(block.text.split())
    if 0 < words <= max_words:
        yield _Piece(block.text, words, block.page)
    elif block.kind == "table":
        yield from _table(block, max_words)
    else:
        yield from _prose(block.text, block.page, max_words)


def _prose(text: str, page: int | None, max_words: int) -> Iterator[_Piece]:
    """Sentences and list items; a sentence that is too long by itself is cut between clauses, or else between words."""
    glue = "\n\n"
    for line in text.split("\n"):
        for sentence in _sentences(line):
            for part in [sentence] if len(sentence.split()) <= max_words else _clauses(sentence, max_words):
                yield _Piece(part, len(part.split()), page, glue)
                glue = " "
        glue = "\n"


def _clauses(sentence: str, max_words: int) -> Iterator[str]:
    for clause in _CLAUSE_END.split(sentence):
        words = clause.split()
        for start in range(0, len(words), max_words):
            yield " ".join(words[start : start + max_words])


def _sentences(line: str) -> Iterator[str]:
    start = 0
    for match in _SENTENCE_END.finditer(line):
        if not _ABBREVIATION.search(line[start : match.start()].lstrip()[-12:]):
            yield line[start : match.start()] + match[0].rstrip()
            start = match.end()
    if line[start:].strip():
        yield line[start:].rstrip()


def _table(block: Block, max_words: int) -> Iterator[_Piece]:
    """Parts of a table with its header above each. A row that is too long for a passage becomes prose, cell by cell."""
    lines = block.text.split("\n")
    header = lines[:2] if len(lines) > 2 and _RULE.match(lines[1]) else []
    names = _cells(header[0]) if header else []
    room = max(max_words - _table_words("\n".join(header)), max_words // 2)
    if header and all(_table_words(row) > room for row in lines[2:]):
        yield _Piece(" | ".join(filter(None, names)), len(names), block.page)
    rows: list[str] = []
    size = 0
    for row in lines[len(header) :]:
        words = _table_words(row)
        if rows and size + words > room:
            yield _Piece("\n".join([*header, *rows]), max_words, block.page)
            rows, size = [], 0
        if words > room:
            yield from _prose("\n".join(_spoken(row, names)), block.page, max_words)
        else:
            rows.append(row)
            size += words
    if rows:
        text = "\n".join([*header, *rows])
        yield _Piece(text, _table_words(text), block.page)


def _table_words(text: str) -> int:
    """Words of a Markdown table, without its bars and its rule."""
    return sum(1 for word in text.replace("|", " ").split() if word != "---")


def _spoken(row: str, names: Sequence[str]) -> Iterator[str]:
    for index, cell in enumerate(_cells(row)):
        name = names[index] if index < len(names) else ""
        if cell:
            yield f"{name}: {cell}" if name else cell


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().removeprefix("|").removesuffix("|"))]


def _packed(pieces: Sequence[_Piece], max_words: int) -> Iterator[tuple[str, int | None]]:
    """Neighbouring pieces together, in as few passages as hold them, of about the same size."""
    left = sum(piece.words for piece in pieces)
    group: list[_Piece] = []
    size = 0
    target = _target(left, max_words)
    for piece in pieces:
        if group and (size + piece.words > max_words or size + piece.words / 2 > target):
            yield _text(group), group[0].page
            left -= size
            group, size, target = [], 0, _target(left, max_words)
        group.append(piece)
        size += piece.words
    if group:
        yield _text(group), group[0].page


def _target(words: int, max_words: int) -> float:
    return words / max(1, ceil(words / max_words))


def _text(group: Iterable[_Piece]) -> str:
    text = ""
    for piece in group:
        text += (piece.glue if text else "") + piece.text
    return text
