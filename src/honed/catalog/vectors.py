"""Vectors by (space, hash of what was encoded): read, kept, and dropped when nothing needs them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from honed.catalog.database import BATCH, Catalog
from honed.types import Vectors

_OF_PASSAGE = "EXISTS (SELECT 1 FROM passages p WHERE p.text_hash = vectors.text_hash)"
_OF_IMAGE = "EXISTS (SELECT 1 FROM images i WHERE substr(i.media, 1, 32) = lower(hex(vectors.text_hash)))"


class Stored(NamedTuple):
    """A vector as it lies in the catalog: its bytes may be damaged."""

    space: str
    key: bytes
    data: bytes
    of_image: bool


def held(catalog: Catalog, space: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """Hash -> bytes of the float32 vector, for those of some hashes that have one in a space, a live passage or not."""
    hits: dict[bytes, bytes] = {}
    wanted = sorted(set(keys))
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        marks = ",".join("?" * len(batch))
        question = f"SELECT text_hash, vector FROM vectors WHERE space = ? AND text_hash IN ({marks})"
        hits.update(catalog.execute(question, (space, *batch)).fetchall())
    return hits


def matrix(catalog: Catalog, space: str, keys: Sequence[bytes]) -> Vectors:
    """Unit vectors [len(keys), d] of texts by their hashes, in this order. Raises KeyError for a text that has none."""
    rows = held(catalog, space, keys)
    return np.frombuffer(b"".join(rows[key] for key in keys), np.float32).reshape(len(keys), -1)


def stored(catalog: Catalog) -> Iterator[Stored]:
    """Every vector of every space, one at a time."""
    rows = catalog.execute(f"SELECT space, text_hash, CAST(vector AS BLOB), {_OF_IMAGE} FROM vectors")
    return (Stored(space, key, data, bool(of_image)) for space, key, data, of_image in rows)


def usual_bytes(catalog: Catalog) -> dict[str, int]:
    """Space -> bytes of most of its vectors."""
    rows = catalog.execute(
        "SELECT space, length(CAST(vector AS BLOB)) AS size, count(*) FROM vectors GROUP BY space, size ORDER BY 3"
    )
    return {space: size for space, size, _ in rows}  # the commonest comes last


def forget(catalog: Catalog, keys: Iterable[tuple[str, bytes]]) -> None:
    """Delete vectors by (space, hash), inside the caller's transaction."""
    catalog.executemany("DELETE FROM vectors WHERE space = ? AND text_hash = ?", keys)


def forget_space(catalog: Catalog, space: str) -> None:
    """Delete all vectors of a space, inside the caller's transaction."""
    catalog.execute("DELETE FROM vectors WHERE space = ?", (space,))


def keep_spaces(catalog: Catalog, spaces: Collection[str]) -> int:
    """Delete the vectors of all other spaces, inside the caller's transaction; returns how many."""
    marks = ",".join("?" * len(spaces))
    return catalog.execute(f"DELETE FROM vectors WHERE space NOT IN ({marks})", sorted(spaces)).rowcount


def count_unneeded(catalog: Catalog, spaces: Collection[str] | None) -> int:
    """Number of vectors that `drop_unneeded` would delete."""
    condition, parameters = _unneeded(spaces)
    return int(catalog.execute(f"SELECT count(*) FROM vectors WHERE {condition}", parameters).fetchone()[0])


def drop_unneeded(catalog: Catalog, spaces: Collection[str] | None) -> int:
    """Delete the vectors of no passage and no image, inside the caller's transaction; returns how many.

    Args:
        spaces: Texts' vectors of other spaces than these go too; None keeps every space.
    """
    condition, parameters = _unneeded(spaces)
    return catalog.execute(f"DELETE FROM vectors WHERE {condition}", parameters).rowcount


def _unneeded(spaces: Collection[str] | None) -> tuple[str, list[str]]:
    # Descriptors live as long as their picture: they are the dearest of all vectors, and an encoder may be chosen again.
    if spaces is None:
        return f"NOT {_OF_PASSAGE} AND NOT {_OF_IMAGE}", []
    marks = ",".join("?" * len(spaces))
    return f"NOT {_OF_IMAGE} AND (NOT {_OF_PASSAGE} OR space NOT IN ({marks}))", sorted(spaces)
