"""DOCX, XLSX and PPTX files that ended or hung some reader."""

from __future__ import annotations

import struct
from functools import partial

from tests.ingest.hostile.case import Case, patched, repeat_deflate, zip_entry
from tests.ingest.packages import docx, inline, package, paragraph, pptx, relations, shape, xlsx

_LAUGHS = (
    '<!DOCTYPE l [<!ENTITY l0 "lol">' + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 11)) + "]>"
)
_QUADRATIC = f'<!DOCTYPE q [<!ENTITY q "{"a" * 100_000}">]>'
_XXE_FILE = '<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
_XXE_NET = '<!DOCTYPE x [<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]>'
_XXE_PARAMETER = '<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>'
_OPEN_DOCX = (
    b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>'
)
_ENTITIES = "xml-entities|corrupt"


def _renamed_part(name: str) -> bytes:
    return package({"word/document.xml": docx_document("x"), name: "x"})


def docx_document(text: str) -> str:
    return f'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{paragraph(text)}</w:body></w:document>'


def _duplicate_parts() -> bytes:
    good = package({"word/document.xml": docx_document("one"), "word/documenx.xml": docx_document("two")})
    return patched(good, b"word/documenx.xml", b"word/document.xml")


def _overlapping() -> bytes:
    """Two directory entries for the same bytes (D. Fifield, "A better zip bomb", 2019)."""
    good = docx(paragraph("x"))
    end = good.rfind(b"PK\x05\x06")
    start = int.from_bytes(good[end + 16 : end + 20], "little")
    central = good[start:end]
    last = central[central.rfind(b"PK\x01\x02") :].replace(b"word/document.xml", b"word/documenz.xml")
    counts = struct.pack("<HHLL", 3, 3, len(central) + len(last), start)
    return good[:start] + central + last + good[end : end + 8] + counts + b"\0\0"


def _encrypted_zip() -> bytes:
    good = bytearray(docx(paragraph("x")))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = good.find(mark)
        while at >= 0:
            good[at + offset] |= 1
            at = good.find(mark, at + 4)
    return bytes(good)


def _million_entries() -> bytes:
    central = b"".join(
        b"PK\x01\x02"
        + struct.pack("<HHHHHHLLLHHHHHLL", 20, 20, 0, 0, 0, 33, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)
        + b"word/document.xml"
        for _ in range(300_000)
    )
    return b"PK\x03\x04" + central + b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, 0xFFFF, 0xFFFF, len(central), 4, 0)


def _ole(stream_name: str) -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + stream_name.encode("utf-16-le") + bytes(2048)


