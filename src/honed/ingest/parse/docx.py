"""DOCX: headings by style, lists, tables and footnotes, read as one stream of XML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from lxml import etree

from honed.ingest.outline import Outline
from honed.ingest.parse import Job
from honed.ingest.parse.figures import Figures
from honed.ingest.parse.ooxml import Package, W, free, pictures
from honed.ingest.parse.tables import markdown_tables
from honed.types import Parsed

_DOCUMENT = "word/document.xml"
_HEADING_NAME = re.compile(r"(?:heading|überschrift|titre|título|titolo|kop)\s*(\d)$", re.I)
_LEFT_OUT = frozenset(W + name for name in ("del", "moveFrom", "instrText", "delText", "pPr", "rPr", "sdtPr"))
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"


def parse(source: BinaryIO, job: Job) -> Parsed:
    """Blocks of a Word document. Headers and footers are other parts of the package and are not read."""
    package = Package(source)
    levels = _heading_levels(package)
    outline, items, figures = Outline(), list[str](), Figures(job)
    relations = package.drawn(_DOCUMENT)
    for element in package.elements(_DOCUMENT, W + "p", W + "tbl"):
        if not _is_outermost(element):
            continue
        if element.tag == W + "tbl":
            _flush(items, outline)
            for table in markdown_tables(_rows(element)):
                outline.add(table, kind="table")
        else:
            _paragraph(element, levels, items, outline)
        for target, alt in pictures(element, relations):
            figures.add(partial(package.data, target), name=target, place=outline.count, alt=alt)
        free(element)
    _flush(items, outline)
    _footnotes(package, outline)
    blocks = outline.finish()
    title = package.title() or outline.title or job.stem
    return Parsed(title, blocks, job.media_type, figures.meta(), media=figures.finish(blocks))


def _is_outermost(element: etree._Element) -> bool:
    """Whether no paragraph or table encloses this one: what lies in cells and text boxes comes with its container."""
    return all(above.tag not in (W + "p", W + "tbl") for above in element.iterancestors())


def _paragraph(element: etree._Element, levels: dict[str, int], items: list[str], outline: Outline) -> None:
    text = "".join(_texts(element)).strip()
    if not text:
        return
    properties = element.find(W + "pPr")
    style = _value(properties, "pStyle")
    outline_level = _value(properties, "outlineLvl")
    level = levels.get(style, 0) or (int(outline_level) + 1 if outline_level in "012345678" and outline_level else 0)
    numbered = properties.find(W + "numPr") if properties is not None else None
    if level and len(text) <= 300:
        _flush(items, outline)
        outline.heading(level, text)
    elif numbered is not None or style.lower().startswith("list"):
        depth = _value(numbered, "ilvl")
        items.append("  " * (int(depth) if depth.isdigit() and len(depth) == 1 else 0) + "- " + text)
    else:
        _flush(items, outline)
        outline.add(text)


def _flush(items: list[str], outline: Outline) -> None:
    outline.add("\n".join(items))
    items.clear()


def _value(properties: etree._Element | None, name: str) -> str:
    element = properties.find(W + name) if properties is not None else None
    return (element.get(W + "val") or "") if element is not None else ""


def _texts(element: etree._Element) -> Iterator[str]:
    """The text of a paragraph: insertions yes, deletions and field codes no."""
    stack = [element]
    while stack:
        node = stack.pop()
        if node.tag == W + "t":
            yield node.text or ""
        elif node.tag == W + "tab":
            yield "\t"
        elif node.tag in (W + "br", W + "cr"):
            yield "\n"
        elif node.tag == W + "noBreakHyphen":
            yield "-"
        elif node.tag not in _LEFT_OUT and node.tag != _FALLBACK:
            if node.tag == W + "p" and node is not element:
                yield "\n"
            stack.extend(reversed(node))


def _rows(table: etree._Element) -> Iterator[list[str]]:
    for row in table.iter(W + "tr"):
        cells = []
        for cell in row.iterchildren(W + "tc", W + "sdt"):
            cells.append(" ".join("".join(_texts(cell)).split()))
            span = cell.find(f"{W}tcPr/{W}gridSpan")
            width = (span.get(W + "val") or "1") if span is not None else "1"
            cells += [""] * (min(int(width), 64) - 1 if width.isdigit() and len(width) < 4 else 0)
        if row.getparent() is table:
            yield cells


def _heading_levels(package: Package) -> dict[str, int]:
    """Style id to heading level, following what each style is based on."""
    root = package.root("word/styles.xml")
    levels: dict[str, int] = {"Title": 1}
    based_on: dict[str, str] = {}
    for style in root.iter(W + "style") if root is not None else ():
        name = style.get(W + "styleId") or ""
        based_on[name] = _value(style, "basedOn")
        named = _HEADING_NAME.match(_value(style, "name"))
        level = _value(style.find(W + "pPr"), "outlineLvl")
        if named:
            levels[name] = int(named[1])
        elif level.isdigit() and len(level) == 1 and level != "9":
            levels[name] = int(level) + 1
    for name in based_on:
        above, steps = name, 0
        while above not in levels and based_on.get(above) and steps < 10:
            above, steps = based_on[above], steps + 1
        if above in levels and not above.startswith("Normal"):
            levels.setdefault(name, levels[above])
    return {**{f"Heading{level}": level for level in range(1, 10)}, **levels}


def _footnotes(package: Package, outline: Outline) -> None:
    for part, title in (("word/footnotes.xml", "Footnotes"), ("word/endnotes.xml", "Endnotes")):
        if part in package:
            notes = []
            for note in package.elements(part, W + "footnote", W + "endnote"):
                notes.append(" ".join("".join(_texts(note)).split()))
                free(note)
            if any(notes):
                outline.heading(1, title)
                outline.add("\n".join(filter(None, notes)))
