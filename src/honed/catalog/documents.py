"""Documents, their sources and passages: add, remove, fetch, count."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.catalog.database import Catalog
from honed.types import Context, Document, Passage, Rejection, Removal, Source

_PASSAGE = "p.id, d.id, p.ordinal, p.title, p.text, p.headings, p.page"


@dataclass(frozen=True, slots=True)
class SourceState:
    """One source as the catalog has it: what its file was, and the document or the refusal that came of it."""

    sha256: str
    size: int
    mtime_ns: int
    document: str | None
    code: str
    reason: str


ROW = "/corpus.jsonl#"
"""Between folder and row id in the path of a source that is a row of an imported corpus."""

ITEM = "/items.jsonl#"
"""Between folder and item id in the path of a source that is a picture of an imported image pack."""


def is_imported(path: str, state: SourceState) -> bool:
    """Whether a source is a row of an imported corpus or pack and no file of its own: rows have no time."""
    return (ROW in path or ITEM in path) and state.mtime_ns == 0


def text_hash(passage: Passage) -> bytes:
    """Key of a passage's vector: a hash of the text that is embedded."""
    return hashlib.sha256(passage.embedded_text.encode()).digest()[:16]


def add(catalog: Catalog, document: Document, passages: Sequence[Passage], removals: Sequence[Removal] = ()) -> None:
    """Insert a document with its passages, inside the caller's transaction. One that is there already is left alone."""
    run = catalog.execute
    if run("SELECT 1 FROM documents WHERE id = ?", (document.id,)).fetchone():
        return
    cursor = run(
        "INSERT INTO documents (id, external_id, title, media_type, language, meta) VALUES (?, ?, ?, ?, ?, ?)",
        (
            document.id,
            document.external_id,
            document.title,
            document.media_type,
            document.language,
            _json(document.meta),
        ),
    )
    key = cursor.lastrowid
    catalog.executemany(
        "INSERT INTO passages (id, document, ordinal, title, headings, text, page, text_hash) VALUES (?,?,?,?,?,?,?,?)",
        (
            (p.id, key, p.ordinal, p.title, json.dumps(p.headings, ensure_ascii=False), p.text, p.page, text_hash(p))
            for p in passages
        ),
    )
    catalog.executemany(
        "INSERT INTO removals VALUES (?, ?, ?, ?)", ((key, item.rule, item.text, item.detail) for item in removals)
    )


def _json(meta: Mapping[str, Any]) -> str:
    """Metadata as JSON that SQLite can look into: NaN and Infinity, which JSON does not have, become null."""
    text = json.dumps(dict(meta), ensure_ascii=False)
    if "NaN" in text or "Infinity" in text:
        text = json.dumps(json.loads(text, parse_constant=lambda _: None), ensure_ascii=False)
    return text


def set_source(catalog: Catalog, source: Source, outcome: str | Rejection) -> None:
    """Record what became of a source: the id of its document, or a rejection."""
    document, code, reason = (
        (None, outcome.code, outcome.reason) if isinstance(outcome, Rejection) else (outcome, "", "")
    )
    catalog.execute(
        "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?, ?, ?)",
        (source.path, source.sha256, source.size, source.mtime_ns, document, code, reason),
    )


def forget(catalog: Catalog, document: str) -> None:
    """Delete a document that is added anew in the same transaction, the caller's; its sources and judgements stay."""
    run = catalog.execute
    run("PRAGMA defer_foreign_keys = ON")  # sources name it until it is there again
    run("DELETE FROM passages WHERE document = (SELECT rowid FROM documents WHERE id = ?)", (document,))
    run("DELETE FROM documents WHERE id = ?", (document,))


@dataclass(frozen=True, slots=True)
class Original:
    """A file that was added: where it was, and its size."""

    path: str
    size: int


def originals(catalog: Catalog) -> dict[str, Original]:
    """sha256 -> one of its sources, for every file that a document was parsed from. Rows of an import have no file."""
    rows = catalog.execute(
        "SELECT s.sha256, min(s.path), s.size FROM sources s JOIN documents d ON d.id = s.document"
        " WHERE substr(s.path, -length(d.external_id) - 1) != '#' || d.external_id GROUP BY s.sha256"
    )
    return {sha256: Original(path, size) for sha256, path, size in rows}


def unread(catalog: Catalog) -> set[str]:
    """Ids of the documents that hold pictures of text which nobody could read when they were added."""
    return {
        row[0]
        for row in catalog.execute("SELECT id FROM documents WHERE json_extract(meta, '$.scanned_pages') IS NOT NULL")
    }


def remove_sources(catalog: Catalog, paths: Iterable[str]) -> None:
    """Forget sources, inside the caller's transaction. Documents that lost their last source go with `drop_orphans`."""
    catalog.executemany("DELETE FROM sources WHERE path = ?", ((path,) for path in paths))


