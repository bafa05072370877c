"""Queries, judgements and reference answers, with the split that each query belongs to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal

from honed.catalog import splits
from honed.catalog.database import Catalog
from honed.catalog.schema import question_key
from honed.types import Qrel, Query, Split

Origin = Literal["import", "labels", "proxy"]


def add(catalog: Catalog, queries: Iterable[Query], qrels: Iterable[Qrel], *, origin: Origin) -> None:
    """Insert or replace queries and their judgements, inside the caller's transaction; a split that is stored stays."""
    many = catalog.executemany
    queries, stored = list(queries), splits.stored(catalog, "question")
    many("DELETE FROM queries WHERE id = ?", ((query.id,) for query in queries))
    many(
        "INSERT INTO queries VALUES (?, ?, ?, ?, ?)",
        (
            (
                q.id,
                q.text,
                stored.of(q.id, question_key(q.text)) or q.split,
                json.dumps(dict(q.meta), ensure_ascii=False),
                origin,
            )
            for q in queries
        ),
    )
    many(
        "INSERT OR REPLACE INTO qrels VALUES (?, ?, ?)",
        ((qrel.query, qrel.document, qrel.grade) for qrel in qrels if qrel.grade > 0),
    )


def add_answers(catalog: Catalog, answers: Iterable[tuple[str, str]]) -> None:
    """Reference answers by query id, inside the caller's transaction."""
    catalog.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", answers)


def queries(catalog: Catalog, split: Split, *, origins: Sequence[Origin] = ("import", "labels")) -> list[Query]:
    """Queries of a split that have at least one judged document in the catalog, by id."""
    marks = ",".join("?" * len(origins))
    rows = catalog.execute(
        "SELECT id, text, split, meta FROM queries WHERE split = ?"
        f" AND origin IN ({marks}) AND EXISTS (SELECT 1 FROM qrels r JOIN documents d ON d.external_id = r.document"
        " WHERE r.query = queries.id) ORDER BY id",
        (split, *origins),
    )
    return [Query(row[0], row[1], row[2], json.loads(row[3])) for row in rows]


def qrels(catalog: Catalog, split: Split | None = None) -> dict[str, dict[str, int]]:
    """Query id -> document external id -> grade, for one split or for all."""
    rows = catalog.execute(
        "SELECT r.query, r.document, r.grade FROM qrels r JOIN queries q ON q.id = r.query"
        " WHERE ? IS NULL OR q.split = ? ORDER BY r.query, r.document",
        (split, split),
    )
    grades: dict[str, dict[str, int]] = {}
    for query, document, grade in rows:
        grades.setdefault(query, {})[document] = grade
    return grades


def by_origin(catalog: Catalog, origins: Sequence[Origin]) -> list[tuple[Query, Origin]]:
    """All queries of some origins, by id, judged or not; the split of one that is not stored is the one that it came with."""
    marks = ",".join("?" * len(origins))
    rows = catalog.execute(
        f"SELECT id, text, split, origin FROM queries WHERE origin IN ({marks}) ORDER BY id", tuple(origins)
    )
    return [(Query(row[0], row[1], row[2]), row[3]) for row in rows]


def set_splits(catalog: Catalog, chosen: dict[str, Split]) -> None:
    """Store the split of queries for good, inside the caller's transaction; one that is stored already stays as it is."""
    texts = dict(catalog.execute("SELECT id, text FROM queries"))
    rows = [(name, question_key(texts[name]), split) for name, split in chosen.items() if name in texts]
    splits.keep(catalog, "question", rows)
    catalog.executemany(
        "UPDATE queries SET split ="
        " (SELECT s.split FROM splits s WHERE s.kind = 'question' AND s.name = queries.id AND s.content = ?) WHERE id = ?",
        ((content, name) for name, content, _ in rows),
    )


def texts(catalog: Catalog) -> Iterator[str]:
    """The text of every query."""
    return (text for (text,) in catalog.execute("SELECT text FROM queries"))


def forget_proxies(catalog: Catalog) -> None:
    """Delete the titles that stand in for questions, inside the caller's transaction."""
    catalog.execute("DELETE FROM queries WHERE origin = 'proxy'")


def forget_lost_proxies(catalog: Catalog) -> int:
    """Delete those whose documents are gone, inside the caller's transaction; returns how many."""
    return catalog.execute(
        "DELETE FROM queries WHERE origin = 'proxy' AND NOT EXISTS (SELECT 1 FROM qrels r"
        " JOIN documents d ON d.external_id = r.document WHERE r.query = queries.id)"
    ).rowcount


_ASKED = "queries of "
"""Before the folder in the key under which the catalog remembers which queries came with it."""


def note_imported(catalog: Catalog, folder: str, names: Iterable[str]) -> None:
    """Remember which queries (by id) came with a folder, inside the caller's transaction."""
    catalog.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_ASKED + folder, json.dumps(list(names))))


def forget_imported(catalog: Catalog, folders: Iterable[str], *, keep: Collection[str]) -> None:
    """Delete the queries that came with some folders once, but for those to keep, inside the caller's transaction."""
    for folder in folders:
        row = catalog.execute("SELECT value FROM meta WHERE key = ?", (_ASKED + folder,)).fetchone()
        gone = set(json.loads(row[0])).difference(keep) if row else set()
        catalog.executemany("DELETE FROM queries WHERE id = ?", ((name,) for name in gone))
        catalog.execute("DELETE FROM meta WHERE key = ?", (_ASKED + folder,))


def fingerprint(queries_: Sequence[Query], qrels_: dict[str, dict[str, int]]) -> str:
    """Hash of a set of queries with their judgements: what the ledger of test reads counts by."""
    rows = [(query.id, query.text, sorted(qrels_.get(query.id, {}).items())) for query in queries_]
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()
