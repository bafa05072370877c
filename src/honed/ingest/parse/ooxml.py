"""DOCX, PPTX and XLSX packages: what a ZIP claims is checked before it is opened, parts are read as streams of XML."""

from __future__ import annotations

import os
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from lxml import etree

from honed.ingest.codes import Refused

_MOST_ENTRIES = 20_000
_MOST_DIRECTORY = 8 << 20
_MOST_XML = 400 << 20
_MOST_DATA = 64 << 20
_MOST_RATIO = 250
_SMALL = 4 << 20
_END_RECORD = struct.Struct("<4s4H2LH")
_BAD_NAME = re.compile(r"^/|^[A-Za-z]:|\\|\0|(?:^|/)\.\.(?:/|$)")

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_CORE_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_VML = "{urn:schemas-microsoft-com:vml}"
_PROPERTIES = re.compile(r"\}(?:docPr|cNvPr)$")
_STRICT = "{http://purl.oclc.org/ooxml/"


class Package:
    """An opened package.

    Raises:
        Refused: `bomb`, `encrypted` or `corrupt`, before anything is unpacked.
    """

    def __init__(self, source: BinaryIO) -> None:
        _check_end_record(source)
        try:
            self._zip = zipfile.ZipFile(source)
        except (zipfile.BadZipFile, ValueError, OSError, struct.error) as error:
            raise Refused("corrupt", str(error)) from error
        _check_entries(self._zip.infolist())
        self._names = {info.filename for info in self._zip.infolist()}

    def __contains__(self, part: str) -> bool:
        return part in self._names

    def elements(self, part: str, *tags: str) -> Iterator[etree._Element]:
        """Stream the elements of a part, or those with the given tags, as they end. The caller frees what it is done with.

        Raises:
            Refused: `xml-entities`, `nesting`, `unsupported`, `corrupt`.
        """
        if part not in self._names:
            raise Refused("corrupt", f"{part} is missing")
        try:
            with self._zip.open(part) as stream:
                reader = etree.iterparse(
                    stream,
                    tag=tags or None,
                    resolve_entities=False,
                    no_network=True,
                    load_dtd=False,
                    huge_tree=False,
                    remove_comments=True,
                    remove_pis=True,
                )
                is_checked = False
                for _, element in reader:
                    if not is_checked:
                        _check_tree(element.getroottree(), part)
                        is_checked = True
                    yield element
                if reader.root is not None:
                    _check_tree(reader.root.getroottree(), part)
        except etree.XMLSyntaxError as error:
            raise _refusal(part, str(error)) from error
        except RuntimeError as error:  # zipfile's word for "needs a password"
            raise Refused("encrypted" if "password" in str(error) else "corrupt", str(error)) from error
        except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
            raise Refused("corrupt", f"{part}: {error}") from error

    def root(self, part: str) -> etree._Element | None:
        """The whole tree of a small part, None where the package lacks it."""
        if part not in self._names:
            return None
        if self._zip.getinfo(part).file_size > _SMALL:
            raise Refused("bomb", f"{part} is larger than {_SMALL >> 20} MB")
        last = None
        for element in self.elements(part):
            last = element
        return last

    def data(self, part: str) -> bytes:
        """The bytes of a part that is not XML, such as a picture.

        Raises:
            Refused: `bomb`, `corrupt`.
        """
        if part not in self._names:
            raise Refused("corrupt", f"{part} is missing")
        if self._zip.getinfo(part).file_size > _MOST_DATA:
            raise Refused("bomb", f"{part} is larger than {_MOST_DATA >> 20} MB")
        try:
            return self._zip.read(part)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
            raise Refused("corrupt", f"{part}: {error}") from error

    def relations(self, part: str) -> dict[str, tuple[str, str]]:
        """Relation id to type (its last word) and target part; external targets are left out."""
        folder, name = posixpath.split(part)
        root = self.root(f"{folder}/_rels/{name}.rels")
        relations: dict[str, tuple[str, str]] = {}
        for relation in root if root is not None else ():
            if relation.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join(folder, relation.get("Target") or "")).lstrip("/")
                relations[relation.get("Id") or ""] = ((relation.get("Type") or "").rsplit("/", 1)[-1], target)
        return relations

    def drawn(self, part: str) -> dict[str, tuple[str, str]]:
        """The relations by which pictures are found; none where they cannot be read: pictures never cost the text."""
        try:
            return self.relations(part)
        except Refused:
            return {}

    def title(self) -> str:
        """The title among the document's properties, empty where there is none."""
        root = self.root("docProps/core.xml")
        return " ".join((root.findtext(_CORE_TITLE) or "").split()) if root is not None else ""


