"""SVG: drawn by resvg after everything is taken out that leads out of the file; its words are read as text."""

from __future__ import annotations

import functools
import importlib.util
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import resvg_py
from lxml import etree
from PIL import Image

from honed.ingest.codes import Refused
from honed.ingest.parse import Job, captions
from honed.ingest.parse.image import described
from honed.ingest.rendering import SIDE
from honed.types import Block, Parsed

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_MOST_BYTES = 16 << 20
_MOST_ELEMENTS = 200_000
_MOST_COPIES = 100_000
_DEFAULT = 300
_LENGTH = re.compile(r"\s*([0-9.]+(?:e[+-]?\d+)?)\s*(px|pt|pc|mm|cm|in|em|ex)?\s*", re.I)
_UNITS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "mm": 3.7795, "cm": 37.795, "in": 96.0, "em": 16.0, "ex": 8.0}
_OUTSIDE = re.compile(r"url\(\s*[\"']?\s*(?!#)[^)]*\)|@import[^;]*;?", re.I)
_LEFT_OUT = frozenset(
    _SVG + name for name in ("script", "foreignObject", "animate", "animateTransform", "set", "a:script")
)
_SILENT = frozenset(_SVG + name for name in ("style", "script", "metadata", "title", "desc", "defs", "symbol"))


def preload(_job: Job) -> None:
    """Draw once: the renderer is loaded by importing this module."""
    _draw('<svg xmlns="http://www.w3.org/2000/svg"><text>warm</text></svg>', (8, 8))


def opens() -> tuple[Path, ...]:
    """What the renderer opens by its path while it draws: the font."""
    return tuple(map(Path, _font().get("font_files", ())))


def parse(source: BinaryIO, job: Job) -> Parsed:
    """The drawing under its <title>, else its file name; its text is its description and the words in it.

    Raises:
        Refused: `bomb`, `nesting`, `xml-entities`, `corrupt`.
    """
    data = source.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise Refused("bomb", f"more than {_MOST_BYTES >> 20} MB of drawing")
    root = _tree(data)
    size = _size(root)
    words = _said(root)
    text = "\n".join(_texts(root))
    _confined(root)
    plain = _draw(etree.tostring(root, encoding="unicode"), _shown(size))
    blocks = (Block(text),) if text else ()
    meta: dict[str, Any] = {"width": size[0], "height": size[1]}
    return described(Parsed(captions.readable(job.stem), blocks, job.media_type, meta), words, plain, size)


