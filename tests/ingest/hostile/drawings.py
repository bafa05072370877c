"""SVG that attacks its reader, and documents whose pictures do."""

from __future__ import annotations

import base64
import zlib
from email.message import EmailMessage

from tests.ingest.hostile.case import Case, zlib_bomb
from tests.ingest.hostile.pictures import chunk, picture, png, small
from tests.ingest.packages import A, R, docx, page_pdf, paragraph, relations, stream

_DRAWN = "parsed|bomb|timeout|memory|crash|corrupt|nesting"


def svg(body: str, *, head: str = "", attributes: str = 'width="100" height="100"') -> bytes:
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<?xml version="1.0"?>{head}<svg {names} {attributes}>{body}</svg>'.encode()


def _laughs() -> bytes:
    lines = [f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10)]
    return svg("<text>&l9;</text>", head=f'<!DOCTYPE svg [<!ENTITY l0 "laugh">{"".join(lines)}]>')


def _copies(depth: int, each: int) -> bytes:
    groups = [
        f'<g id="g{n}">{f"""<use href="#g{n - 1}"/>""" * each}</g>'
        if n
        else '<g id="g0"><rect width="1" height="1"/></g>'
        for n in range(depth)
    ]
    return svg("".join(groups) + f'<use href="#g{depth - 1}"/>')


def _filtered(primitive: str) -> bytes:
    everywhere = 'x="-10000%" y="-10000%" width="20100%" height="20100%"'
    return svg(f'<filter id="f" {everywhere}>{primitive}</filter><rect width="90" height="90" filter="url(#f)"/>')


def _embedded(data: bytes, kind: str = "png") -> str:
    return f'<image width="9" height="9" href="data:image/{kind};base64,{base64.b64encode(data).decode()}"/>'


_BOMB = png(30_000, 30_000, b"\x78\x9c" + zlib_bomb(120)[2:])
_OUTSIDE = "file:///etc/passwd"
_TILES = (
    '<pattern id="p" width="1e-6" height="1e-6" patternUnits="userSpaceOnUse"><rect width="1" height="1"/></pattern>'
    '<rect width="99" height="99" fill="url(#p)"/>'
)
_IMPORT = f'<style>@import url("{_OUTSIDE}"); rect {{ fill: url({_OUTSIDE}#a) }}</style><rect width="9" height="9"/>'
_FOREIGN = '<foreignObject><iframe xmlns="http://www.w3.org/1999/xhtml" src="file:///etc/passwd"/></foreignObject>'
_FILES = f'<image width="9" height="9" xlink:href="{_OUTSIDE}"/><image width="9" height="9" href="/etc/passwd"/>'
_CIRCLE = '<g id="a"><use href="#a"/><use href="#b"/></g><g id="b"><use href="#a"/></g>'
_NESTED = svg(_embedded(svg(f'<image href="{_OUTSIDE}" width="9" height="9"/>'), "svg+xml"))
_DATA = "data:image/png;base64,"
_SIZED = "<rect width='9' height='9'/>"
_ENTITY = f'<!DOCTYPE svg [<!ENTITY x SYSTEM "{_OUTSIDE}">]>'
_SECRETS = ("file:///etc/passwd", "/etc/passwd", "../../../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd")
_LINKS = b"# Honest\n\nA line.\n\n![a](/etc/passwd) ![b](../../../etc/passwd) ![c](file:///etc/passwd)\n"

