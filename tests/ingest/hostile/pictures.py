"""Images that ended or hung some decoder."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from PIL import Image

from tests.ingest.hostile.case import Case, patched, zlib_bomb


def _png(width: int, height: int, data: bytes, *, extra: bytes = b"") -> bytes:
    header = _chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def _picture(kind: str, *, keep: float = 1.0, frames: int = 1) -> bytes:

    buffer = io.BytesIO()
    frame = Image.new("RGB", (64, 64), "white")
    options = (
        {"save_all": True, "append_images": [Image.new("RGB", (64, 64), (n % 256, 9, 9)) for n in range(frames - 1)]}
        if frames > 1
        else {}
    )
    frame.save(buffer, kind, **options)
    return buffer.getvalue()[: int(keep * len(buffer.getvalue()))]


def _tiff_loop() -> bytes:
    tags = struct.pack("<HHLL", 256, 4, 1, 8) + struct.pack("<HHLL", 257, 4, 1, 8)
    return b"II*\0" + struct.pack("<L", 8) + struct.pack("<H", 2) + tags + struct.pack("<L", 8)


_IMAGE = "bomb|corrupt|no-text|ocr-missing"


def _empty_zip() -> bytes:
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    return buffer.getvalue()


CASES = (
    Case("png 50k x 50k", ".png", lambda: _png(50_000, 50_000, zlib.compress(bytes(1 << 20))), "bomb", quick=True),
    Case("png 13k x 13k", ".png", lambda: _png(13_000, 13_000, zlib.compress(bytes(13_000 * 1626))), "bomb"),
    Case("png 1 x 2 G", ".png", lambda: _png(1, 0x7FFFFFFF, b""), "bomb|corrupt"),
    Case("png without size", ".png", lambda: _png(0, 0, b""), _IMAGE),
    Case(
        "png text bomb",
        ".png",
        lambda: _png(8, 8, zlib.compress(bytes(16)), extra=_chunk(b"zTXt", b"k\0\0" + zlib_bomb(256))),
        _IMAGE,
    ),
    Case("png wrong checksum", ".png", lambda: patched(_picture("PNG"), b"IDAT", b"IDAt"), _IMAGE),
    Case("png truncated", ".png", lambda: _picture("PNG", keep=0.6), _IMAGE, quick=True),
    Case("jpeg truncated", ".jpg", lambda: _picture("JPEG", keep=0.5), _IMAGE),
    Case("jpeg named png", ".png", lambda: _picture("JPEG"), _IMAGE),
    Case("gif of 2000 frames", ".gif", lambda: _picture("GIF", frames=2000), _IMAGE),
    Case("tiff directory loop", ".tiff", _tiff_loop, _IMAGE),
    Case("webp truncated", ".webp", lambda: _picture("WEBP", keep=0.5), _IMAGE),
    Case(
        "bmp of a lie",
        ".bmp",
        lambda: (
            b"BM"
            + struct.pack("<LLL", 100, 0, 54)
            + struct.pack("<LllHHLLllLL", 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
        ),
        "bomb|corrupt",
    ),
    Case(
        "postscript named png",
        ".png",
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n",
        "unsupported|binary",
    ),
    Case("zip of nothing", ".docx", _empty_zip, "unsupported"),
)
