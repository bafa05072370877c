"""Results as JSON on a pipe. The reader trusts nothing: the writer has been handling a hostile document."""

from __future__ import annotations

import json
from typing import Any

from honed.ingest.codes import CODES
from honed.types import Block, Parsed, Rejection

Outcome = Parsed | Rejection


def encode(outcome: Outcome) -> bytes:
    """An outcome as UTF-8 JSON. Lone surrogates, which no database takes, become question marks."""
    if isinstance(outcome, Rejection):
        value: dict[str, Any] = {"code": outcome.code, "reason": outcome.reason, "hint": outcome.hint}
    else:
        value = {
            "title": outcome.title,
            "media_type": outcome.media_type,
            "meta": dict(outcome.meta),
            "warnings": outcome.warnings,
            "blocks": [(block.text, block.headings, block.kind, block.page) for block in outcome.blocks],
        }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def decode(data: bytes) -> Outcome:
    """Read what `encode` wrote, checking every type.

    Raises:
        ValueError: It is not an outcome.
    """
    try:
        value = json.loads(data)
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
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a result: {type(error).__name__}") from error


def _block(text: Any, headings: Any, kind: Any, page: Any) -> Block:
    if kind not in ("text", "table") or not (page is None or isinstance(page, int)):
        raise ValueError("not a block")
    return Block(_text(text), tuple(map(_text, headings)), kind, page)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("not a mapping")
    return value
