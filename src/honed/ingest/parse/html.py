"""HTML by lxml: heading path, paragraphs, lists and tables; navigation, scripts and the like are left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

from lxml import etree

from honed.ingest.codes import Refused
from honed.ingest.outline import Outline
from honed.ingest.parse import Job
from honed.ingest.parse.figures import Figures
from honed.ingest.parse.tables import markdown_tables
from honed.ingest.parse.text import decode
from honed.types import Parsed

_MOST_BYTES = 32 << 20
_MOST_ATTRIBUTES = 1000
_DEEPEST = 10_000
_LONG_DATA = re.compile(r"data:[^\"'\s>]{1000,}")
_HELD = re.compile(r"data:#(\d{1,7})")
_LONG_TAG = re.compile(r"<[a-zA-Z][^<>]{20000,}")
_DECLARED = re.compile(rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]{2,20})", re.I)
_OPENING = re.compile(r"<(/?)(?:div|span|b|i|em|font|table|ul|ol|blockquote|section)\b", re.I)

_SKIPPED = frozenset(
    [
        "script",
        "style",
        "noscript",
        "template",
        "nav",
        "footer",
        "aside",
        "svg",
        "math",
        "iframe",
        "object",
        "embed",
        "form",
        "button",
        "select",
        "textarea",
        "input",
        "head",
        "canvas",
        "audio",
        "video",
        "map",
        "dialog",
    ]
)
_ROLES = frozenset(
    ["navigation", "banner", "contentinfo", "search", "complementary", "menu", "menubar", "toolbar", "dialog"]
)
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "blockquote",
        "body",
        "center",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "hr",
        "html",
        "main",
        "p",
        "pre",
        "section",
        "summary",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
    ]
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)


def parse(source: BinaryIO, job: Job) -> Parsed:
    """Blocks of a page. If nothing is left without navigation and forms, they are kept."""
    data = source.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise Refused("too-big", f"more than {_MOST_BYTES >> 20} MB of HTML")
    declared = _DECLARED.search(data[:4096])
    return parse_markup(_decode(data, declared[1].decode("ascii") if declared else ""), job)


def parse_markup(markup: str, job: Job) -> Parsed:
    """Blocks of markup that is already decoded.

    Raises:
        Refused: `bomb`, `nesting`, `corrupt`, `empty`.
    """
    inline: list[str] = []
    tree = _tree(_guarded(markup, inline))
    for skipped in (_SKIPPED, frozenset({"script", "style", "template", "head"})):
        outline, figures = Outline(), Figures(job)
        _Walker(outline, skipped, partial(_meet, inline, outline, figures)).walk(_main(tree))
        if blocks := outline.finish():
            break
    title = " ".join("".join(tree.xpath("string(//head/title)")).split())
    media = figures.finish(blocks)
    return Parsed(title or outline.title or job.stem, blocks, job.media_type, figures.meta(blocks), media=media)


def _meet(inline: list[str], outline: Outline, figures: Figures, node: etree._Element) -> None:
    """Take note of an <img>; the caption of the figure around it says more than its alternative text."""
    address = (node.get("src") or "").strip()
    held = _HELD.fullmatch(address)
    if held and int(held[1]) < len(inline):
        address = inline[int(held[1])]
    around = next(node.iterancestors("figure"), None)
    caption = around.find(".//figcaption") if around is not None else None
    caption_text = "".join(_texts(caption)) if caption is not None else ""
    figures.refer(address, place=outline.count, alt=caption_text.strip() or node.get("alt") or "")


def _decode(data: bytes, declared: str) -> str:
    if declared and b"\0" not in data[:1024]:
        try:
            return data.decode(declared)
        except (LookupError, ValueError):
            return decode(data)
    return decode(data)


def _guarded(markup: str, inline: list[str]) -> str:
    """Markup that cannot take the parser long: its time grows with the square of attributes and of depth.

    Long data: addresses are put aside, to `inline`; their numbers take their places.
    """

    def aside(address: re.Match[str]) -> str:
        inline.append(address[0])
        return f"data:#{len(inline) - 1}"

    markup = _LONG_DATA.sub(aside, markup.replace("\0", ""))
    for tag in _LONG_TAG.finditer(markup):
        if tag[0].count("=") > _MOST_ATTRIBUTES or tag[0].count(" ") > 50 * _MOST_ATTRIBUTES:
            raise Refused("bomb", "a tag has too many attributes")
    depth = 0
    for match in _OPENING.finditer(markup):
        depth += -1 if match[1] else 1
        if depth > _DEEPEST:
            raise Refused("nesting", f"more than {_DEEPEST} open tags")
    return markup


def _tree(markup: str) -> etree._Element:
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=False)
    tree = etree.fromstring(markup.encode("utf-8", "replace"), parser)
    for entry in parser.error_log:
        if "limit exceeded" in entry.message or "xcessive depth" in entry.message:
            raise Refused("nesting" if "depth" in entry.message else "bomb", entry.message)
    if tree is None:
        raise Refused("empty")
    return tree


def _main(tree: etree._Element) -> etree._Element:
    """The main element, if the page names one and it holds most of the text."""
    candidates = tree.xpath("//main | //*[@role='main']")
    if len(candidates) != 1:
        return tree
    whole = sum(len(text) for text in tree.xpath("//body//text()[not(ancestor::script or ancestor::style)]"))
    return candidates[0] if 2 * len("".join(candidates[0].itertext())) > whole else tree


class _Walker:
    """One pass over the tree, without recursion. Inline text gathers until a block begins or ends."""

    def __init__(self, outline: Outline, skipped: frozenset[str], on_picture: Callable[[etree._Element], None]) -> None:
        self._outline = outline
        self._skipped = skipped
        self._on_picture = on_picture
        self._text: list[str] = []
        self._items: list[str] = []
        self._lists: list[int] = []
        self._marker = ""
        self._verbatim = 0

    def walk(self, root: etree._Element) -> None:
        skip: etree._Element | None = None
        for event, node in etree.iterwalk(root, events=("start", "end")):
            if skip is not None:
                if event == "end" and node is skip:
                    skip = None
                    self._add(node.tail)
                continue
            if event == "start":
                if self._leaves_out(node) or self._takes_whole(node):
                    skip = node
                    continue
                self._start(node)
                self._add(node.text)
            else:
                self._end(node)
                if node is not root:
                    self._add(node.tail)
        self._flush()
        self._flush_list()

    def _leaves_out(self, node: etree._Element) -> bool:
        if node.tag in self._skipped or (node.get("role") in _ROLES and "nav" in self._skipped):
            return True
        if node.get("hidden") is not None or (node.get("aria-hidden") == "true" and node.tag != "body"):
            return True
        if node.tag == "header" and "nav" in self._skipped:
            parent = node.getparent()
            return parent is not None and parent.tag == "body" and node.find(".//h1") is None
        return bool(_HIDDEN.search(node.get("style") or ""))

    def _takes_whole(self, node: etree._Element) -> bool:
        """Add a heading or a table at once; whether the node was one."""
        if node.tag in _HEADINGS:
            self._flush()
            self._flush_list()
            self._outline.heading(_HEADINGS[node.tag], "".join(_texts(node)))
            return True
        if node.tag != "table" or _is_layout(node):
            return False
        self._flush()
        self._flush_list()
        caption = node.find("caption")
        if caption is not None:
            self._outline.add(" ".join("".join(_texts(caption)).split()))
        for table in markdown_tables(_rows(node)):
            self._outline.add(table, kind="table")
        return True

    def _start(self, node: etree._Element) -> None:
        if node.tag in ("ul", "ol"):
            self._flush()
            if not self._lists:
                self._flush_list()
            self._lists.append(1 if node.tag == "ol" else 0)
        elif node.tag == "li":
            self._flush()
            number = self._lists[-1] if self._lists else 0
            self._marker = f"{number}. " if number else "- "
            if number:
                self._lists[-1] += 1
        elif node.tag == "br":
            self._text.append("\n")
        elif node.tag in _BLOCKS:
            self._flush()
            self._verbatim += node.tag == "pre"
        elif node.tag == "img":
            self._on_picture(node)
            if (node.get("alt") or "").strip():
                self._text.append(f" {node.get('alt')} ")

    def _end(self, node: etree._Element) -> None:
        if node.tag in ("ul", "ol"):
            self._flush()
            if self._lists:
                self._lists.pop()
            if not self._lists:
                self._flush_list()
        elif node.tag == "li" or node.tag in _BLOCKS:
            self._flush()
            self._verbatim -= node.tag == "pre"

    def _add(self, text: str | None) -> None:
        if text:
            self._text.append(text if self._verbatim else re.sub(r"\s+", " ", text))

    def _flush(self) -> None:
        raw = "".join(self._text)
        self._text.clear()
        text = raw.strip("\n") if self._verbatim else re.sub(r" *\n *", "\n", re.sub(r"[ \t]+", " ", raw)).strip()
        if not text.strip():
            return
        if self._lists:
            indent = "  " * (len(self._lists) - 1)
            self._items.append(indent + (self._marker or "  ") + text.replace("\n", "\n" + indent + "  "))
            self._marker = ""
        else:
            self._outline.add(text)

    def _flush_list(self) -> None:
        self._outline.add("\n".join(self._items))
        self._items.clear()


def _is_layout(table: etree._Element) -> bool:
    """Tables that arrange a page: they hold tables or headings, have one column, or cells as long as sections."""
    if table.find(".//table") is not None or any(table.find(f".//{tag}") is not None for tag in _HEADINGS):
        return True
    rows = list(_rows(table))
    if max((len(row) for row in rows), default=0) < 2:
        return True
    return any(len(cell) > 1500 for row in rows for cell in row)


def _rows(table: etree._Element) -> Iterator[list[str]]:
    for row in table.iter("tr"):
        cells = [" ".join("".join(_texts(cell)).split()) for cell in row if cell.tag in ("td", "th")]
        if cells:
            yield cells


def _texts(node: etree._Element) -> Iterator[str]:
    """Text below a node without scripts; block and line ends become spaces."""
    for event, inner in etree.iterwalk(node, events=("start", "end")):
        if event == "start":
            if inner.tag not in ("script", "style"):
                yield inner.text or ""
        else:
            if inner.tag in _BLOCKS or inner.tag in ("br", "li"):
                yield " "
            if inner is not node:
                yield inner.tail or ""
