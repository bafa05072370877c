"""Images that ended or hung some decoder, or that lie about what they are."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable

from PIL import Image, features

from tests.ingest.hostile.case import Case, patched, repeat_deflate, zlib_bomb

REFUSED = "bomb|corrupt|memory|timeout|crash"
EITHER = f"parsed|{REFUSED}"


def png(width: int, height: int, data: bytes, *, extra: bytes = b"", depth: int = 1, colour: int = 0) -> bytes:
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def small(extra: bytes) -> bytes:
    """An honest 8 x 8 picture with something beside it."""
    return png(8, 8, zlib.compress(bytes(16)), extra=extra)


def picture(kind: str, *, keep: float = 1.0, frames: int = 1, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    frame = Image.new("RGB", (64, 64), "white")
    frame.paste((200, 30, 40), (8, 8, 40, 56))
    if frames > 1:
        more = [Image.new("RGB", (64, 64), (n % 256, n // 256, 9)) for n in range(frames - 1)]
        options |= {"save_all": True, "append_images": more}
    frame.convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()[: int(keep * len(buffer.getvalue()))]


def _wide(width: int, height: int, mode: str = "L", kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height)).save(buffer, kind, **options)
    return buffer.getvalue()


def _noise(side: int, kind: str, mode: str = "RGB") -> bytes:
    bands = len(Image.new(mode, (1, 1)).getbands())
    image = Image.frombytes(mode, (side, side), random.Random(3).randbytes(side * side * bands))
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def _sof(width: int, height: int) -> bytes:
    """A JPEG whose frame header states another size than its data has."""
    data = picture("JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def _scans(times: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = picture("JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * times + b"\xff\xd9"


def _segments(count: int) -> bytes:
    data = picture("JPEG")
    return data[:2] + b"\xff\xee\x00\x08abcdef" * count + data[2:]


def _tiff(*tags: tuple[int, int, int, int], following: int = 0) -> bytes:
    body = b"".join(struct.pack("<HHLL", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<LH", 8, len(tags)) + body + struct.pack("<L", following)


def _tiff_strips(count: int) -> bytes:
    """One row a strip, all strips the same two bytes."""
    offsets = struct.pack("<L", 4) * count
    tags = ((256, 4, 1, 8), (257, 4, 1, count), (258, 3, 1, 1), (259, 3, 1, 1), (262, 3, 1, 1))
    place = 10 + 12 * 8 + 4
    return _tiff(*tags, (273, 4, count, place), (278, 4, 1, 1), (279, 4, count, place)) + offsets


def _webp_lies() -> bytes:
    data = bytearray(picture("WEBP"))
    data[4:8] = struct.pack("<L", 0x7FFFFFF0)
    data[16:20] = struct.pack("<L", 0x7FFFFFF0)
    return bytes(data)


def _bmp(width: int, height: int, bits: int = 24, colours: int = 0) -> bytes:
    header = struct.pack("<LllHHLLllLL", 40, width, height, 1, bits, 0, 0, 0, 0, colours, 0)
    return b"BM" + struct.pack("<LLL", 100, 0, 54) + header + bytes(64)


def _gif_canvas() -> bytes:
    return patched(picture("GIF"), b"\x40\x00\x40\x00", b"\xff\xff\xff\xff", count=1)


def _exif(order: bytes, *entries: bytes, following: int = 0) -> bytes:
    head = b"II*\0" + struct.pack("<L", 8) + struct.pack("<H", len(entries)) + b"".join(entries)
    return b"Exif\0\0" + order + head[len(order) :] + struct.pack("<L", following)


def _exif_loop() -> bytes:
    """Directories that name each other: EXIF, GPS, interoperability, and the next one."""
    entries = [struct.pack("<HHLL", tag, 4, 1, 8) for tag in (0x8769, 0x8825, 0xA005)]
    return picture("JPEG", exif=_exif(b"II", *entries, following=8))


def _turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    return picture("JPEG", exif=exif.tobytes())


def _avif(keep: float) -> bytes:
    return picture("AVIF", keep=keep) if features.check("avif") else b"\0\0\0\x1cftypavif" + bytes(99)


def _animated(frames: int) -> bytes:
    return picture("PNG", frames=frames)


def _truncated(kind: str, suffix: str) -> list[Case]:
    return [
        Case(
            f"{kind.lower()} cut at {keep:.0%}", suffix, lambda kind=kind, keep=keep: picture(kind, keep=keep), REFUSED
        )
        for keep in (0.2, 0.5, 0.8)
    ]


def _empty_zip() -> bytes:
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    return buffer.getvalue()


def _text(kind: bytes, head: bytes, megabytes: int = 256) -> Callable[[], bytes]:
    return lambda: small(chunk(kind, head + zlib_bomb(megabytes)))


_KINDS = (("PNG", ".png"), ("JPEG", ".jpg"), ("GIF", ".gif"), ("TIFF", ".tiff"), ("WEBP", ".webp"), ("BMP", ".bmp"))

BOMBS = (
    Case("png 100k x 100k", ".png", lambda: png(100_000, 100_000, zlib.compress(bytes(1 << 20))), "bomb", quick=True),
    Case("png 50k x 50k", ".png", lambda: png(50_000, 50_000, zlib.compress(bytes(1 << 20))), "bomb"),
    Case("png 13k x 13k", ".png", lambda: png(13_000, 13_000, zlib.compress(bytes(13_000 * 1626))), "bomb"),
    Case("png 1 x 2 G", ".png", lambda: png(1, 0x7FFFFFFF, b""), "bomb|corrupt"),
    Case("png 6300 x 6300 in four channels", ".png", lambda: _wide(6300, 6300, "RGBA"), "parsed|memory"),
    Case("png 6300 x 6300 in 16 bits", ".png", lambda: _wide(6300, 6300, "I;16"), "parsed|memory"),
    Case("png of 1 MB for 4 GB", ".png", lambda: png(8, 8, b"\x78\x9c" + repeat_deflate(bytes(1 << 20), 4096)), EITHER),
    Case("png zTXt bomb", ".png", _text(b"zTXt", b"k\0\0"), EITHER),
    Case("png iTXt bomb", ".png", _text(b"iTXt", b"k\0\1\0\0\0"), EITHER),
    Case("png iCCP bomb", ".png", _text(b"iCCP", b"k\0\0"), EITHER, quick=True),
    Case("png of 300k text chunks", ".png", lambda: small(chunk(b"tEXt", b"k\0v") * 300_000), EITHER),
    Case("gif of a 65535 canvas", ".gif", _gif_canvas, "bomb", quick=True),
    Case("gif of 10000 frames", ".gif", lambda: picture("GIF", frames=10_000), "parsed"),
    Case("png of 1000 frames", ".png", lambda: _animated(1000), "parsed"),
    Case("tiff of 100k strips", ".tiff", lambda: _tiff_strips(100_000), REFUSED),
    Case("tiff of 20k strips", ".tiff", lambda: _tiff_strips(20_000), EITHER),
    Case(
        "tiff that wants 4 GB of offsets",
        ".tiff",
        lambda: _tiff((256, 4, 1, 8), (257, 4, 1, 8), (273, 4, 1 << 30, 8)),
        REFUSED,
    ),
    Case("jpeg 65500 x 65500", ".jpg", lambda: _sof(65_500, 65_500), "bomb"),
    Case("jpeg of 10000 x 10000", ".jpg", lambda: _wide(10_000, 10_000, kind="JPEG"), "parsed"),
    Case(
        "jpeg progressive 10000 x 10000",
        ".jpg",
        lambda: _wide(10_000, 10_000, kind="JPEG", progressive=True),
        "parsed|memory|timeout",
    ),
    Case("jpeg of 20000 scans", ".jpg", lambda: _scans(20_000), EITHER),
    Case("jpeg of 300k segments", ".jpg", lambda: _segments(300_000), EITHER),
    Case(
        "webp 16383 x 16383",
        ".webp",
        lambda: patched(_wide(5000, 5000, "RGB", "WEBP"), struct.pack("<HH", 5000, 5000), b"\xff\x3f\xff\x3f"),
        REFUSED,
    ),
    Case("bmp of a lie", ".bmp", lambda: _bmp(60_000, 60_000), "bomb|corrupt"),
)

LIES = (
    Case("jpeg named png", ".png", lambda: picture("JPEG"), "parsed", quick=True),
    Case("text named png", ".png", lambda: b"A line of text, which is what this is.", "parsed"),
    Case(
        "postscript named png",
        ".png",
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n",
        "unsupported|binary",
    ),
    Case("zip of nothing", ".docx", _empty_zip, "unsupported"),
    Case("jpeg that says 4000 x 4000", ".jpg", lambda: _sof(4000, 4000), EITHER),
    Case("jpeg that says 8 x 8", ".jpg", lambda: _sof(8, 8), EITHER),
    Case("jpeg that says 0 x 0", ".jpg", lambda: _sof(0, 0), REFUSED),
    Case("webp of wrong chunk sizes", ".webp", _webp_lies, EITHER),
    Case("bmp of negative width", ".bmp", lambda: _bmp(-64, 64), REFUSED),
    Case("bmp of negative height", ".bmp", lambda: _bmp(4, -4), EITHER),
    Case("bmp of 4 G colours", ".bmp", lambda: _bmp(8, 8, 8, 0xFFFFFFFF), EITHER),
    Case("png without size", ".png", lambda: png(0, 0, b""), REFUSED),
    Case("png wrong checksum", ".png", lambda: patched(picture("PNG"), b"IDAT", b"IDAt"), REFUSED),
    Case("png of an unknown colour", ".png", lambda: png(8, 8, zlib.compress(bytes(64)), colour=5, depth=8), REFUSED),
    Case("gif of garbage", ".gif", lambda: picture("GIF")[:60] + random.Random(1).randbytes(4000), EITHER),
    Case("tiff directory loop", ".tiff", lambda: _tiff((256, 4, 1, 8), (257, 4, 1, 8), following=8), REFUSED),
    Case(
        "tiff of no bits",
        ".tiff",
        lambda: _tiff((256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 0), (273, 4, 1, 8)),
        REFUSED,
    ),
    Case("exif directories in a loop", ".jpg", _exif_loop, "parsed", quick=True),
    Case(
        "exif of garbage",
        ".jpg",
        lambda: picture("JPEG", exif=b"Exif\0\0" + random.Random(2).randbytes(9000)),
        "parsed",
    ),
    Case("icc of garbage", ".png", lambda: picture("PNG", icc_profile=random.Random(2).randbytes(9000)), "parsed"),
    Case("xmp of entities", ".png", lambda: small(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _LAUGHS)), "parsed"),
    Case("avif cut in half", ".avif", lambda: _avif(0.5), REFUSED),
    Case("heic, which is not read", ".heic", lambda: b"\0\0\0\x18ftypheic" + bytes(200), "unsupported", quick=True),
    *(case for kind, suffix in _KINDS for case in _truncated(kind, suffix)),
)

_LAUGHS = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d SYSTEM "file:///etc/passwd">]>'
    b'<x xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>&c;&d;</dc:title></x>'
)

ODD = (
    Case("png 1 x 1", ".png", lambda: _wide(1, 1), "parsed", quick=True),
    Case("png 1 x 20000", ".png", lambda: _wide(1, 20_000), "parsed"),
    Case("png 1 x 20001", ".png", lambda: _wide(1, 20_001), "bomb"),
    Case("png of 16 bits", ".png", lambda: _wide(64, 64, "I;16"), "parsed"),
    Case("png of one bit", ".png", lambda: picture("PNG", mode="1"), "parsed"),
    Case("png palette with alpha", ".png", lambda: picture("PNG", mode="P", transparency=b"\x00\x80\xff"), "parsed"),
    Case("png grey with alpha", ".png", lambda: picture("PNG", mode="LA"), "parsed"),
    Case("jpeg of cmyk", ".jpg", lambda: picture("JPEG", mode="CMYK"), "parsed", quick=True),
    Case("tiff of lab", ".tiff", lambda: picture("TIFF", mode="LAB"), "parsed"),
    Case("tiff of floats", ".tiff", lambda: picture("TIFF", mode="F"), "parsed"),
    Case("tiff of noise", ".tiff", lambda: _noise(512, "TIFF", "CMYK"), "parsed"),
    *(Case(f"jpeg turned by {turn}", ".jpg", lambda turn=turn: _turned(turn), "parsed") for turn in range(10)),
)

CASES = (*BOMBS, *LIES, *ODD)
