"""`honed import`: a BEIR folder becomes documents, queries and judgements. Importing again is a sync."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

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
    seen: set[str]


def import_beir(
    catalog: Catalog, beir: Beir, *, passage_words: int, on_progress: Progress | None = None
) -> ImportReport:
    """Take over a BEIR folder's corpus, queries, judgements and answers; missing splits are filled in later.

    Raises:
        InputError: An id occurs twice, or a file has a broken line. What was taken until then stays; importing again
            after mending the file goes on from there.
    """
    prefix = f"{beir.folder.resolve()}/corpus.jsonl#"
    known = {path: state for path, state in documents.sources(catalog).items() if path.startswith(prefix)}
    job = _Import(catalog, prefix, known, passage_words, ImportReport(), set())
    rows = beir.corpus()
    while batch := list(islice(rows, COMMIT_ROWS)):
        with catalog.transaction():
            for row in batch:
                _take(job, row)
        if on_progress:
            on_progress(len(job.seen))
    gone = [path for path in known if path not in job.seen]
    with catalog.transaction():
        documents.remove_sources(catalog, gone)
        documents.drop_orphans(catalog)
        judgements.add(catalog, beir.queries, beir.qrels, origin="import")
        judgements.add_answers(catalog, beir.answers)
    job.report.removed = len(gone)
    job.report.queries, job.report.qrels = len(beir.queries), len(beir.qrels)
    return job.report


def _take(job: _Import, row: Row) -> None:
    """One row, inside the caller's transaction."""
    path = job.prefix + row.id
    if path in job.seen:
        raise InputError(f"The id '{row.id}' occurs twice in corpus.jsonl.", hint="ids must be unique: rename one")
    job.seen.add(path)
    digest = hashlib.sha256(f"{row.id}\0{row.title}\0{row.text}\0{sorted(row.meta.items())}".encode()).hexdigest()
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


def _passages(row: Row, document: str, words: int) -> list[Passage]:
    """The row as one passage, or cut where it is much longer than one."""
    if len(row.text.split()) > WHOLE * words:
        cut = split_passages(Parsed(row.title, (Block(row.text),), "text/plain"), document, max_words=words)
        if cut:
            return cut
    name = hashlib.sha256(f"{document}\0whole".encode()).hexdigest()[:24]
    return [Passage(name, document, 0, row.title, row.text)]
