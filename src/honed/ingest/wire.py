"""Results on a pipe: JSON, and the pixels of pictures after it. The reader trusts nothing: the writer handled a hostile file."""

from __future__ import annotations

import json
import struct
from typing import Any

from honed.ingest.codes import CODES
from honed.ingest.rendering import SIDE
from honed.types import Block, Parsed, Picture, Rejection

Outcome = Parsed | Rejection

MOST_PICTURES = 512
"""Of one document."""

BEGUN = b"+"
"""What a child writes before its first result, once it is confined: what ends it from here on may be the document."""

_MOST_SIDE = 1 << 20
_HEAD = struct.Struct("<LL")


def encode(outcome: Outcome) -> bytes:
    """An outcome as a frame: two lengths, UTF-8 JSON, pixels. Lone surrogates, which no database takes, become "?"."""
    pixels = b""
    if isinstance(outcome, Rejection):
        value: dict[str, Any] = {"code": outcome.code, "reason": outcome.reason, "hint": outcome.hint}
    else:
        value = {
            "title": outcome.title,
            "media_type": outcome.media_type,
            "meta": dict(outcome.meta),
            "warnings": outcome.warnings,
            "blocks": [(block.text, block.headings, block.kind, block.page) for block in outcome.blocks],
            "media": [
                (
                    *picture.size,
                    picture.width,
                    picture.height,
                    picture.kind,
                    picture.page,
                    picture.caption,
                    picture.near,
                )
                for picture in outcome.media
            ],
        }
        pixels = b"".join(picture.pixels for picture in outcome.media)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return _HEAD.pack(len(text), len(pixels)) + text + pixels


def frames(data: bytes) -> list[bytes]:
    """The whole frames that data begins with; what a writer that died left of its last one is dropped."""
    pieces, start = [], 0
    while start + _HEAD.size <= len(data):
        end = start + _HEAD.size + sum(_HEAD.unpack_from(data, start))
        if end > len(data):
            break
        pieces.append(data[start:end])
        start = end
    return pieces


def decode(frame: bytes) -> Outcome:
    """Read what `encode` wrote, checking every type and every size.

    Raises:
        ValueError: It is not an outcome.
    """
    try:
        text, rest = _HEAD.unpack_from(frame)
        if len(frame) != _HEAD.size + text + rest:
            raise ValueError("a frame of another length than it says")
        value = json.loads(frame[_HEAD.size : _HEAD.size + text])
        if "code" in value:
            if value["code"] not in CODES:
                raise ValueError(f"unknown code {value['code']!r}")
            return Rejection(value["code"], str(value["reason"]), str(value["hint"]))
        return Parsed(
            title=_text(value["title"]),
            blocks=tuple(_block(*row) for row in value["blocks"]),
            media_type=_text(value["media_type"]),
            meta=_mapping(value["meta"]),
            warnings=tuple(map(_text, value["warnings"])),
            media=_pictures(value["media"], frame[_HEAD.size + text :]),
        )
    except (KeyError, TypeError, RecursionError, struct.error) as error:
        raise ValueError(f"not a result: {type(error).__name__}") from error


def _block(text: Any, headings: Any, kind: Any, page: Any) -> Block:
    if kind not in ("text", "table") or not (page is None or isinstance(page, int)):
        raise ValueError("not a block")
    return Block(_text(text), tuple(map(_text, headings)), kind, page)


def _pictures(rows: Any, pixels: bytes) -> tuple[Picture, ...]:
    if len(rows) > MOST_PICTURES:
        raise ValueError(f"{len(rows)} pictures")
    pictures, start = [], 0
    for across, down, width, height, kind, page, caption, near in rows:
        if kind not in ("file", "figure", "page") or not (page is None or isinstance(page, int)):
            raise ValueError("not a picture")
        end = start + 3 * _length(across, SIDE) * _length(down, SIDE)
        size = _length(width, _MOST_SIDE), _length(height, _MOST_SIDE)
        pictures.append(Picture(pixels[start:end], (across, down), *size, kind, page, _text(caption), _text(near)))
        start = end
    if start != len(pixels):
        raise ValueError("pixels of another number than the sizes say")
    return tuple(pictures)


def _length(value: Any, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= most:
        raise ValueError("not a size")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("not a mapping")
    return value
