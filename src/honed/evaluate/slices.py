"""Queries to named groups, so that a mean cannot hide whom a change hurts. Names and cuts come from the data alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from honed.errors import UsageError
from honed.types import Query

MIN_QUERIES = 20
_VALUES = (2, 12)  # a key with one value splits nothing, one with more than 12 is an identifier
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A named group of queries; `members` is a mask over all of them, shape [queries]."""

    name: str
    members: NDArray[np.bool_]


def build_slices(
    queries: Sequence[Query],
    *,
    overlaps: Sequence[float] | None = None,
    relevant: Sequence[int] | None = None,
    min_queries: int = MIN_QUERIES,
) -> tuple[Slice, ...]:
    """Slices with at least `min_queries` queries each: by length, overlap, relevant documents and metadata.

    Args:
        queries: The queries of one split, in the order of their scores.
        overlaps: For each query, the share of its words that the relevant text has (see `overlap`).
        relevant: For each query, how many documents are relevant to it.
        min_queries: Smaller groups are left out, they would only add noise.
    """
    for name, values in (("overlaps", overlaps), ("relevant", relevant)):
        if values is not None and len(values) != len(queries):
            raise UsageError(
                f"There are {len(queries)} queries and {len(values)} values for '{name}'.", hint="give one a query"
            )
    groups = _terciles([len(_words(query.text)) for query in queries], "length", "words")
    if overlaps is not None:
        groups += _terciles([round(100 * share) for share in overlaps], "word overlap", "%")
    if relevant is not None:
        groups += _terciles(list(relevant), "relevant documents", "")
    groups += _metadata(queries)
    return tuple(group for group in groups if min_queries <= group.members.sum() < len(queries))


def overlap(query: str, relevant: Iterable[str]) -> float:
    """The share of a query's different words that occur in its relevant texts, 0 to 1."""
    words = set(_words(query))
    vocabulary = {word for text in relevant for word in _words(text)}
    return len(words & vocabulary) / len(words) if words else 0.0


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _terciles(values: Sequence[int], label: str, unit: str) -> list[Slice]:
    """Three groups of about equal size, cut between whole numbers; fewer when many values are equal."""
    numbers = np.asarray(values, dtype=np.int64)
    if not len(numbers):
        return []
    cuts = np.unique(np.quantile(numbers, [1 / 3, 2 / 3], method="lower"))
    place = np.searchsorted(cuts, numbers)  # a value equal to a cut belongs below it
    return [
        Slice(f"{label}: {_span(numbers[place == number], unit)}", place == number)
        for number in range(len(cuts) + 1)
        if (place == number).any()
    ]


def _span(numbers: NDArray[np.int64], unit: str) -> str:
    low, high = int(numbers.min()), int(numbers.max())
    span = str(low) if low == high else f"{low} to {high}"
    return span + (unit if unit.startswith("%") else f" {unit}").rstrip()


def _metadata(queries: Sequence[Query]) -> list[Slice]:
    keys = sorted({key for query in queries for key in query.meta})
    slices: list[Slice] = []
    for key in keys:
        values = [_label(query.meta.get(key)) for query in queries]
        counts = Counter(value for value in values if value is not None)
        if not _VALUES[0] <= len(counts) <= _VALUES[1]:
            continue
        slices += [
            Slice(f"{key}: {value}", np.array([own == value for own in values], dtype=np.bool_))
            for value, _ in counts.most_common()
        ]
    return slices


def _label(value: object) -> str | None:
    """A value as text; lists and mappings are no category."""
    return str(value) if isinstance(value, str | int | float | bool) and value != "" else None
