from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import Any

import pytest

from honed.ingest.codes import rejection
from honed.ingest.wire import MOST_PICTURES, decode, encode, frames
from honed.types import Block, Parsed
from tests.ingest.draw import picture, waves

WHOLE = Parsed(
    "Title", (Block("text", ("Head",), "table", 2),), "text/plain", {"a": [1, None]}, ("warning",),
    (picture(waves(1), caption="ünï", near="text", page=2, kind="figure"), picture(waves(2, 9, 5))),
)  # fmt: skip


def test_what_goes_in_comes_out() -> None:
    assert decode(encode(WHOLE)) == WHOLE
    assert decode(encode(rejection("bomb", "why"))) == rejection("bomb", "why")
    assert decode(encode(replace(WHOLE, title="\ud83d"))).title == "?"  # type: ignore[union-attr]


def test_frames_of_a_writer_that_died() -> None:
    one, two = encode(WHOLE), encode(rejection("bomb"))
    assert frames(one + two) == [one, two]
    assert frames(one + two[:-1]) == [one]
    assert frames(one[:5]) == frames(b"") == []
    assert frames(b"\xff" * 8 + one) == [], "lengths that nothing follows"


def forged(pixels: bytes = b"", **changed: Any) -> bytes:
    """A frame whose JSON has other values than an honest writer gives it."""
    value = json.loads(encode(Parsed("t", (), "text/plain"))[8:]) | changed
    text = json.dumps(value).encode()
    return struct.pack("<LL", len(text), len(pixels)) + text + pixels


ROW = (1, 1, 1, 1, "figure", None, "", "")


@pytest.mark.parametrize(
    "frame",
    [
        b"", b"\0" * 7, b"\0" * 8, encode(WHOLE)[:-1], encode(WHOLE) + b"\0",
        forged(b"abc"),
        forged(media=[ROW]),
        forged(b"abcdef", media=[ROW]),
        forged(b"abc", media=[(513, 1, *ROW[2:])]),
        forged(b"", media=[(0, 0, *ROW[2:])]),
        forged(b"abc", media=[(1.0, 1, *ROW[2:])]),
        forged(b"abc", media=[(True, True, *ROW[2:])]),
        forged(b"abc", media=[(-1, -1, *ROW[2:])]),
        forged(b"abc", media=[(1, 1, 1 << 40, 1, *ROW[4:])]),
        forged(b"abc", media=[(*ROW[:4], "other", *ROW[5:])]),
        forged(b"abc", media=[(*ROW[:5], "page", *ROW[6:])]),
        forged(b"abc", media=[(*ROW[:6], 7, "")]),
        forged(b"abc", media=[ROW[:-1]]),
        forged(b"abc", media=7),
        forged(b"abc" * (MOST_PICTURES + 1), media=[ROW] * (MOST_PICTURES + 1)),
        forged(title=3),
        forged(meta=[]),
        forged(code="no such code"),
    ],
)  # fmt: skip
def test_a_forged_result_is_no_result(frame: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(frame)


def test_an_honest_forgery_is_read() -> None:
    outcome = decode(forged(b"abc", media=[ROW]))
    assert isinstance(outcome, Parsed)
    assert outcome.media[0].array.tolist() == [[[97, 98, 99]]]
