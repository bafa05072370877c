"""`honed import` of an image pack: each picture becomes a document with its caption, tags and group. Again is a sync."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from honed.catalog import documents, images
from honed.formats import Item, Pack
from honed.ingest.codes import MACHINE, as_evidence, not_opened, rejection
from honed.ingest.imported import Imported
from honed.ingest.importing import ImportReport, Progress
from honed.ingest.language import language
from honed.ingest.passages import split_passages
from honed.ingest.renderings import Rendered, is_kept, keep
from honed.ingest.sources import sha256_of
from honed.ingest.sync import Intake
from honed.types import Block, Document, ImageRecord, Parsed, Rejection, Source

COMMIT_ITEMS = 512
"""Pictures between two durable commits: a kill loses at most these."""


@dataclass(frozen=True, slots=True)
class _Task:
    """A picture that is new or changed."""

    item: Item
    path: Path
    source: Source


def import_pack(intake: Intake, pack: Pack, *, on_progress: Progress | None = None) -> ImportReport:
    """Take over an image pack. The pack's own files are not kept, as with rows of a corpus; what is kept is rendered anew.

    A picture that cannot be read is skipped with a code; the others go on.

    Raises:
        InputError: An id occurs twice, or belongs to something else in this workspace.
    """
    catalog, report = intake.catalog, ImportReport()
    imported = Imported.of(catalog, pack.folder, documents.ITEM)
    tasks = _compared(intake, pack, imported, report)
    outcomes = intake.sandbox.parse_pictures([task.path for task in tasks])
    stream = zip(tasks, (as_evidence(outcome) for _, outcome in outcomes), strict=True)
    done = 0
    while batch := list(islice(stream, COMMIT_ITEMS)):
        _take(intake, batch, report)
        done += len(batch)
        if on_progress:
            on_progress(done)
    gone = imported.gone()
    with catalog.transaction():
        documents.remove_sources(catalog, [*gone, *imported.left()])
        documents.drop_orphans(catalog)
        images.forget_groups(catalog)
    report.removed = len(gone)
    report.images = len(pack.items) - len(report.rejected)
    report.groups = len({item.group for item in pack.items if item.group and item.id not in report.rejected})
    return report


def _compared(intake: Intake, pack: Pack, imported: Imported, report: ImportReport) -> list[_Task]:
    """The pictures that have to be read: new ones, changed ones, and those whose rendering was lost."""
    catalog, root = intake.catalog, pack.folder.resolve()
    lost = {name for name, media in images.media_of_files(catalog) if not is_kept(intake.workspace, media)}
    tasks: list[_Task] = []
    refused: list[tuple[Source, Rejection]] = []
    for item in pack.items:
        path, content = (root / item.path), ""
        why = None if path.resolve().is_relative_to(root) else rejection("unreadable", "it lies outside of the pack")
        try:
            content = "" if why else sha256_of(path)
        except OSError as error:
            why = not_opened(error)
        source = Source(imported.prefix + item.id, _digest(item, content), 0)
        news = imported.meet(item.id, source.sha256)
        before = imported.sources.get(source.path)
        report.count(news)
        if why:
            refused.append((source, why))
        elif news != "unchanged" or (before and before.document in lost):
            tasks.append(_Task(item, path, source))
        if why or (news == "unchanged" and before and before.code):
            report.rejected[item.id] = why.code if why else before.code if before else ""
    with catalog.transaction():
        for source, why in refused:
            if why.code != MACHINE:
                documents.set_source(catalog, source, why)
    return tasks


def _digest(item: Item, content: str) -> str:
    fields = [item.id, item.caption, item.tags, item.group, item.variant, item.split, dict(item.meta), content]
    return hashlib.sha256(json.dumps(fields, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _take(intake: Intake, batch: Sequence[tuple[_Task, Parsed | Rejection]], report: ImportReport) -> None:
    """Keep the renderings of a batch, then its rows in one commit."""
    catalog = intake.catalog
    pictures = [(task, outcome) for task, outcome in batch if isinstance(outcome, Parsed) and outcome.media]
    kept = keep(intake.workspace, [outcome.media[0] for _, outcome in pictures])
    with catalog.transaction():
        for (task, parsed), rendered in zip(pictures, kept, strict=True):
            _add(intake, task, parsed, rendered)
        for task, outcome in batch:
            if isinstance(outcome, Parsed) and outcome.media:
                continue
            refused = outcome if isinstance(outcome, Rejection) else rejection("unsupported", "it is no picture")
            if refused.code != MACHINE:  # then it is read by the next import
                documents.set_source(catalog, task.source, refused)
            report.rejected[task.item.id] = refused.code


def _add(intake: Intake, task: _Task, parsed: Parsed, kept: Rendered) -> None:
    """One picture with its passage and group, inside the caller's transaction. A caption in the file yields to the pack's."""
    item, catalog = task.item, intake.catalog
    title = item.caption or parsed.title
    text = ", ".join(item.tags) or title
    document = Document(
        id=task.source.sha256[:32],
        external_id=item.id,
        title=title,
        media_type=parsed.media_type,
        language=language(f"{title} {text}"),
        meta={**item.meta, "width": kept.picture.width, "height": kept.picture.height},
    )
    passages = split_passages(
        Parsed(title, (Block(text),), parsed.media_type), document.id, max_words=intake.passage_words
    )
    documents.add(catalog, document, passages)
    images.add(catalog, document.id, [_record(document, kept, passages[0].id)])
    documents.set_source(catalog, task.source, document.id)
    if item.group:
        images.set_groups(catalog, [(item.id, item.group, item.variant, item.split)])


def _record(document: Document, kept: Rendered, passage: str) -> ImageRecord:
    picture = kept.picture
    return ImageRecord(
        id=images.image_id(document.id, 0, kept.media),
        document=document.id,
        ordinal=0,
        media=kept.media,
        kind="file",
        width=picture.width,
        height=picture.height,
        caption=document.title,
        phash=kept.phash,
        passage=passage,
    )