def _tree(data: bytes) -> etree._Element:
    """The document with its own entities resolved (drawing programs declare some); foreign ones are refused."""
    parser = etree.XMLParser(resolve_entities="internal", no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise Refused(_code(str(error).lower()), str(error)) from error
    if root.tag != _SVG + "svg":
        raise Refused("corrupt", "its outermost element is not <svg> of the SVG namespace")
    if sum(1 for _ in root.iter()) > _MOST_ELEMENTS:
        raise Refused("bomb", f"more than {_MOST_ELEMENTS:,} elements")
    return root


def _code(message: str) -> str:
    """The code for what the XML parser says."""
    if "entit" in message or "amplification" in message:
        return "xml-entities"
    if "depth" in message:
        return "nesting"
    return "bomb" if "huge" in message or "too long" in message else "corrupt"


def _confined(root: etree._Element) -> None:
    """Take out scripts and whatever refers to another file; count what copies of copies come to.

    The sandbox denies files and network anyway, where the kernel can; here the drawing loses even the wish.
    """
    for element in list(root.iter()):
        if not isinstance(element.tag, str) or element.tag in _LEFT_OUT:
            parent = element.getparent()
            if parent is not None and element is not root:
                _remove(parent, element)
            continue
        for name in ("href", _XLINK):
            address = (element.get(name) or "").strip()
            if address and not address.startswith(("#", "data:image/")):
                del element.attrib[name]
        for name, value in element.attrib.items():
            if "url(" in value or name.lower().startswith("on"):
                element.attrib[name] = "" if name.lower().startswith("on") else _OUTSIDE.sub("none", value)
        if element.tag == _SVG + "style" and element.text:
            element.text = _OUTSIDE.sub("", element.text)
    if _copies(root) > _MOST_COPIES:
        raise Refused("bomb", "copies of copies")


def _remove(parent: etree._Element, element: etree._Element) -> None:
    """Take an element out; the text behind it stays."""
    before = element.getprevious()
    if element.tail:
        if before is not None:
            before.tail = (before.tail or "") + element.tail
        else:
            parent.text = (parent.text or "") + element.tail
    parent.remove(element)


def _copies(root: etree._Element) -> int:
    """How many elements there are when every <use> is followed; one that comes back to itself draws nothing."""
    by_id = {name: element for element in root.iter() if (name := element.get("id"))}
    sizes: dict[etree._Element, int] = {}
    stack: list[tuple[etree._Element, bool]] = [(root, False)]
    open_: set[etree._Element] = set()
    while stack:
        element, done = stack.pop()
        inside = list(element)
        target = (
            by_id.get((element.get("href") or element.get(_XLINK) or "")[1:]) if element.tag == _SVG + "use" else None
        )
        if target is not None:
            inside.append(target)
        if done:
            open_.discard(element)
            sizes[element] = min(1 + sum(sizes.get(child, 1) for child in inside), 10 * _MOST_COPIES)
        elif element not in sizes and element not in open_:
            open_.add(element)
            stack.append((element, True))
            stack += [(child, False) for child in inside]
    return sizes[root]


def _size(root: etree._Element) -> tuple[int, int]:
    """Width and height in pixels: what is stated, else the view box, else what browsers take."""
    box = [float(number) for number in re.findall(r"-?[\d.]+(?:e[+-]?\d+)?", root.get("viewBox") or "")[:4]]
    ratio = box[2] / box[3] if len(box) == 4 and box[2] > 0 and box[3] > 0 else 0.0
    width, height = _length(root.get("width")), _length(root.get("height"))
    if ratio and not (width and height):
        width = width or (height * ratio if height else box[2])
        height = height or width / ratio
    width, height = width or _DEFAULT, height or _DEFAULT / 2
    most = max(width, height, 1e-9)
    scale = min(1.0, 1_000_000 / most)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _length(value: str | None) -> float:
    """A length in pixels; 0 for none, a share of something else, or nonsense."""
    match = _LENGTH.fullmatch(value or "")
    try:
        return float(match[1]) * _UNITS[(match[2] or "").lower()] if match else 0.0
    except ValueError:
        return 0.0


def _shown(size: tuple[int, int]) -> tuple[int, int]:
    """The size to draw at: small drawings as large as they say, but icons large enough to be recognised."""
    longest = max(size)
    side = min(SIDE, max(longest, 256))
    return max(1, round(size[0] * side / longest)), max(1, round(size[1] * side / longest))


def _draw(markup: str, size: tuple[int, int]) -> Image.Image:
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=markup,
            width=size[0],
            height=size[1],
            background="#ffffff",
            skip_system_fonts=True,
            **_font(),
        )
    except ValueError as error:
        raise Refused("corrupt", str(error)) from error
    return Image.open(io.BytesIO(bytes(png)), formats=("PNG",)).convert("RGB")


@functools.cache
def _font() -> dict[str, Any]:
    """A font to draw all words with: one among the installed packages, because only what `opens` names can be opened."""
    spec = importlib.util.find_spec("matplotlib")
    font = Path(spec.origin or "").parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf" if spec else None
    if not font or not font.is_file():
        return {}
    kinds = ("font_family", "serif_family", "sans_serif_family", "cursive_family", "fantasy_family", "monospace_family")
    return {"font_files": [str(font)], **dict.fromkeys(kinds, "DejaVu Sans")}


def _said(root: etree._Element) -> captions.Words:
    """Its own title and description, then what its metadata says."""
    titles = [" ".join("".join(title.itertext()).split()) for title in root.iterchildren(_SVG + "title")]
    descriptions = [" ".join("".join(text.itertext()).split()) for text in root.iterchildren(_SVG + "desc")]
    noted = captions.dublin_core(root)
    return captions.tidied([*titles, *noted.titles], [*descriptions, *noted.descriptions], noted.tags)


def _texts(root: etree._Element) -> Iterator[str]:
    """The words that are drawn, one line a <text>."""
    for element in root.iter(_SVG + "text"):
        if not any(above.tag in _SILENT for above in element.iterancestors()):
            line = " ".join("".join(element.itertext()).split())
            if line:
                yield line
