"""What the indexes read from a catalog, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from honed.types import Vectors

RowIds = NDArray[np.int64]
"""Numbers of passages in the catalog, shape [n]."""


class IndexRow(NamedTuple):
    """A live passage as BM25 sees it: `context` is title and heading path, `terms` are filters such as "lang=en"."""

    rowid: int
    context: str
    text: str
    terms: tuple[str, ...] = ()


class Change(Protocol):
    """A passage came or went. `op` is "add" or "remove"."""

    @property
    def seq(self) -> int:
        """Number of the change, rising."""

    @property
    def rowid(self) -> int:
        """The passage."""

    @property
    def op(self) -> str:
        """Either "add" or "remove"."""


class Catalog(Protocol):
    """The four questions that an index asks the truth."""

    @property
    def seq(self) -> int:
        """Number of the last change to passages; 0 when there was none."""

    def changes_since(self, seq: int) -> Sequence[Change]:
        """Changes with a number above `seq`, in order."""

    def index_rows(self, rowids: RowIds | None = None) -> Iterator[tuple[int, str, str, tuple[str, ...]]]:
        """Live passages (all, or those of `rowids` that live) as the fields of an `IndexRow`."""

    def vectors(self, space: str, rowids: RowIds | None = None) -> tuple[RowIds, Vectors]:
        """Live passages that have a vector in a space, and the vectors [n, dimension]."""


def net_changes(changes: Sequence[Change]) -> tuple[RowIds, RowIds]:
    """The rows that changed at all, and those of them that live now; both sorted.

    Replaying is "forget every changed row, then add the living ones", which gives the same result however often a
    change is replayed and even when a row number is used again for another passage.
    """
    last = {change.rowid: change.op for change in changes}
    changed = np.array(sorted(last), np.int64)
    return changed, np.array(sorted(rowid for rowid, op in last.items() if op == "add"), np.int64)