def drop_orphans(catalog: Catalog) -> int:
    """Delete documents that no source holds any more; returns how many. Their text leaves every search at once."""
    run = catalog.execute
    keys = [
        row[0]
        for row in run(
            "SELECT d.rowid FROM documents d WHERE NOT EXISTS (SELECT 1 FROM sources s WHERE s.document = d.id)"
        )
    ]
    for key in keys:
        run("DELETE FROM passages WHERE document = ?", (key,))
        run("DELETE FROM documents WHERE rowid = ?", (key,))
    _rename(catalog)
    return len(keys)


def _rename(catalog: Catalog) -> None:
    """A document that lost the source it was named after goes by another one; an imported one keeps its row's id.

    Judgements and groups follow a file that was moved. Where its old path holds something new, they stay with the path.
    """
    run = catalog.execute
    rows = run(
        "SELECT d.rowid, d.external_id, (SELECT min(path) FROM sources s WHERE s.document = d.id) FROM documents d"
        " WHERE NOT EXISTS (SELECT 1 FROM sources s WHERE s.document = d.id"
        " AND (s.path = external_id OR substr(s.path, -length(external_id) - 1) = '#' || external_id))"
    ).fetchall()
    if not rows:
        return
    catalog.executemany("UPDATE documents SET external_id = ? WHERE rowid = ?", ((r[2], r[0]) for r in rows))
    taken = {path for (path,) in run("SELECT path FROM sources")} - {new for _, _, new in rows}
    follow = {old: new for _, old, new in rows if old not in taken}
    judged = [row for row in run("SELECT query, document, grade FROM qrels") if row[1] in follow]
    catalog.executemany("DELETE FROM qrels WHERE query = ? AND document = ?", (row[:2] for row in judged))
    catalog.executemany(
        "INSERT OR REPLACE INTO qrels VALUES (?, ?, ?)", ((query, follow[old], grade) for query, old, grade in judged)
    )
    groups = [row for row in run("SELECT document, name, variant, split FROM image_groups") if row[0] in follow]
    catalog.executemany("DELETE FROM image_groups WHERE document = ?", (row[:1] for row in groups))
    catalog.executemany(
        "INSERT OR REPLACE INTO image_groups VALUES (?, ?, ?, ?)", ((follow[old], *rest) for old, *rest in groups)
    )


def sources(catalog: Catalog) -> dict[str, SourceState]:
    """Every source by path."""
    rows = catalog.execute("SELECT path, sha256, size, mtime_ns, document, code, reason FROM sources")
    return {row[0]: SourceState(*row[1:]) for row in rows}


def document_by_hash(catalog: Catalog, sha256: str) -> str | None:
    """Id of the document that a file with these bytes was parsed into, if one is known."""
    row = catalog.execute(
        "SELECT document FROM sources WHERE sha256 = ? AND document IS NOT NULL LIMIT 1", (sha256,)
    ).fetchone()
    return row[0] if row else None


def contexts(catalog: Catalog, rowids: Sequence[int], scores: Sequence[float]) -> list[Context]:
    """Fetch ranked passages; those deleted meanwhile are left out and ranks stay without gaps."""
    rows = catalog.over(
        f"SELECT p.rowid, {_PASSAGE}, d.external_id,"
        " coalesce((SELECT min(path) FROM sources s WHERE s.document = d.id), '')"
        " FROM passages p JOIN documents d ON d.rowid = p.document",
        "p.rowid",
        np.asarray(rowids, np.int64),
    )
    by_row = {row[0]: (_passage(row[1:8]), row[8], row[9]) for row in rows}
    result: list[Context] = []
    for rowid, score in zip(rowids, scores, strict=True):
        if rowid in by_row:
            passage, external_id, source = by_row[rowid]
            result.append(Context(passage, float(score), len(result) + 1, external_id, source))
    return result


def by_rowid(catalog: Catalog, rowids: Sequence[int]) -> dict[int, Passage]:
    """Passages by row id; those that are gone are left out."""
    rows = catalog.over(
        f"SELECT p.rowid, {_PASSAGE} FROM passages p JOIN documents d ON d.rowid = p.document",
        "p.rowid",
        np.asarray(rowids, np.int64),
    )
    return {row[0]: _passage(row[1:]) for row in rows}


def external_ids(catalog: Catalog) -> tuple[NDArray[np.int64], list[str]]:
    """Row id and document external id of every live passage, in rowid order."""
    rows = catalog.execute(
        "SELECT p.rowid, d.external_id FROM passages p JOIN documents d ON d.rowid = p.document ORDER BY p.rowid"
    ).fetchall()
    return np.fromiter((row[0] for row in rows), np.int64, len(rows)), [row[1] for row in rows]


def rowids(catalog: Catalog) -> NDArray[np.int64]:
    """Row ids of all live passages, ascending."""
    return np.array([row[0] for row in catalog.execute("SELECT rowid FROM passages ORDER BY rowid")], np.int64)