CASES = (
    Case("docx billion laughs", ".docx", lambda: docx(paragraph("&l10;"), prologue=_LAUGHS), _ENTITIES, quick=True),
    Case("docx quadratic entities", ".docx", lambda: docx(paragraph("&q;" * 50_000), prologue=_QUADRATIC), _ENTITIES),
    Case("docx entity from a file", ".docx", lambda: docx(paragraph("&x;"), prologue=_XXE_FILE), _ENTITIES, quick=True),
    Case("docx entity from the network", ".docx", lambda: docx(paragraph("&x;"), prologue=_XXE_NET), _ENTITIES),
    Case("docx parameter entity", ".docx", lambda: docx(paragraph("x"), prologue=_XXE_PARAMETER), _ENTITIES),
    Case(
        "docx entities in UTF-16",
        ".docx",
        lambda: package(
            {
                "word/document.xml": (
                    '<?xml version="1.0" encoding="UTF-16"?>' + _XXE_FILE + docx_document("&x;")
                ).encode("utf-16")
            }
        ),
        _ENTITIES,
    ),
    Case(
        "docx 2 GB of text",
        ".docx",
        lambda: zip_entry("word/document.xml", repeat_deflate(b"a" * (1 << 20), 2047), 2047 << 20),
        "bomb",
        quick=True,
    ),
    Case(
        "docx 2 GB, stated as 1 kB",
        ".docx",
        lambda: zip_entry("word/document.xml", repeat_deflate(_OPEN_DOCX + b"a" * (1 << 20), 2047), 1024),
        "corrupt|bomb",
    ),
    Case(
        "docx 20 M empty paragraphs",
        ".docx",
        lambda: zip_entry("word/document.xml", repeat_deflate(b"<w:p/>" * 200_000, 100), 120_000_000),
        "bomb",
    ),
    Case(
        "docx 400k paragraphs",
        ".docx",
        lambda: docx("".join(f"<w:p><w:r><w:t>{n}</w:t></w:r></w:p>" for n in range(400_000))),
        "parsed|timeout|memory|output",
    ),
    Case(
        "docx 100k levels",
        ".docx",
        lambda: docx("<w:sdt>" * 100_000 + "</w:sdt>" * 100_000),
        "nesting|corrupt|bomb",
        quick=True,
    ),
    Case(
        "docx nested tables",
        ".docx",
        lambda: docx("<w:tbl><w:tr><w:tc>" * 60 + paragraph("x") + "</w:tc></w:tr></w:tbl>" * 60),
        "parsed|nesting",
    ),
    Case("docx part outside", ".docx", lambda: _renamed_part("../../etc/evil"), "bomb"),
    Case("docx absolute part", ".docx", lambda: _renamed_part("/etc/evil"), "bomb"),
    Case("docx duplicate parts", ".docx", _duplicate_parts, "corrupt"),
    Case("docx overlapping parts", ".docx", _overlapping, "bomb|corrupt"),
    Case("docx encrypted parts", ".docx", _encrypted_zip, "encrypted"),
    Case("docx 300k entries", ".docx", _million_entries, "bomb|corrupt"),
    Case(
        "docx wrong checksum",
        ".docx",
        lambda: zip_entry("word/document.xml", repeat_deflate(docx_document("x").encode(), 1), len(docx_document("x"))),
        "corrupt",
    ),
    Case(
        "docx external relations",
        ".docx",
        lambda: docx(
            paragraph("ok"),
            parts={"word/_rels/document.xml.rels": relations({"a": ("image", "file:///etc/passwd")})},
        ),
        "parsed",
    ),
    Case("docx without document", ".docx", lambda: package({"word/other.xml": "<a/>"}), "unsupported|corrupt"),
    Case("docx with password", ".docx", partial(_ole, "EncryptedPackage"), "encrypted", quick=True),
    Case("doc renamed to docx", ".docx", partial(_ole, "WordDocument"), "unsupported"),
    Case(
        "xlsx cell at XFD1048576",
        ".xlsx",
        lambda: xlsx(f'<row r="1">{inline("A1", "a")}</row><row r="1048576">{inline("XFD1048576", "z")}</row>'),
        "parsed",
        quick=True,
    ),
    Case(
        "xlsx row of 16384 cells",
        ".xlsx",
        lambda: xlsx(
            "".join(f'<row r="{r}">' + "".join(f"<c><v>{c}</v></c>" for c in range(16_384)) + "</row>" for r in (1, 2))
        ),
        "bomb",
    ),
    Case(
        "xlsx 1 M shared strings",
        ".xlsx",
        lambda: xlsx(
            "<row><c t='s'><v>0</v></c></row>",
            parts={
                "xl/sharedStrings.xml": '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
                + "<si><t>a</t></si>" * 1_000_000
                + "</sst>"
            },
        ),
        "parsed|bomb|timeout",
    ),
    Case(
        "xlsx string out of range",
        ".xlsx",
        lambda: xlsx("<row><c t='s'><v>99999999999999999999</v></c></row>"),
        "empty",
    ),
    Case(
        "xlsx billion laughs", ".xlsx", lambda: xlsx(f"<row>{inline('A1', '&l10;')}</row>", prologue=_LAUGHS), _ENTITIES
    ),
    Case(
        "xlsx merged cell bomb",
        ".xlsx",
        lambda: xlsx(
            f"<row>{inline('A1', 'merged')}</row></sheetData><mergeCells>"
            + '<mergeCell ref="A1:XFD1048576"/>' * 10_000
            + "</mergeCells><sheetData>"
        ),
        "parsed",
    ),
    Case(
        "xlsx dates that are not",
        ".xlsx",
        lambda: xlsx('<row><c s="0"><v>1e308</v></c><c><v>-1</v></c><c><v>NaN</v></c></row>'),
        "parsed",
    ),
    Case(
        "pptx 6000 slides",
        ".pptx",
        lambda: pptx(
            shape("x"),
            parts={
                "ppt/presentation.xml": '<p:presentation xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main">'
                + "<p:sldId/>" * 6000
                + "</p:presentation>"
            },
        ),
        "bomb|corrupt",
    ),
    Case(
        "pptx nested groups",
        ".pptx",
        lambda: pptx("<p:grpSp>" * 5000 + shape("x") + "</p:grpSp>" * 5000),
        "nesting|corrupt|empty",
    ),
    Case("zip renamed to pptx", ".pptx", lambda: package({"readme.txt": "hello"}), "unsupported", quick=True),
)
