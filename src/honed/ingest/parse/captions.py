"""What a picture says about itself: PNG texts, EXIF, XMP and IPTC; else its file name made readable."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree
from PIL import Image, ImageFile, IptcImagePlugin

_DC = "{http://purl.org/dc/elements/1.1/}"
_RDF_LI = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
_EXIF_DESCRIPTION, _XP_TITLE, _XP_COMMENT, _XP_KEYWORDS, _XP_SUBJECT = 270, 0x9C9B, 0x9C9C, 0x9C9E, 0x9C9F
_EXIF_FOLDER, _USER_COMMENT = 0x8769, 0x9286
_IPTC_TITLE, _IPTC_KEYWORDS, _IPTC_HEADLINE, _IPTC_CAPTION = (2, 5), (2, 25), (2, 105), (2, 120)
_MOST_METADATA = 1 << 20
_MOST_LETTERS = 2000
_MOST_TAGS = 100
_MACHINE = re.compile(
    r"(?:olympus digital camera|sony dsc|digital camera|dcim|untitled|screenshot|created with .{1,40}|image|photo|default)",
    re.I,
)
"""What cameras and programs write where nobody wrote anything."""


@dataclass(frozen=True, slots=True)
class Words:
    """What was found, each at most once: titles are short, descriptions may be long, tags are single words."""

    titles: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        """The best single line: a title, else a description."""
        return next(iter((*self.titles, *self.descriptions)), "")


def words_of(picture: Image.Image) -> Words:
    """Titles, descriptions and tags in a picture's metadata; what cannot be read is left out."""
    titles: list[str] = []
    descriptions: list[str] = []
    tags: list[str] = []
    for read in (_xmp, _png, _iptc, _exif):
        try:
            words = read(picture)
        except Exception:  # metadata of any kind may be broken in any way: the picture is what counts
            continue
        titles += words.titles
        descriptions += words.descriptions
        tags += words.tags
    return tidied(titles, descriptions, tags)


def tidied(titles: Iterable[str], descriptions: Iterable[str], tags: Iterable[str]) -> Words:
    """Each text on one line and once; what machines write is left out."""
    return Words(_tidy(titles), _tidy(descriptions), _tidy(tags)[:_MOST_TAGS])


def readable(stem: str) -> str:
    """A file's name as words: "red-panda_02" becomes "red panda 02"."""
    return " ".join(re.sub(r"[\s_.+~-]+", " ", stem).split()) or stem


def _tidy(texts: Iterable[str]) -> tuple[str, ...]:
    lines: dict[str, str] = {}
    for text in texts:
        line = " ".join(text.replace("\0", " ").split())[:_MOST_LETTERS]
        if line and not _MACHINE.fullmatch(line) and any(letter.isalnum() for letter in line):
            lines.setdefault(line.casefold(), line)
    return tuple(lines.values())


def _png(picture: Image.Image) -> Words:
    texts = {str(key).lower(): value for key, value in picture.info.items() if isinstance(value, str)}
    comment = picture.info.get("comment", b"")
    comment = comment.decode("utf-8", "replace") if isinstance(comment, bytes) else str(comment)
    return Words(
        tuple(texts[key] for key in ("title",) if key in texts),
        (*(texts[key] for key in ("description", "caption") if key in texts), *([comment] if comment else [])),
        tuple(_split(texts.get("keywords", ""))),
    )


def _exif(picture: Image.Image) -> Words:
    exif = picture.getexif()
    comment = exif.get_ifd(_EXIF_FOLDER).get(_USER_COMMENT, "")
    return Words(
        tuple(_wide(exif.get(tag)) for tag in (_XP_TITLE, _XP_SUBJECT)),
        (_text(exif.get(_EXIF_DESCRIPTION)), _wide(exif.get(_XP_COMMENT)), _commented(comment)),
        tuple(_split(_wide(exif.get(_XP_KEYWORDS)))),
    )


def _iptc(picture: Image.Image) -> Words:
    if not isinstance(picture, ImageFile.ImageFile):
        return Words()
    entries: dict[tuple[int, int], Any] = IptcImagePlugin.getiptcinfo(picture) or {}

    def texts(key: tuple[int, int]) -> tuple[str, ...]:
        value = entries.get(key, [])
        return tuple(_text(item) for item in (value if isinstance(value, list) else [value]))

    return Words((*texts(_IPTC_HEADLINE), *texts(_IPTC_TITLE)), texts(_IPTC_CAPTION), texts(_IPTC_KEYWORDS))


def _xmp(picture: Image.Image) -> Words:
    data = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or b""
    data = data.encode() if isinstance(data, str) else bytes(data)
    if not data or len(data) > _MOST_METADATA:
        return Words()
    return dublin_core(
        etree.fromstring(
            data.strip(b"\0 \r\n"), etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
        )
    )


def dublin_core(root: etree._Element) -> Words:
    """Titles, descriptions and subjects of an RDF description, as XMP and SVG hold it."""

    def texts(name: str) -> Iterator[str]:
        for element in root.iter(_DC + name):
            items = [item.text or "" for item in element.iter(_RDF_LI)]
            yield from items or [element.text or ""]

    return Words(tuple(texts("title")), tuple(texts("description")), tuple(texts("subject")))


def _split(line: str) -> list[str]:
    return re.split(r"[;,]", line) if line else []


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.decode("latin-1")
    return value if isinstance(value, str) else ""


def _wide(value: Any) -> str:
    """Windows writes its texts as UTF-16 in bytes."""
    return value.decode("utf-16-le", "replace") if isinstance(value, bytes) else _text(value)


def _commented(value: Any) -> str:
    """A user comment: eight bytes name its encoding."""
    if not isinstance(value, bytes):
        return _text(value)
    name, text = value[:8].rstrip(b"\0 "), value[8:]
    if name == b"UNICODE":
        return text.decode("utf-16-be" if text[:1] == b"\0" else "utf-16-le", "replace")
    return _text(text) if name in (b"ASCII", b"") else ""
