"""The split of every question and picture that there ever was: written once, also when what it belongs to is gone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from honed.catalog.database import Catalog
from honed.types import SPLITS, Split

Kind = Literal["question", "picture"]

_OWED = "splits of pictures"
"""Key in `meta` of a workspace made by a version that drew the splits of pictures anew each time."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Splits by (name, content), by content for what comes under another name, by name for what changed.

    Content goes before name: names that are row numbers shift, and what was learned from stays learned from.
    """

    rows: dict[tuple[str, str], Split]
    names: dict[str, Split]
    contents: dict[str, Split]

    def of(self, name: str, content: str) -> Split | None:
        """The stored split of a question or picture, or None if it is new."""
        return self.rows.get((name, content)) or self.contents.get(content) or self.names.get(name)


def stored(catalog: Catalog, kind: Kind) -> Stored:
    """All splits of a kind. A content that stands in several is train's: there it may have been learned from."""
    rows = catalog.execute("SELECT name, content, split FROM splits WHERE kind = ?", (kind,)).fetchall()
    rows.sort(key=lambda row: -SPLITS.index(row[2]))
    names, contents = ({row[column]: row[2] for row in rows} for column in (0, 1))
    return Stored({(name, content): split for name, content, split in rows}, names, contents)


def keep(catalog: Catalog, kind: Kind, rows: Iterable[tuple[str, str, Split]]) -> None:
    """Store (name, content, split), inside the caller's transaction; what is stored already keeps its split.

    That of a question is final; that of a picture is as soon as a run takes it (`finish`).
    """
    before = stored(catalog, kind)
    catalog.executemany(
        "INSERT INTO splits VALUES (?, ?, ?, ?, ?)",
        (
            (kind, name, content, before.of(name, content) or split, int(kind == "question"))
            for name, content, split in dict.fromkeys(rows)
            if (name, content) not in before.rows
        ),
    )


def finish(catalog: Catalog, kind: Kind, names: Iterable[str]) -> None:
    """Make stored splits final, in one transaction: a run is about to learn from what they hold."""
    with catalog.transaction():
        catalog.executemany("UPDATE splits SET final = 1 WHERE kind = ? AND name = ?", ((kind, name) for name in names))


def drop_unused(catalog: Catalog, kind: Kind, names: Iterable[str]) -> None:
    """Forget the splits that no run has taken, inside the caller's transaction; those that are final stay."""
    catalog.executemany(
        "DELETE FROM splits WHERE kind = ? AND name = ? AND NOT final", ((kind, name) for name in names)
    )


def pictures_owed(catalog: Catalog) -> bool:
    """Whether the workspace is of a version that did not store the splits of pictures, and still has to."""
    return catalog.execute("SELECT 1 FROM meta WHERE key = ?", (_OWED,)).fetchone() is not None


def pictures_paid(catalog: Catalog) -> None:
    """Note that they are stored now."""
    with catalog.transaction():
        catalog.execute("DELETE FROM meta WHERE key = ?", (_OWED,))