def relation_id(element: etree._Element, name: str = "id") -> str:
    """The relation that an element names."""
    return element.get(_R + name) or ""


def pictures(element: etree._Element, relations: dict[str, tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Part and alternative text of each picture that is drawn inside an element, by DrawingML or the older VML."""
    for blip in element.iter(A + "blip", _VML + "imagedata"):
        kind, target = relations.get(relation_id(blip, "embed") or relation_id(blip), ("", ""))
        if kind == "image":
            yield target, _alternative(blip)


def _alternative(blip: etree._Element) -> str:
    """What the properties of the shape around a picture say it shows."""
    if blip.tag == _VML + "imagedata":
        shape = blip.getparent()
        return (shape.get("alt") or "") if shape is not None else ""
    for above in blip.iterancestors():
        for named in above.iterchildren():
            inner = named if _PROPERTIES.search(named.tag) else named.find("*")
            if inner is not None and isinstance(inner.tag, str) and _PROPERTIES.search(inner.tag):
                return inner.get("descr") or inner.get("title") or ""
    return ""


def free(element: etree._Element) -> None:
    """Empty an element that is done with, and drop what lies before it, so that a stream needs no memory."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]


def _check_tree(tree: etree._ElementTree, part: str) -> None:
    if tree.docinfo.doctype:
        raise Refused("xml-entities", part)
    root = tree.getroot()
    if root is not None and root.tag.startswith(_STRICT):
        raise Refused("unsupported", "Strict Open XML; save it as the usual kind")


def _refusal(part: str, message: str) -> Refused:
    low = message.lower()
    if "entity" in low or "entities" in low or "amplification" in low:
        return Refused("xml-entities", part)
    if "depth" in low:
        return Refused("nesting", part)
    return Refused("bomb" if "too long" in low or "huge" in low or "buffer" in low else "corrupt", f"{part}: {message}")


def _check_end_record(source: BinaryIO) -> None:
    """Refuse a huge central directory before `zipfile` makes an object of each of its entries."""
    size = source.seek(0, os.SEEK_END)
    source.seek(max(0, size - (1 << 16) - _END_RECORD.size))
    tail = source.read()
    start = tail.rfind(b"PK\x05\x06")
    if start < 0 or len(tail) - start < _END_RECORD.size:
        raise Refused("corrupt", "the end of the ZIP is missing")
    _, _, _, _, entries, directory, _, _ = _END_RECORD.unpack_from(tail, start)
    if entries > _MOST_ENTRIES or directory > _MOST_DIRECTORY:
        raise Refused("bomb", f"{entries} entries")
    source.seek(0)


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise Refused("corrupt", "two parts have the same name")
    if bad := next((name for name in names if _BAD_NAME.search(name)), ""):
        raise Refused("bomb", f"a part is named {bad!r}")
    if any(entry.flag_bits & 1 for entry in entries):
        raise Refused("encrypted")
    xml = [entry for entry in entries if entry.filename.endswith((".xml", ".rels"))]
    if sum(entry.file_size for entry in xml) > _MOST_XML:
        raise Refused("bomb", f"more than {_MOST_XML >> 20} MB of XML")
    for entry in xml:
        if entry.file_size > _SMALL and entry.file_size > _MOST_RATIO * max(1, entry.compress_size):
            raise Refused("bomb", f"{entry.filename} grows {entry.file_size // max(1, entry.compress_size)}-fold")
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise Refused("bomb", "parts overlap")
        end = entry.header_offset + 30 + len(entry.filename.encode()) + entry.compress_size
