"""`honed import`: a BEIR folder becomes documents, queries and judgements. Importing again is a sync."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from honed.catalog import Catalog, documents, judgements
from honed.errors import InputError
from honed.formats import Beir, Row
from honed.ingest.language import language
from honed.ingest.passages import split_passages
from honed.types import Block, Document, Parsed, Passage, Source

WHOLE = 1.5
"""A row of up to this many times the longest passage stays whole: a corpus that was cut for retrieval is not cut again."""

COMMIT_ROWS = 1000

Progress = Callable[[int], None]
"""Told the number of rows that are done."""


@dataclass(slots=True)
class ImportReport:
    """What an import did."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    queries: int = 0
    qrels: int = 0
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Import:
    """An import under way."""

    catalog: Catalog
    prefix: str
    known: dict[str, documents.SourceState]
    passage_words: int
    report: ImportReport
    elsewhere: dict[str, list[tuple[str, str]]]
    """Row id -> (folder, hash) in the corpora that were imported from other folders."""
    seen: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    """Rows of a corpus that is not where it was, and has a row of this id here."""
    moved: set[str] = field(default_factory=set)
    """Folders that are gone and whose corpus is this one: a row with the same content is here."""


def import_beir(
    catalog: Catalog, beir: Beir, *, passage_words: int, on_progress: Progress | None = None
) -> ImportReport:
    """Take over a BEIR folder's corpus, queries, judgements and answers; missing splits are filled in later.

    Raises:
        InputError: An id occurs twice, or a file has a broken line. What was taken until then stays; importing again
            after mending the file goes on from there.
    """
    folder = str(beir.folder.resolve())
    prefix = folder + documents.ROW
    sources = {path: state for path, state in documents.sources(catalog).items() if documents.is_imported(path, state)}
    known = {path: state for path, state in sources.items() if path.startswith(prefix)}
    elsewhere: dict[str, list[tuple[str, str]]] = {}
    for path in sources.keys() - known.keys():
        other, _, name = path.partition(documents.ROW)
        elsewhere.setdefault(name, []).append((other, sources[path].sha256))
    job = _Import(catalog, prefix, known, passage_words, ImportReport(), elsewhere)
    rows = beir.corpus()
    while batch := list(islice(rows, COMMIT_ROWS)):
        with catalog.transaction():
            for row in batch:
                _take(job, row)
        if on_progress:
            on_progress(len(job.seen))
    gone = [path for path in known if path not in job.seen]
    left = job.replaced | {path for path in sources if path.partition(documents.ROW)[0] in job.moved}
    with catalog.transaction():
        documents.remove_sources(catalog, [*gone, *left])
        documents.drop_orphans(catalog)
        _forget_queries(catalog, {folder, *job.moved}, keep={query.id for query in beir.queries})
        judgements.add(catalog, beir.queries, beir.qrels, origin="import")
        judgements.add_answers(catalog, beir.answers)
        names = json.dumps([query.id for query in beir.queries])
        catalog.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_ASKED + folder, names))
    job.report.removed = len(gone)
    job.report.queries, job.report.qrels = len(beir.queries), len(beir.qrels)
    return job.report


_ASKED = "queries of "
"""Before the folder in the key under which the catalog remembers which queries came with it."""


def _forget_queries(catalog: Catalog, folders: set[str], *, keep: set[str]) -> None:
    """Delete the queries that came with a folder once and do not any more, inside the caller's transaction."""
    run = catalog.connection.execute
    for folder in folders:
        row = run("SELECT value FROM meta WHERE key = ?", (_ASKED + folder,)).fetchone()
        gone = set(json.loads(row[0])) - keep if row else set()
        catalog.connection.executemany("DELETE FROM queries WHERE id = ?", ((name,) for name in gone))
        run("DELETE FROM meta WHERE key = ?", (_ASKED + folder,))


def _take(job: _Import, row: Row) -> None:
    """One row, inside the caller's transaction."""
    path = job.prefix + row.id
    if path in job.seen:
        raise InputError(f"The id '{row.id}' occurs twice in corpus.jsonl.", hint="ids must be unique: rename one")
    job.seen.add(path)
    digest = hashlib.sha256(f"{row.id}\0{row.title}\0{row.text}\0{sorted(row.meta.items())}".encode()).hexdigest()
    _compare_elsewhere(job, row.id, digest)
    before = job.known.get(path)
    if before and before.sha256 == digest:
        job.report.unchanged += 1
        return
    document = Document(
        id=digest[:32],
        external_id=row.id,
        title=row.title,
        language=language(row.text),
        meta=row.meta,
    )
    documents.add(job.catalog, document, _passages(row, document.id, job.passage_words))
    documents.set_source(job.catalog, Source(path, digest, len(row.text)), document.id)
    if before:
        job.report.changed += 1
    else:
        job.report.new += 1


def _compare_elsewhere(job: _Import, name: str, digest: str) -> None:
    """Judgements name a document by its row id: two corpora may share one only if they mean the same row."""
    for folder, other in job.elsewhere.get(name, ()):
        there = Path(folder, "corpus.jsonl").exists()
        if other == digest and not there:
            job.moved.add(folder)
        elif other != digest and there:
            raise InputError(
                f"The id '{name}' belongs to another document, of {folder}.",
                hint="import into a workspace of its own, or rename the ids",
            )
        elif not there:
            job.replaced.add(folder + documents.ROW + name)


def _passages(row: Row, document: str, words: int) -> list[Passage]:
    """The row as one passage, or cut where it is much longer than one."""
    if len(row.text.split()) > WHOLE * words:
        cut = split_passages(Parsed(row.title, (Block(row.text),), "text/plain"), document, max_words=words)
        if cut:
            return cut
    name = hashlib.sha256(f"{document}\0whole".encode()).hexdigest()[:24]
    return [Passage(name, document, 0, row.title, row.text)]
