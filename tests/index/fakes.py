"""A catalog that is a list of changes in a file: every process that opens it sees the same truth."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from honed.index.rows import RowIds
from honed.types import Vectors

SPACE = "ab12" * 16
DIMENSION = 24


@dataclass(frozen=True)
class Line:
    seq: int
    rowid: int
    op: str
    text: str = ""
    context: str = ""
    terms: tuple[str, ...] = ()
    embedded: bool = True


def vector(rowid: int, text: str) -> Vectors:
    """The vector of a passage: of its own, and another one when its text is another one."""
    found = np.random.default_rng([rowid, len(text)]).standard_normal(DIMENSION).astype(np.float32)
    return found / np.linalg.norm(found)


class LogCatalog:
    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self) -> list[Line]:
        found = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [Line(seq, **{**value, "terms": tuple(value.get("terms", ()))}) for seq, value in enumerate(found, 1)]

    def write(self, *changes: dict[str, object]) -> None:
        with self.path.open("a") as file:
            file.writelines(json.dumps(change) + "\n" for change in changes)

    def add(self, *rowids: int, text: str = "word{0} plain", **more: object) -> None:
        self.write(*({"op": "add", "rowid": rowid, "text": text.format(rowid), **more} for rowid in rowids))

    def remove(self, *rowids: int) -> None:
        self.write(*({"op": "remove", "rowid": rowid} for rowid in rowids))

    def live(self) -> dict[int, Line]:
        found: dict[int, Line] = {}
        for line in self.lines():
            found.pop(line.rowid, None)
            if line.op == "add":
                found[line.rowid] = line
        return dict(sorted(found.items()))

    @property
    def seq(self) -> int:
        return len(self.lines())

    def changes_since(self, seq: int) -> Sequence[Line]:
        return self.lines()[seq:]

    def index_rows(self, rowids: RowIds | None = None) -> Iterator[tuple[int, str, str, tuple[str, ...]]]:
        for rowid, line in self.live().items():
            if rowids is None or rowid in rowids:
                yield rowid, line.context, line.text, line.terms

    def vectors(self, space: str, rowids: RowIds | None = None) -> tuple[RowIds, Vectors]:
        live = {rowid: line for rowid, line in self.live().items() if rowids is None or rowid in rowids}
        found = {rowid: vector(rowid, line.text) for rowid, line in live.items() if line.embedded and space == SPACE}
        if not found:
            return np.empty(0, np.int64), np.empty((0, 0), np.float32)
        return np.array(list(found), np.int64), np.stack(list(found.values()))
