"""PPTX: a section a slide under its title, with lists, tables and the speaker's notes; the page is the slide's number."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from lxml import etree

from honed.ingest.codes import Refused
from honed.ingest.outline import Outline
from honed.ingest.parse import Job
from honed.ingest.parse.figures import Figures
from honed.ingest.parse.ooxml import A, P, Package, pictures, relation_id
from honed.ingest.parse.tables import markdown_tables
from honed.types import Parsed

_PRESENTATION = "ppt/presentation.xml"
_MOST_SLIDES = 5000
_TITLES = ("title", "ctrTitle")
_FURNITURE = ("dt", "ftr", "sldNum", "hdr", "sldImg")


def parse(source: BinaryIO, job: Job) -> Parsed:
    """Blocks of a presentation, in the order of its slides."""
    package = Package(source)
    presentation = package.root(_PRESENTATION)
    if presentation is None:
        raise Refused("corrupt", f"{_PRESENTATION} is missing")
    relations = package.relations(_PRESENTATION)
    slides = [relations.get(relation_id(slide), ("", ""))[1] for slide in presentation.iter(P + "sldId")]
    if len(slides) > _MOST_SLIDES:
        raise Refused("bomb", f"{len(slides)} slides")
    outline, figures = Outline(), Figures(job)
    for number, part in enumerate(slides, 1):
        slide = package.root(part)
        if slide is not None:
            _slide(slide, number, outline)
            for target, alt in pictures(slide, package.drawn(part)):
                load = partial(package.data, target)
                figures.add(load, name=target, place=outline.count, alt=alt, page=number)
            _notes(package, part, number, outline)
    blocks = outline.finish()
    title = package.title() or outline.title or job.stem
    return Parsed(title, blocks, job.media_type, figures.meta(), media=figures.finish(blocks))


def _slide(slide: etree._Element, number: int, outline: Outline) -> None:
    shapes = [shape for shape in slide.iter(P + "sp", P + "graphicFrame") if _placeholder(shape) not in _FURNITURE]
    titles = [shape for shape in shapes if _placeholder(shape) in _TITLES]
    title = " ".join(line.strip() for shape in titles for line in _lines(shape))
    outline.heading(1, title or f"Slide {number}", page=number)
    for shape in shapes:
        if shape.tag == P + "graphicFrame":
            rows = [
                [" ".join("\n".join(_lines(cell)).split()) for cell in row.iter(A + "tc")]
                for row in shape.iter(A + "tr")
            ]
            for table in markdown_tables(rows):
                outline.add(table, kind="table", page=number)
        elif shape not in titles:
            outline.add("\n".join(_lines(shape)), page=number)


def _notes(package: Package, part: str, number: int, outline: Outline) -> None:
    for kind, target in package.relations(part).values():
        notes = package.root(target) if kind == "notesSlide" else None
        if notes is not None:
            shapes = (shape for shape in notes.iter(P + "sp") if _placeholder(shape) == "body")
            text = "\n".join(line for shape in shapes for line in _lines(shape))
            outline.add(f"Notes: {text}" if text.strip() else "", page=number)


def _placeholder(shape: etree._Element) -> str:
    """What a shape is for: "title", "body", "ftr" and so on, empty for a free shape."""
    placeholder = shape.find(f".//{P}nvPr/{P}ph")
    return (placeholder.get("type") or "body") if placeholder is not None else ""


def _lines(shape: etree._Element) -> Iterator[str]:
    """The paragraphs of a shape; those in a list level are marked."""
    for paragraph in shape.iter(A + "p"):
        pieces = ("\n" if node.tag == A + "br" else node.text or "" for node in paragraph.iter(A + "t", A + "br"))
        text = "".join(pieces).strip()
        properties = paragraph.find(A + "pPr")
        level = (properties.get("lvl") or "0") if properties is not None else "0"
        if text:
            yield f"{'  ' * (int(level) - 1)}- {text}" if level.isdigit() and 0 < int(level[:2]) < 10 else text
