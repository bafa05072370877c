"""A hostile case, and the compressed streams that several formats hide bombs in."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PARSED = "parsed"
SECRET = "root:x:0:0"
"""What /etc/passwd begins with; no outcome may hold it."""


@dataclass(frozen=True)
class Case:
    """A file and how it may end.

    Attributes:
        name: What is wrong with it.
        suffix: Its extension.
        build: Makes its bytes.
        allowed: "parsed" or codes, with bars between them.
        quick: Part of the default test run.
    """

    name: str
    suffix: str
    build: Callable[[], bytes]
    allowed: str
    quick: bool = False

    def write(self, folder: Path) -> Path:
        path = folder / f"{self.name.replace(' ', '-')}{self.suffix}"
        path.write_bytes(self.build())
        return path


def repeat_deflate(piece: bytes, times: int) -> bytes:
    """A raw deflate stream of a piece many times over, without compressing it many times."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeeze.compress(piece) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return block * times + squeeze.flush(zlib.Z_FINISH)


def zlib_bomb(megabytes: int) -> bytes:
    return b"\x78\x9c" + repeat_deflate(bytes(1 << 20), megabytes) + b"\0\0\0\0"


def zip_entry(name: str, packed: bytes, size: int) -> bytes:
    """A ZIP that holds one entry with a stated size and no matching checksum."""
    raw = name.encode()
    common = struct.pack("<HHHHHLLLHH", 20, 0, 8, 0, 33, 0, len(packed), size, len(raw), 0)
    local = b"PK\x03\x04" + common + raw + packed
    central = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHLL", 0, 0, 0, 0, 0) + raw
    end = b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


def patched(data: bytes, old: bytes, new: bytes, *, count: int = -1) -> bytes:
    assert old in data
    return data.replace(old, new, count)
