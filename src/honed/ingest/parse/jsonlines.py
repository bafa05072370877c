"""JSON Lines and JSON: one section a record; the keys id, title and text are understood, other texts are listed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from honed.ingest.codes import Refused
from honed.ingest.outline import Outline
from honed.ingest.parse import Job
from honed.ingest.parse.text import read_text
from honed.types import Parsed

_IDS = ("_id", "id", "doc_id", "docid", "key")
_TITLES = ("title", "name", "heading", "subject", "question")
_TEXTS = ("text", "body", "content", "contents", "abstract", "passage", "description", "answer")
_MOST_WARNINGS = 5
_DEEPEST = 40


def parse(source: BinaryIO, job: Job) -> Parsed:
    """One block a record under the record's title."""
    outline, bad = Outline(), _BadLines()
    text = read_text(source)
    records = _document(text) if job.media_type == "application/json" else _lines(text, bad)
    count = 0
    for count, record in enumerate(records, 1):  # noqa: B007  (the number is used after the loop)
        _add(record, outline)
    if bad.count and not count:
        raise Refused("corrupt", bad.first)
    return Parsed(job.stem, outline.finish(), job.media_type, {"records": count}, bad.warnings())


class _BadLines:
    def __init__(self) -> None:
        self.count = 0
        self.first = ""
        self._numbers: list[int] = []

    def add(self, number: int, error: Exception) -> None:
        self.first = self.first or f"line {number}: {error}"
        self.count += 1
        self._numbers = [*self._numbers, number][:_MOST_WARNINGS]

    def warnings(self) -> tuple[str, ...]:
        if not self.count:
            return ()
        return (f"{self.count} lines are not JSON and were left out: {', '.join(map(str, self._numbers))}",)


def _lines(text: str, bad: _BadLines) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                bad.add(number, error)


def _document(text: str) -> Iterator[Any]:
    try:
        value = json.loads(text)
    except ValueError:
        # Many files named .json hold one record a line.
        bad = _BadLines()
        yield from _lines(text, bad)
        if bad.count:
            raise Refused("corrupt", bad.first) from None
        return
    yield from value if isinstance(value, list) else [value]


def _add(record: Any, outline: Outline) -> None:
    if not isinstance(record, dict):
        outline.add("\n".join(_facts(record, "")))
        return
    names = {str(key).lower(): key for key in reversed(record)}
    title = next((record[names[key]] for key in _TITLES if key in names and _is_word(record[names[key]])), "")
    label = title or next((record[names[key]] for key in _IDS if key in names and _is_word(record[names[key]])), "")
    body = [key for key in _TEXTS if key in names and isinstance(record[names[key]], str)]
    used = {names[key] for key in (*body, *_IDS) if key in names}
    used |= {key for key, value in record.items() if value is label}
    parts = [record[names[key]] for key in body]
    for key, value in record.items():
        if key not in used:
            parts += _facts(value, str(key))
    outline.heading(1, str(label)[:300])
    outline.add("\n".join(part for part in parts if part.strip()))


def _is_word(value: Any) -> bool:
    return (isinstance(value, str) and bool(value.strip())) or (isinstance(value, int) and not isinstance(value, bool))


def _facts(value: Any, name: str, depth: int = 0) -> Iterator[str]:
    """The leaves of a value as lines "name: value"."""
    if depth > _DEEPEST:
        raise Refused("nesting")
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _facts(item, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(value, list):
        if all(not isinstance(item, dict | list) for item in value):
            yield from _facts(", ".join(str(item) for item in value if item is not None), name, depth + 1)
        else:
            for item in value:
                yield from _facts(item, name, depth + 1)
    elif isinstance(value, str):
        if value.strip():
            yield f"{name}: {value}" if name else value
    elif value is not None:
        yield f"{name}: {_number(value)}" if name else _number(value)


def _number(value: Any) -> str:
    limit = sys.get_int_max_str_digits()
    try:
        return str(value)
    except ValueError as error:
        raise Refused("corrupt", f"a number has more than {limit} digits") from error
