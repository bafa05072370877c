"""`honed add`: bring the catalog up to what lies on disk. New, changed, renamed and removed files are told apart by content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from honed.catalog import Catalog, documents
from honed.ingest.clean import clean
from honed.ingest.language import language
from honed.ingest.passages import split_passages
from honed.ingest.sandbox import Sandbox
from honed.ingest.sources import find_sources, sha256_of
from honed.types import Document, Parsed, Passage, Rejection, Removal, Source
from honed.workspace import Workspace

COMMIT_FILES = 16
"""Files between two durable commits: a kill loses at most these, and they are parsed again."""

Progress = Callable[[int, int, str], None]
"""Told (done, total, path) after each file that had to be read."""


@dataclass(slots=True)
class SyncReport:
    """What a sync did, for the user."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    renamed: int = 0
    removed: int = 0
    rejected: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Path -> (code, reason)."""
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Intake:
    """What `sync` needs of the workspace and the settings."""

    workspace: Workspace
    catalog: Catalog
    sandbox: Sandbox
    passage_words: int


def sync(intake: Intake, paths: Sequence[Path], *, on_progress: Progress | None = None) -> SyncReport:
    """Add files and folders, or bring them up to date; what vanished below a given folder is removed.

    A bad file becomes a rejection with a code; the others go on. Everything up to the last batch is durable when the
    process is killed, and adding again takes up from there.
    """
    catalog, report = intake.catalog, SyncReport()
    known = documents.sources(catalog)
    files = list(find_sources(paths))
    present = {str(path) for path in files}
    todo: list[Source] = []
    for path in files:
        source, before = _stat(path), known.get(str(path))
        if before and (before.size, before.mtime_ns) == (source.size, source.mtime_ns):
            report.unchanged += 1
            continue
        source = Source(source.path, sha256_of(path), source.size, source.mtime_ns)
        if before and before.sha256 == source.sha256:
            report.unchanged += 1
            with catalog.transaction():
                documents.set_source(catalog, source, before.document or Rejection(before.code, before.reason))
            continue
        todo.append(source)
    _read(intake, todo, known, report, on_progress)
    roots = [path.resolve() for path in paths]
    gone = [path for path in known if path not in present and _below(Path(path), roots)]
    with catalog.transaction():
        documents.remove_sources(catalog, gone)
        documents.drop_orphans(catalog)
    report.removed += len(gone) - report.renamed
    return report


def _read(
    intake: Intake,
    todo: Sequence[Source],
    known: dict[str, documents.SourceState],
    report: SyncReport,
    on_progress: Progress | None,
) -> None:
    """Parse what is new, keep it in durable batches, and note what was only moved."""
    catalog = intake.catalog
    fresh: list[Source] = []
    seen: set[str] = set()
    for source in todo:
        document = documents.document_by_hash(catalog, source.sha256)
        if document is None and source.sha256 not in seen:
            seen.add(source.sha256)
            fresh.append(source)
            continue
        moved = [path for path, state in known.items() if state.sha256 == source.sha256 and not Path(path).exists()]
        report.renamed += bool(moved)
        report.new += not moved
        if document is not None:
            with catalog.transaction():
                documents.set_source(catalog, source, document)
    by_path = {source.path: source for source in fresh}
    results = intake.sandbox.parse_many([Path(source.path) for source in fresh])
    done = 0
    for batch in _batches(results, COMMIT_FILES):
        prepared = [_prepared(intake, by_path[str(path)], outcome) for path, outcome in batch]
        with catalog.transaction():
            for item in prepared:
                _keep(catalog, item, report, known)
        for path, _ in batch:
            done += 1
            if on_progress:
                on_progress(done, len(fresh), str(path))
    for source in todo:  # twins of a file that was read just now
        if source.path not in by_path and documents.document_by_hash(catalog, source.sha256):
            with catalog.transaction():
                documents.set_source(catalog, source, documents.document_by_hash(catalog, source.sha256) or "")


@dataclass(frozen=True, slots=True)
class _Prepared:
    source: Source
    outcome: Document | Rejection
    passages: list[Passage]
    removals: tuple[Removal, ...]
    warnings: tuple[str, ...]


def _prepared(intake: Intake, source: Source, outcome: Parsed | Rejection) -> _Prepared:
    """Clean and cut a parsed file; a file without any text left is a rejection."""
    if isinstance(outcome, Rejection):
        return _Prepared(source, outcome, [], (), ())
    cleaned, removals = clean(outcome)
    name = source.sha256[:32]
    passages = split_passages(cleaned, name, max_words=intake.passage_words)
    if not passages:
        return _Prepared(source, Rejection("empty", "there is no text in it"), [], (), outcome.warnings)
    intake.workspace.put_blob(Path(source.path))
    document = Document(
        id=name,
        external_id=source.path,
        title=cleaned.title or Path(source.path).stem,
        media_type=cleaned.media_type,
        language=language(" ".join(passage.text for passage in passages[:20])),
        meta=dict(cleaned.meta),
    )
    return _Prepared(source, document, passages, removals, outcome.warnings)


def _keep(catalog: Catalog, item: _Prepared, report: SyncReport, known: dict[str, documents.SourceState]) -> None:
    """Write one file's outcome, inside the caller's transaction."""
    if isinstance(item.outcome, Rejection):
        documents.set_source(catalog, item.source, item.outcome)
        report.rejected[item.source.path] = (item.outcome.code, item.outcome.reason)
        return
    documents.add(catalog, item.outcome, item.passages, item.removals)
    documents.set_source(catalog, item.source, item.outcome.id)
    if item.warnings:
        report.warnings[item.source.path] = item.warnings
    if item.source.path in known:
        report.changed += 1
    else:
        report.new += 1


def _stat(path: Path) -> Source:
    info = path.stat()
    return Source(str(path), "", info.st_size, info.st_mtime_ns)


def _below(path: Path, roots: Iterable[Path]) -> bool:
    return any(path == root or root in path.parents for root in roots)


def _batches(
    items: Iterator[tuple[Path, Parsed | Rejection]], size: int
) -> Iterator[list[tuple[Path, Parsed | Rejection]]]:
    while batch := list(islice(items, size)):
        yield batch
