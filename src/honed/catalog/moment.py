"""The catalog as somebody saw it, so that what came and went since can be counted."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from honed.catalog import history, images, judgements
from honed.catalog.database import Catalog


@dataclass(frozen=True, slots=True)
class Moment:
    """The contents of the catalog at one time.

    Attributes:
        at: When, in UTC.
        live: Number of the release that was live.
        documents: Row ids; a changed document has a new one.
        questions: What is judged relevant to each question.
        pictures: Group, variant and split of each picture.
    """

    at: str = field(default_factory=history.now)
    live: int | None = None
    documents: frozenset[int] = frozenset()
    questions: Mapping[str, Hashable] = field(default_factory=dict)
    pictures: Mapping[str, Hashable] = field(default_factory=dict)


class News(NamedTuple):
    """Numbers of documents that came and went since a moment, and of labels (questions or pictures) that changed."""

    came: int
    went: int
    labels: int


def moment(catalog: Catalog) -> Moment:
    """The catalog as it is now."""
    with catalog.snapshot():
        return Moment(
            live=history.live_release(catalog),
            documents=frozenset(row[0] for row in catalog.execute("SELECT rowid FROM documents")),
            questions={query: frozenset(judged.items()) for query, judged in judgements.qrels(catalog).items()},
            pictures=images.grouped(catalog),
        )


def since(catalog: Catalog, then: Moment) -> News:
    """Count what changed since a moment."""
    now = moment(catalog)
    labels = _differing(then.questions, now.questions) + _differing(then.pictures, now.pictures)
    return News(len(now.documents - then.documents), len(then.documents - now.documents), labels)


def _differing(then: Mapping[str, Hashable], now: Mapping[str, Hashable]) -> int:
    return sum(then.get(name) != now.get(name) for name in then.keys() | now.keys())