def texts(catalog: Catalog) -> Iterator[str]:
    """The text of every live passage."""
    return (text for (text,) in catalog.execute("SELECT text FROM passages"))


def passages(catalog: Catalog) -> Iterator[tuple[int, str, Passage]]:
    """(row id, document external id, passage) of every live passage, in rowid order."""
    rows = catalog.execute(
        f"SELECT p.rowid, d.external_id, {_PASSAGE} FROM passages p JOIN documents d ON d.rowid = p.document"
        " ORDER BY p.rowid"
    )
    for row in rows:
        yield row[0], row[1], _passage(row[2:9])


def _spoken(row: str) -> str:
    """SQL: a single JSON value as a filter writes it; NULL for lists and objects."""
    return (
        f"CASE {row}.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' WHEN 'array' THEN NULL"
        f" WHEN 'object' THEN NULL ELSE CAST({row}.value AS TEXT) END"
    )


_HAS = (
    f"EXISTS (SELECT 1 FROM json_each(d.meta) m WHERE m.key = ? AND ({_spoken('m')} = ? OR EXISTS"
    " (SELECT 1 FROM json_each(CASE m.type WHEN 'array' THEN m.value ELSE '[]' END) i"
    f" WHERE {_spoken('i')} = ?)))"
)
_COLUMNS = {"lang": "d.language", "type": "d.media_type", "document": "d.external_id"}


def filtered_rowids(catalog: Catalog, filters: Sequence[tuple[str, str]]) -> NDArray[np.int64]:
    """Row ids of the passages whose document has every `key=value`; keys are data, never SQL.

    `lang`, `type` and `document` are language, media type and id; every key is looked up in the metadata too, where a list
    has each of its items, and what lies deeper is not seen.
    """
    where, parameters = filter_clause(filters)
    rows = catalog.execute(
        f"SELECT p.rowid FROM passages p JOIN documents d ON d.rowid = p.document WHERE {where} ORDER BY p.rowid",
        parameters,
    ).fetchall()
    return np.fromiter((row[0] for row in rows), np.int64, len(rows))


def filter_clause(filters: Sequence[tuple[str, str]]) -> tuple[str, list[str]]:
    """SQL that holds for the documents `d` with every `key=value`, and its parameters."""
    clauses: list[str] = []
    parameters: list[str] = []
    for key, value in filters:
        column = f"{_COLUMNS[key]} = ? OR " if key in _COLUMNS else ""
        clauses.append(f"({column}{_HAS})")
        parameters += [*([value] if column else []), key, value, value]
    return " AND ".join(clauses) or "1", parameters


def names(catalog: Catalog) -> dict[str, str]:
    """What a document may be called -> its external id: the paths of its sources, and that id itself, which goes first."""
    paths = catalog.execute("SELECT s.path, d.external_id FROM sources s JOIN documents d ON d.id = s.document")
    return {**dict(paths), **{name: name for (name,) in catalog.execute("SELECT external_id FROM documents")}}


def is_clustered(catalog: Catalog) -> bool:
    """Whether the cluster of every document is recorded."""
    return not catalog.execute("SELECT 1 FROM documents WHERE cluster IS NULL LIMIT 1").fetchone()


def clusters(catalog: Catalog) -> dict[str, int]:
    """External id -> cluster of the documents whose cluster is recorded."""
    return dict(catalog.execute("SELECT external_id, cluster FROM documents WHERE cluster IS NOT NULL"))


def set_clusters(catalog: Catalog, labels: dict[str, int]) -> None:
    """Record the cluster of each document (by external id)."""
    with catalog.transaction():
        catalog.executemany(
            "UPDATE documents SET cluster = ? WHERE external_id = ?", ((value, key) for key, value in labels.items())
        )


def counts(catalog: Catalog) -> dict[str, Any]:
    """Numbers for `honed status`."""

    def size(table: str) -> int:
        return int(catalog.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    rejected = catalog.execute(
        "SELECT code, count(*) FROM sources WHERE code != '' GROUP BY code ORDER BY 2 DESC, 1"
    ).fetchall()
    removed = catalog.execute("SELECT rule, count(*) FROM removals GROUP BY rule ORDER BY 1").fetchall()
    return {
        "sources": size("sources"),
        "documents": size("documents"),
        "passages": size("passages"),
        "images": dict(catalog.execute("SELECT kind, count(*) FROM images GROUP BY kind ORDER BY kind").fetchall()),
        "skipped": dict(rejected),
        "removed": dict(removed),
        "queries": dict(catalog.execute("SELECT split, count(*) FROM queries GROUP BY split").fetchall()),
        "qrels": size("qrels"),
    }


def _passage(row: Sequence[Any]) -> Passage:
    return Passage(
        id=row[0],
        document=row[1],
        ordinal=row[2],
        title=row[3],
        text=row[4],
        headings=tuple(json.loads(row[5])),
        page=row[6],
    )