SVG = (
    Case("svg billion laughs", ".svg", _laughs, "xml-entities|bomb", quick=True),
    Case(
        "svg external entity",
        ".svg",
        lambda: svg("<text>&x;</text>", head=_ENTITY),
        "parsed|xml-entities|corrupt",
        quick=True,
    ),
    Case(
        "svg foreign dtd",
        ".svg",
        lambda: svg("<text>hi</text>", head=f'<!DOCTYPE svg SYSTEM "{_OUTSIDE}">'),
        "parsed|xml-entities|corrupt",
    ),
    Case("svg picture of a file", ".svg", lambda: svg(_FILES), "parsed", quick=True),
    Case(
        "svg picture of a server",
        ".svg",
        lambda: svg('<image width="9" height="9" href="http://127.0.0.1:9/x.png"/>'),
        "parsed",
    ),
    Case("svg style that imports", ".svg", lambda: svg(_IMPORT), "parsed"),
    Case(
        "svg script",
        ".svg",
        lambda: svg('<script>while(true){}</script><rect width="9" height="9" onload="alert(1)"/>'),
        "parsed",
    ),
    Case("svg foreign object", ".svg", lambda: svg(_FOREIGN), "parsed"),
    Case("svg that uses itself", ".svg", lambda: svg(_CIRCLE), "parsed|corrupt|nesting|crash", quick=True),
    Case("svg of a billion copies", ".svg", lambda: _copies(10, 10), "bomb", quick=True),
    Case("svg of 50000 copies", ".svg", lambda: _copies(5, 14), _DRAWN),
    Case(
        "svg of a huge view box",
        ".svg",
        lambda: svg(_SIZED, attributes='width="1e9" height="1e9" viewBox="0 0 1e30 1e30"'),
        _DRAWN,
    ),
    Case("svg of no size", ".svg", lambda: svg(_SIZED, attributes='width="0" height="-5" viewBox="0 0 0 0"'), _DRAWN),
    Case("svg of a thin line", ".svg", lambda: svg(_SIZED, attributes='width="1" height="1000000"'), _DRAWN),
    Case("svg blurred without end", ".svg", lambda: _filtered('<feGaussianBlur stdDeviation="1000000"/>'), _DRAWN),
    Case(
        "svg of turbulence",
        ".svg",
        lambda: _filtered('<feTurbulence baseFrequency="0.9" numOctaves="1000000"/>'),
        _DRAWN,
    ),
    Case("svg of morphology", ".svg", lambda: _filtered('<feMorphology operator="dilate" radius="100000"/>'), _DRAWN),
    Case("svg of 2000 filters", ".svg", lambda: _filtered("<feGaussianBlur stdDeviation='9'/>" * 2000), _DRAWN),
    Case("svg of tiny tiles", ".svg", lambda: svg(_TILES), _DRAWN),
    Case(
        "svg of tiny dashes", ".svg", lambda: svg('<path d="M0 0H1e7" stroke="red" stroke-dasharray="1e-5"/>'), _DRAWN
    ),
    Case(
        "svg of a million points", ".svg", lambda: svg(f'<path stroke="red" d="M0 0{"L9 1 3 7" * 500_000}"/>'), _DRAWN
    ),
    Case("svg 100k deep", ".svg", lambda: svg("<g>" * 100_000 + "</g>" * 100_000), "nesting|bomb|corrupt"),
    Case("svg of 300k elements", ".svg", lambda: svg("<g/>" * 300_000), "bomb"),
    Case("svg with a png bomb", ".svg", lambda: svg(_embedded(_BOMB)), _DRAWN),
    Case("svg in svg in svg", ".svg", lambda: svg(_embedded(_NESTED, "svg+xml")), _DRAWN),
    Case("svg of another namespace", ".svg", lambda: b"<?xml version='1.0'?><svg xmlns='urn:x'/>", "corrupt"),
    Case("svg cut in half", ".svg", lambda: svg("<rect width='9' height='9'/>" * 9)[:200], "corrupt"),
)


def _docx(*pictures: bytes) -> bytes:
    """A Word document of one honest line with pictures in it."""
    names = [f"p{number}.png" for number in range(len(pictures))]
    drawn = "".join(
        f'<w:p><w:r><w:drawing><a:blip xmlns:a="{A}" xmlns:r="{R}" r:embed="r{n}"/></w:drawing></w:r></w:p>'
        for n in range(len(names))
    )
    links = relations({f"r{n}": ("image", f"media/{name}") for n, name in enumerate(names)})
    media = {f"word/media/{name}": data for name, data in zip(names, pictures, strict=True)}
    return docx(paragraph("An honest line of text.") + drawn, parts={"word/_rels/document.xml.rels": links, **media})


def _pdf_picture(width: int, height: int, data: bytes) -> bytes:
    entries = (
        f"/Type/XObject/Subtype/Image/Width {width}/Height {height}/BitsPerComponent 8/ColorSpace/DeviceRGB"
        "/Filter/FlateDecode"
    ).encode()
    commands = (
        b"BT /F1 12 Tf 50 700 Td (An honest line of text, longer than a few letters.) Tj ET 400 0 0 200 50 300 cm /I Do"
    )
    return page_pdf(stream(commands), stream(data, entries), resources=b"/XObject<</I 5 0 R>>")


def _mail(data: bytes) -> bytes:
    message = EmailMessage()
    message["Subject"] = "An honest subject"
    message.set_content("An honest line of text.")
    message.add_attachment(data, maintype="image", subtype="png", filename="../../etc/passwd.png")
    return bytes(message)


def _page(*addresses: str) -> bytes:
    return f"<h1>Honest</h1><p>An honest line.</p>{''.join(f'<img src={a!r}>' for a in addresses)}".encode()


INSIDE = (
    Case(
        "docx with bombs for pictures",
        ".docx",
        lambda: _docx(_BOMB, small(chunk(b"zTXt", b"k\0\0" + zlib_bomb(64)))),
        "parsed",
        quick=True,
    ),
    Case("docx of 3000 pictures", ".docx", lambda: _docx(*[picture("PNG")] * 3000), "parsed"),
    Case(
        "pdf with a picture of 30000 x 30000",
        ".pdf",
        lambda: _pdf_picture(30_000, 30_000, b"\x78\x9c" + zlib_bomb(256)[2:]),
        "parsed",
        quick=True,
    ),
    Case("pdf with a picture that lies", ".pdf", lambda: _pdf_picture(5000, 5000, zlib.compress(bytes(99))), "parsed"),
    Case("e-mail with a bomb attached", ".eml", lambda: _mail(_BOMB), "parsed"),
    Case(
        "html with a bomb inside",
        ".html",
        lambda: _page(_DATA + base64.b64encode(_BOMB).decode(), "data:,x", _DATA + "!!"),
        "parsed",
    ),
    Case("html that shows a secret file", ".html", lambda: _page(*_SECRETS), "parsed"),
    Case("markdown that shows a secret file", ".md", lambda: _LINKS, "parsed"),
)

CASES = (*SVG, *INSIDE)
