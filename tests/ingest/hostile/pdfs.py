"""PDF files that ended or hung some reader."""

from __future__ import annotations

import zlib
from functools import partial

from tests.ingest.hostile.case import Case, patched, zlib_bomb
from tests.ingest.packages import CATALOG, FONT, page_pdf, pdf, stream, text_pdf

_HELLO = stream(b"BT /F1 12 Tf 72 700 Td (Hello) Tj ET")
_GOOD_PDF = text_pdf([(12, 700, "A small and honest page of text.")])


def _double_flate() -> bytes:
    inner = zlib.compress(zlib_bomb(1024), 9)
    return page_pdf(stream(inner, b"/Filter[/FlateDecode/FlateDecode]"))


def _nested_forms(levels: int = 24, width: int = 10) -> bytes:
    draw = b" ".join([b"/X Do"] * width)
    forms = []
    for level in range(levels):
        inside = b"/XObject<</X %d 0 R>>" % (6 + level) if level < levels - 1 else FONT
        content = draw if level < levels - 1 else b"BT /F1 9 Tf (x) Tj ET"
        forms.append(stream(content, b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<<%b>>" % inside))
    return page_pdf(stream(draw), *forms, resources=b"/XObject<</X 5 0 R>>")


def _many_pages(count: int) -> bytes:
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"
    return pdf([CATALOG, b"<</Type/Pages/Count %d/Kids[%b]>>" % (count, b"3 0 R " * count), page])


def _encrypted_pdf() -> bytes:
    locked = b"/Encrypt<</Filter/Standard/V 2/R 3/Length 128/P -1/O(%b)/U(%b)>>/ID[(a)(a)]" % (b"o" * 32, b"u" * 32)
    return pdf(
        [CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 1>>", b"<</Type/Page/Parent 2 0 R/Contents 4 0 R>>", _HELLO],
        trailer=locked,
    )


def _lzw_of_zeros() -> bytes:
    return page_pdf(stream(b"\x80\x0b\x60\x50\x22\x0c\x0c\x85\x01" * 50_000, b"/Filter/LZWDecode"))


def _image_xobject(width: int, height: int, data: bytes, entries: bytes) -> bytes:
    return stream(
        data,
        b"/Type/XObject/Subtype/Image/Width %d/Height %d/BitsPerComponent 8/ColorSpace/DeviceRGB%b"
        % (width, height, entries),
    )


_FATAL = "bomb|timeout|memory|corrupt|crash|empty|no-text|ocr-missing"
_BROKEN = "corrupt|empty|crash|timeout"


CASES = (
    Case("pdf header only", ".pdf", lambda: b"%PDF-1.7\n", "corrupt|empty", quick=True),
    Case("pdf truncated", ".pdf", lambda: _GOOD_PDF[: len(_GOOD_PDF) // 2], f"{_BROKEN}|parsed", quick=True),
    Case("pdf junk before header", ".pdf", lambda: b"junk " * 150 + _GOOD_PDF, f"{_BROKEN}|parsed"),
    Case("pdf flate 1 GB", ".pdf", lambda: page_pdf(stream(zlib_bomb(1024), b"/Filter/FlateDecode")), _FATAL),
    Case("pdf flate in flate", ".pdf", _double_flate, _FATAL, quick=True),
    Case("pdf nested forms", ".pdf", _nested_forms, _FATAL, quick=True),
    Case(
        "pdf self-drawing form",
        ".pdf",
        lambda: page_pdf(
            stream(b"/X Do"),
            stream(b"/X Do " * 9, b"/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 5 0 R>>>>"),
            resources=b"/XObject<</X 5 0 R>>",
        ),
        _FATAL,
    ),
    Case(
        "pdf 5 M text operators",
        ".pdf",
        lambda: page_pdf(stream(b"BT /F1 9 Tf " + b"(a)Tj " * 5_000_000, deflate=True)),
        _FATAL,
    ),
    Case("pdf 500k page references", ".pdf", partial(_many_pages, 500_000), _FATAL),
    Case(
        "pdf page tree loop",
        ".pdf",
        lambda: pdf([CATALOG, b"<</Type/Pages/Count 9/Kids[2 0 R 2 0 R]>>"]),
        _BROKEN,
        quick=True,
    ),
    Case(
        "pdf page tree of two loops",
        ".pdf",
        lambda: pdf(
            [CATALOG, b"<</Type/Pages/Count 9/Kids[3 0 R]>>", b"<</Type/Pages/Count 9/Parent 2 0 R/Kids[2 0 R]>>"]
        ),
        _BROKEN,
    ),
    Case(
        "pdf count of a billion",
        ".pdf",
        lambda: pdf([CATALOG, b"<</Type/Pages/Count 1000000000/Kids[]>>"]),
        f"{_FATAL}",
    ),
    Case(
        "pdf 300k nested arrays",
        ".pdf",
        lambda: page_pdf(_HELLO, b"[" * 300_000 + b"]" * 300_000),
        "parsed|nesting|corrupt|crash|timeout|memory",
    ),
    Case(
        "pdf nested arrays as page",
        ".pdf",
        lambda: pdf([CATALOG, b"<</Kids[" + b"[" * 100_000 + b"]" * 100_000 + b"]>>"]),
        f"{_FATAL}|nesting",
    ),
    Case(
        "pdf xref loop",
        ".pdf",
        lambda: patched(_GOOD_PDF, b"/Root 1 0 R", b"/Root 1 0 R/Prev %d" % _GOOD_PDF.rfind(b"xref\n0")),
        f"parsed|{_BROKEN}",
    ),
    Case("pdf no root", ".pdf", lambda: patched(_GOOD_PDF, b"/Root 1 0 R", b""), f"parsed|{_BROKEN}"),
    Case(
        "pdf stream length of 2 GB",
        ".pdf",
        lambda: patched(page_pdf(_HELLO), b"/Length 36", b"/Length 2147483647"),
        f"parsed|{_BROKEN}",
    ),
    Case("pdf encrypted", ".pdf", _encrypted_pdf, "encrypted", quick=True),
    Case("pdf lzw", ".pdf", _lzw_of_zeros, _FATAL),
    Case("pdf run length", ".pdf", lambda: page_pdf(stream(b"\x81 " * 4_000_000, b"/Filter/RunLengthDecode")), _FATAL),
    Case("pdf huge media box", ".pdf", lambda: page_pdf(_HELLO, box=b"0 0 14400000 14400000"), f"parsed|{_FATAL}"),
    Case("pdf media box not a number", ".pdf", lambda: page_pdf(_HELLO, box=b"nan -1 1e999 x"), f"parsed|{_FATAL}"),
    Case(
        "pdf huge image",
        ".pdf",
        lambda: page_pdf(
            stream(b"612 0 0 792 0 0 cm /I Do"),
            _image_xobject(60_000, 60_000, zlib_bomb(64), b"/Filter/FlateDecode"),
            resources=b"/XObject<</I 5 0 R>>",
        ),
        f"parsed|{_FATAL}",
    ),
    Case(
        "pdf launches and scripts",
        ".pdf",
        lambda: pdf(
            [
                b"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/Launch/F(/bin/sh)>>/AA<</WC<</S/JavaScript/JS(app.alert(1))>>>>>>",
                b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
                b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Resources<<%b>>/Contents 4 0 R>>" % FONT,
                _HELLO,
            ]
        ),
        "parsed",
    ),
    Case(
        "pdf external stream",
        ".pdf",
        lambda: page_pdf(b"<</Length 0/F(/etc/passwd)/FFilter[]>>\nstream\n\nendstream"),
        _BROKEN,
    ),
)
