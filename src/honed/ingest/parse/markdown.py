"""Markdown: heading path, paragraphs, lists, tables and code, by the token stream of markdown-it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import BinaryIO

from markdown_it import MarkdownIt
from markdown_it.token import Token

from honed.ingest.outline import Outline
from honed.ingest.parse import Job
from honed.ingest.parse.figures import Figures
from honed.ingest.parse.tables import markdown_tables
from honed.ingest.parse.text import read_text
from honed.types import Parsed

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n(?:---|\.\.\.)\n", re.S)
_TITLE_LINE = re.compile(r"^title:\s*[\"']?(.+?)[\"']?\s*$", re.M | re.I)
_DEEPEST = 100
_ENTERED = ("blockquote_open", "bullet_list_open", "ordered_list_open")
_IMG = re.compile(r"<img\s[^<>]{1,5000}>", re.I)
_ATTRIBUTE = re.compile(r"(src|alt)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.I)
_TAG = re.compile(r"<!--.*?-->|<[^<>]*>", re.S)


def preload(_job: Job) -> None:
    """Build what parsing would build later."""
    _reader().parse("# a\n\n| a |\n| - |\n| b |\n\n* [a](b) &amp; `c` http://d.e\n")


def parse(source: BinaryIO, job: Job) -> Parsed:
    """Blocks of a Markdown text; a front matter gives the title and is not text."""
    text = read_text(source)
    front = _FRONT_MATTER.match(text)
    outline = Outline()
    if front:
        text = text[front.end() :]
        named = _TITLE_LINE.search(front[1])
        outline.title = named[1] if named else ""
    figures = Figures(job)
    _walk(_reader().parse(text), outline, figures)
    blocks = outline.finish()
    title = outline.title or job.stem
    return Parsed(title, blocks, job.media_type, figures.meta(blocks), media=figures.finish(blocks))


def _reader() -> MarkdownIt:
    return MarkdownIt("commonmark", {"maxNesting": _DEEPEST}).enable(["table", "strikethrough"])


def _walk(tokens: Sequence[Token], outline: Outline, figures: Figures) -> None:
    position = 0
    while position < len(tokens):
        token = tokens[position]
        end = _end(tokens, position)
        inside = tokens[position + 1 : end]
        if token.type not in _ENTERED:
            _meet(tokens[position : end + 1], outline.count, figures)
        if token.type == "heading_open":
            outline.heading(int(token.tag[1:]), _inline(inside[0]))
        elif token.type == "paragraph_open":
            outline.add(_inline(inside[0]))
        elif token.type in ("bullet_list_open", "ordered_list_open"):
            _add_list(inside, outline, figures, ordered=token.type.startswith("ordered"))
        elif token.type == "blockquote_open":
            _walk(inside, outline, figures)
        elif token.type == "table_open":
            _add_table(inside, outline)
        elif token.type in ("fence", "code_block"):
            outline.add(token.content)
        elif token.type == "html_block":
            outline.add(_TAG.sub(" ", token.content).strip())
        position = end + 1


def _end(tokens: Sequence[Token], start: int) -> int:
    """Index of the token that closes the one at `start`; itself, if it opens nothing."""
    if tokens[start].nesting != 1:
        return start
    depth = 0
    for index in range(start, len(tokens)):
        depth += tokens[index].nesting
        if depth == 0:
            return index
    return len(tokens)


def _meet(tokens: Sequence[Token], place: int, figures: Figures) -> None:
    """Take note of the pictures in some tokens, in Markdown's form or as tags."""
    for token in (inner for outer in tokens for inner in (outer, *(outer.children or ()))):
        if token.type == "image":
            figures.refer(str(token.attrs.get("src") or ""), place=place, alt=token.content)
        elif token.type in ("html_block", "html_inline"):
            for tag in _IMG.findall(token.content):
                attributes = {name.lower(): first or second for name, first, second in _ATTRIBUTE.findall(tag)}
                figures.refer(attributes.get("src", ""), place=place, alt=attributes.get("alt", ""))


def _add_list(tokens: Sequence[Token], outline: Outline, figures: Figures, *, ordered: bool) -> None:
    """A list as one block, "- item" a line, deeper items indented; a table or a heading inside stays a block of its own."""
    if any(token.type in ("table_open", "heading_open") for token in tokens):
        _walk([token for token in tokens if token.type not in ("list_item_open", "list_item_close")], outline, figures)
        return
    _meet(tokens, outline.count, figures)
    lines: list[str] = []
    depth, fresh, numbers = 0, "", [1 if ordered else 0]
    for token in tokens:
        if token.type.endswith("_list_open"):
            depth += 1
            numbers.append(1 if token.type.startswith("ordered") else 0)
        elif token.type.endswith("_list_close"):
            depth -= 1
            numbers.pop()
        elif token.type == "list_item_open":
            fresh = f"{token.info or numbers[-1]}. " if numbers[-1] else "- "
            numbers[-1] += bool(numbers[-1])
        elif content := _leaf(token):
            lines.append("  " * depth + (fresh or "  ") + content.replace("\n", "\n" + "  " * (depth + 1)))
            fresh = ""
    outline.add("\n".join(lines))


def _leaf(token: Token) -> str:
    if token.type == "inline":
        return _inline(token)
    if token.type in ("fence", "code_block"):
        return token.content.rstrip()
    return _TAG.sub(" ", token.content).strip() if token.type == "html_block" else ""


def _add_table(tokens: Sequence[Token], outline: Outline) -> None:
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_inline(token))
    for table in markdown_tables(rows):
        outline.add(table, kind="table")


def _inline(token: Token) -> str:
    """The words of a line of text: link texts without addresses, image descriptions, code without its ticks."""
    pieces: list[str] = []
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak"):
            pieces.append("\n")
        elif child.type == "image":
            pieces.append(_inline(child) if child.children else child.content)
        elif child.type == "html_inline":
            pieces.append("\n" if child.content.lower().startswith("<br") else "")
        else:
            pieces.append(child.content)
    return "".join(pieces).strip()
