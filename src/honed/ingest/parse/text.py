"""Bytes to text: byte order marks first, then UTF-8, then what charset-normalizer finds likeliest."""

from __future__ import annotations

import codecs
from typing import BinaryIO

from charset_normalizer import from_bytes

from honed.ingest.codes import Refused

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 1 << 16
MOST_BYTES = 48 << 20
"""A text file of more holds more than one document may have."""


def read_text(source: BinaryIO) -> str:
    """The whole text of a file, with line ends as "\\n".

    Raises:
        Refused: `binary`, `too-big`.
    """
    data = source.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise Refused("too-big", f"more than {MOST_BYTES >> 20} MB of text")
    return decode(data)


def decode(data: bytes) -> str:
    """Text from bytes in any encoding; bytes that do not fit become U+FFFD.

    Raises:
        Refused: `binary`: no encoding makes text of it.
    """
    text = _decode(data)
    if text.count("\0") > len(text) // 100:
        raise Refused("binary")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decode(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    if b"\0" in data[:_SAMPLE]:
        even, odd = data[0:_SAMPLE:2].count(0), data[1:_SAMPLE:2].count(0)
        if max(even, odd) > min(len(data), _SAMPLE) // 4:
            return data.decode("utf-16-be" if even > odd else "utf-16-le", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        # Mostly UTF-8 with a bad byte here and there is still UTF-8.
        if error.start > _SAMPLE or _is_nearly_utf8(data[:_SAMPLE]):
            return data.decode("utf-8", "replace")
    best = from_bytes(_around_the_first_high_byte(data)).best()
    if best is None:
        raise Refused("binary")
    return data.decode(best.encoding, "replace")


def _is_nearly_utf8(sample: bytes) -> bool:
    text = sample.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    return sum(char > "\x7f" for char in text) > 10 * bad


def _around_the_first_high_byte(data: bytes) -> bytes:
    first = next((index for index, byte in enumerate(data) if byte > 0x7F), 0)
    start = max(0, first - _SAMPLE // 2)
    return data[start : start + _SAMPLE]
