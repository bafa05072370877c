"""XLSX: each sheet as Markdown tables under its name. Only cells that exist cost anything, wherever they lie."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import BinaryIO

from lxml import etree

from honed.ingest.codes import Refused
from honed.ingest.outline import Outline
from honed.ingest.parse import Job
from honed.ingest.parse.figures import Figures
from honed.ingest.parse.ooxml import Package, S, free, pictures, relation_id
from honed.ingest.parse.tables import markdown_tables
from honed.types import Parsed

_WORKBOOK = "xl/workbook.xml"
_MOST_COLUMNS = 1000
_MOST_STRINGS = 2_000_000
_BUILT_IN_DATES = frozenset([*range(14, 23), 45, 46, 47])
_DATE_FORMAT = re.compile(r"[ymdhs]", re.I)
_NOT_FORMAT = re.compile(r"\"[^\"]*\"|\\.|\[[^\]]*\]")
_LETTERS = re.compile(r"([A-Z]{1,3})\d+$")
_EPOCH = datetime(1899, 12, 30)

Cells = dict[int, str]


def parse(source: BinaryIO, job: Job) -> Parsed:
    """Table blocks of all sheets; a lone cell above a table, such as its title, is text."""
    package = Package(source)
    workbook = package.root(_WORKBOOK)
    if workbook is None:
        raise Refused("corrupt", f"{_WORKBOOK} is missing")
    relations = package.relations(_WORKBOOK)
    strings, dates = _shared_strings(package), _date_styles(package)
    outline, figures = Outline(), Figures(job)
    for sheet in workbook.iter(S + "sheet"):
        _, part = relations.get(relation_id(sheet), ("", ""))
        if part not in package:
            continue
        outline.heading(1, sheet.get("name") or "")
        for region in _regions(_rows(package, part, strings, dates)):
            _add(region, outline)
        _pictures(package, part, outline.count, figures)
    blocks = outline.finish()
    return Parsed(package.title() or job.stem, blocks, job.media_type, figures.meta(), media=figures.finish(blocks))


def _pictures(package: Package, sheet: str, place: int, figures: Figures) -> None:
    """The pictures that lie on a sheet: its drawings are parts of their own."""
    for kind, drawing in package.drawn(sheet).values():
        with suppress(Refused):  # of a drawing that cannot be read the cells are not to blame
            root = package.root(drawing) if kind == "drawing" else None
            for target, alt in pictures(root, package.drawn(drawing)) if root is not None else ():
                figures.add(partial(package.data, target), name=target, place=place, alt=alt)


def _regions(rows: Iterator[tuple[int, Cells]]) -> Iterator[list[Cells]]:
    """Runs of rows without an empty row between them: each is a table of its own."""
    region: list[Cells] = []
    last = 0
    for number, cells in rows:
        if region and number > last + 1:
            yield region
            region = []
        region.append(cells)
        last = number
    if region:
        yield region


def _add(region: list[Cells], outline: Outline) -> None:
    while region and len(region[0]) == 1 and (len(region) == 1 or len(region[1]) != 1):
        outline.add(next(iter(region.pop(0).values())))
    columns = sorted({column for cells in region for column in cells})
    if len(columns) > _MOST_COLUMNS:
        raise Refused("bomb", f"a table has {len(columns)} columns")
    for table in markdown_tables([cells.get(column, "") for column in columns] for cells in region):
        outline.add(table, kind="table")


def _rows(package: Package, part: str, strings: list[str], dates: frozenset[int]) -> Iterator[tuple[int, Cells]]:
    number = 0
    for row in package.elements(part, S + "row"):
        stated = row.get("r") or ""
        number = int(stated) if stated.isdigit() and len(stated) < 8 else number + 1
        cells: Cells = {}
        for index, cell in enumerate(row.iterchildren(S + "c")):
            text = _value(cell, strings, dates).strip()
            if text:
                cells[_column(cell.get("r") or "", index)] = text
        free(row)
        if cells:
            yield number, cells


def _column(reference: str, index: int) -> int:
    letters = _LETTERS.match(reference)
    if not letters:
        return index
    column = 0
    for letter in letters[1]:
        column = 26 * column + ord(letter) - 64
    return column - 1


def _value(cell: etree._Element, strings: list[str], dates: frozenset[int]) -> str:
    kind, raw = cell.get("t") or "n", cell.findtext(S + "v") or ""
    if kind == "s":
        return strings[int(raw)] if raw.isdigit() and int(raw) < len(strings) else ""
    if kind == "inlineStr":
        return "".join(text.text or "" for text in cell.iter(S + "t"))
    if kind == "b":
        return "TRUE" if raw == "1" else "FALSE"
    if kind != "n":
        return "" if kind == "e" else raw
    style = cell.get("s") or "0"
    return _number(raw, is_date=style.isdigit() and int(style) in dates)


def _number(raw: str, *, is_date: bool) -> str:
    try:
        value = float(raw)
    except ValueError:
        return raw
    if is_date and 0 <= value < 3_000_000:
        moment = _EPOCH + timedelta(days=value)
        whole = value == int(value)
        return moment.date().isoformat() if whole else moment.isoformat(" ", "seconds" if value >= 1 else "minutes")
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"


def _shared_strings(package: Package) -> list[str]:
    part = "xl/sharedStrings.xml"
    strings: list[str] = []
    if part in package:
        for item in package.elements(part, S + "si"):
            phonetic = {id(text) for run in item.iter(S + "rPh") for text in run.iter(S + "t")}
            strings.append("".join(text.text or "" for text in item.iter(S + "t") if id(text) not in phonetic))
            free(item)
            if len(strings) > _MOST_STRINGS:
                raise Refused("bomb", "too many strings")
    return strings


def _date_styles(package: Package) -> frozenset[int]:
    """Indices of the cell styles that show a number as a date."""
    root = package.root("xl/styles.xml")
    if root is None:
        return frozenset()
    dates = set(_BUILT_IN_DATES)
    for form in root.iter(S + "numFmt"):
        code = _NOT_FORMAT.sub("", form.get("formatCode") or "")
        if _DATE_FORMAT.search(code) and "0" not in code.replace("00", "") and (form.get("numFmtId") or "").isdigit():
            dates.add(int(form.get("numFmtId") or 0))
    styles = root.find(S + "cellXfs")
    return frozenset(
        index
        for index, style in enumerate(styles if styles is not None else ())
        if (style.get("numFmtId") or "") in map(str, dates)
    )
