"""`honed import`: a BEIR folder becomes documents, queries and judgements. Importing again is a sync."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from honed.catalog import Catalog, documents, judgements
from honed.formats import Beir, Row
from honed.ingest.imported import Imported, News
from honed.ingest.language import language
from honed.ingest.passages import split_passages
from honed.types import Block, Document, Parsed, Passage, Source

WHOLE = 1.5
"""A row of up to this many times the longest passage stays whole: a corpus that was cut for retrieval is not cut again."""

COMMIT_ROWS = 1000

Progress = Callable[[int], None]
"""Called with the number of rows that are done."""


@dataclass(slots=True)
class ImportReport:
    """What an import did."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    queries: int = 0
    qrels: int = 0
    images: int = 0
    groups: int = 0
    notes: tuple[str, ...] = ()
    rejected: dict[str, str] = field(default_factory=dict)
    """Id of a picture that was not taken -> code."""

    def count(self, news: News) -> None:
        """Note one row."""
        self.new += news == "new"
        self.changed += news == "changed"
        self.unchanged += news == "unchanged"


def import_beir(
    catalog: Catalog, beir: Beir, *, passage_words: int, on_progress: Progress | None = None
) -> ImportReport:
    """Take over a BEIR folder's corpus, queries, judgements and answers; missing splits are filled in later.

    Raises:
        InputError: An id occurs twice, or a file has a broken line. What was taken until then stays; importing again
            after mending the file goes on from there.
    """
    folder, report = str(beir.folder.resolve()), ImportReport()
    imported = Imported.of(catalog, beir.folder, documents.ROW)
    rows = beir.corpus()
    while batch := list(islice(rows, COMMIT_ROWS)):
        with catalog.transaction():
            for row in batch:
                _take(catalog, imported, row, passage_words, report)
        if on_progress:
            on_progress(len(imported.seen))
    gone = imported.gone()
    with catalog.transaction():
        documents.remove_sources(catalog, [*gone, *imported.left()])
        documents.drop_orphans(catalog)
        judgements.forget_imported(catalog, {folder, *imported.moved}, keep={query.id for query in beir.queries})
        judgements.add(catalog, beir.queries, beir.qrels, origin="import")
        judgements.add_answers(catalog, beir.answers)
        judgements.note_imported(catalog, folder, (query.id for query in beir.queries))
    report.removed = len(gone)
    report.queries, report.qrels = len(beir.queries), len(beir.qrels)
    return report


def _take(catalog: Catalog, imported: Imported, row: Row, words: int, report: ImportReport) -> None:
    """One row, inside the caller's transaction."""
    digest = hashlib.sha256(f"{row.id}\0{row.title}\0{row.text}\0{sorted(row.meta.items())}".encode()).hexdigest()
    news = imported.meet(row.id, digest)
    report.count(news)
    if news == "unchanged":
        return
    document = Document(
        id=digest[:32],
        external_id=row.id,
        title=row.title,
        language=language(row.text),
        meta=row.meta,
    )
    documents.add(catalog, document, _passages(row, document.id, words))
    documents.set_source(catalog, Source(imported.prefix + row.id, digest, len(row.text)), document.id)


def _passages(row: Row, document: str, words: int) -> list[Passage]:
    """The row as one passage, or cut where it is much longer than one."""
    if len(row.text.split()) > WHOLE * words:
        cut = split_passages(Parsed(row.title, (Block(row.text),), "text/plain"), document, max_words=words)
        if cut:
            return cut
    name = hashlib.sha256(f"{document}\0whole".encode()).hexdigest()[:24]
    return [Passage(name, document, 0, row.title, row.text)]
