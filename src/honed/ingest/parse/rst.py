"""reStructuredText, line by line: titles, paragraphs, literal blocks. No directive is run: none can include or execute."""

from __future__ import annotations

import re
from typing import BinaryIO

from honed.ingest.outline import Outline
from honed.ingest.parse import Job
from honed.ingest.parse.text import read_text
from honed.types import Parsed

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}\s*$")
_EXPLICIT = re.compile(r"\.\.(?:\s|$)")
_DIRECTIVE = re.compile(r"\.\.\s+(?:\|[^|]+\|\s+)?([\w:.+-]+)::\s*(.*)$")
_SPOKEN = frozenset(
    [
        "admonition",
        "attention",
        "caution",
        "danger",
        "error",
        "hint",
        "important",
        "note",
        "tip",
        "warning",
        "seealso",
        "topic",
        "sidebar",
        "versionadded",
        "versionchanged",
        "deprecated",
        "epigraph",
        "rubric",
        "code",
        "code-block",
        "sourcecode",
        "parsed-literal",
        "list-table",
        "csv-table",
        "table",
    ]
)
_OPTION = re.compile(r"\s*:[\w -]+:(?:\s|$)")
_ROLE = re.compile(r":[\w:+.-]+:`([^`<]*?)\s*(?:<[^`>]*>)?`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?")
_MARKED = re.compile(r"``([^`]+)``|\*\*([^*\n]+)\*\*|(?<!\w)\*([^*\n]+)\*(?!\w)|`([^`\n]+)`_{0,2}")


def parse(source: BinaryIO, job: Job) -> Parsed:
    """Blocks under the titles; comments, targets, images and includes are left out, notes and code are kept."""
    outline, levels = Outline(), list[str]()
    lines = read_text(source).expandtabs(4).split("\n")
    position = 0
    while position < len(lines):
        if not lines[position].strip():
            position += 1
        elif title := _title(lines, position):
            style, text, position = title
            if style not in levels:
                levels.append(style)
            outline.heading(levels.index(style) + 1, _words(text))
        elif _EXPLICIT.match(lines[position]):
            position = _explicit(lines, position, outline)
        else:
            position = _paragraph(lines, position, outline)
    return Parsed(outline.title or job.stem, outline.finish(), job.media_type)


def _title(lines: list[str], at: int) -> tuple[str, str, int] | None:
    """Style, text and next position of a title that begins at a line; overlined titles are a style of their own."""
    following = [line.rstrip() for line in lines[at : at + 3]] + ["", ""]
    over, under = _ADORNMENT.match(following[0]), _ADORNMENT.match(following[1])
    if over and following[1].strip() and following[2] == following[0]:
        return f"{over[1]}over", following[1], at + 3
    text = following[0]
    if under and not over and text == text.lstrip() and len(following[1]) >= min(len(text), 4):
        return under[1], text, at + 2
    return None


def _explicit(lines: list[str], at: int, outline: Outline) -> int:
    """Skip a comment, a target or a directive; keep the body of a directive whose body is prose or code."""
    end = at + 1
    while end < len(lines) and (not lines[end].strip() or lines[end][:1] == " "):
        end += 1
    directive = _DIRECTIVE.match(lines[at])
    if directive and directive[1] in _SPOKEN:
        is_code = directive[1] in ("code", "code-block", "sourcecode")
        body = [line for line in lines[at + 1 : end] if not _OPTION.match(line)]
        text = _dedent(([] if is_code else [directive[2]]) + body)
        for part in re.split(r"\n\s*\n", text):
            outline.add(part if is_code else _words(part))
    return end


def _paragraph(lines: list[str], at: int, outline: Outline) -> int:
    end = at
    while end < len(lines) and lines[end].strip() and not (end > at and _title(lines, end)):
        end += 1
    if _ADORNMENT.match(lines[at]) and end == at + 1:
        return end  # a transition
    text = _words(_dedent(lines[at:end]))
    outline.add(text[:-1] if text.endswith("::") else text)
    return max(end, at + 1)


def _dedent(lines: list[str]) -> str:
    margins = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    margin = min(margins, default=0)
    return "\n".join(line[margin:] if line[:margin].isspace() or not margin else line.lstrip() for line in lines).strip(
        "\n"
    )


def _words(text: str) -> str:
    """Inline markup without its marks."""
    text = _LINK.sub(r"\1", _ROLE.sub(r"\1", text))
    return _MARKED.sub(lambda match: next(group for group in match.groups() if group is not None), text)
