"""`honed add`: bring the catalog up to what lies on disk. New, changed, renamed and removed files are told apart by content."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from honed.catalog import Catalog, documents, images
from honed.errors import InputError
from honed.ingest.clean import clean
from honed.ingest.codes import MACHINE, as_evidence, not_opened, rejection
from honed.ingest.language import language
from honed.ingest.linked import with_linked_pictures
from honed.ingest.passages import split_passages
from honed.ingest.placing import distinct, records
from honed.ingest.renderings import keep
from honed.ingest.sandbox import Sandbox
from honed.ingest.sources import find_sources, sha256_of
from honed.types import Block, Document, ImageRecord, Parsed, Passage, Picture, Rejection, Removal, Source
from honed.workspace import Workspace

COMMIT_FILES = 16
"""Files between two durable commits: a kill loses at most these, and they are parsed again."""

Progress = Callable[[int, int, str], None]
"""Called with (done, total, path) after each file that had to be read."""

States = dict[str, documents.SourceState]


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
    still: dict[str, str] = field(default_factory=dict)
    """Path -> code of files that were rejected before and are unchanged since."""
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def reject(self, path: str, why: Rejection) -> None:
        """Note a file that was not taken."""
        self.rejected[path] = (why.code, why.reason)

    def leave(self, path: str, before: documents.SourceState) -> None:
        """Note a file that is as it was, be it taken or not."""
        self.unchanged += 1
        if before.code:
            self.still[path] = before.code


@dataclass(frozen=True, slots=True)
class Intake:
    """What `sync` needs of the workspace and the settings."""

    workspace: Workspace
    catalog: Catalog
    sandbox: Sandbox
    passage_words: int


def sync(intake: Intake, paths: Sequence[Path], *, on_progress: Progress | None = None) -> SyncReport:
    """Add files and folders, or bring them up to date; what vanished at or below a given path is removed.

    A bad file becomes a rejection with a code; the others go on. Everything up to the last batch is durable when the
    process is killed, and adding again takes up from there.

    Raises:
        InputError: A path does not exist and nothing of it was ever added.
    """
    catalog, report = intake.catalog, SyncReport()
    states = {
        path: state for path, state in documents.sources(catalog).items() if not documents.is_imported(path, state)
    }
    roots = [str(path.resolve()) for path in paths]
    files = list(_files(intake.workspace, roots, states, report))
    todo = _compared(intake, files, states, report)
    missing = {path: states[path] for path in states.keys() - {str(path) for path in files}}
    moved = _moved(todo, missing)
    outcomes = _read(intake, todo, roots, report, on_progress)
    gone = set(moved.values()) | _gone(missing, roots, report)
    with catalog.transaction():
        documents.remove_sources(catalog, gone)
        documents.drop_orphans(catalog)
        images.forget_groups(catalog)
    report.renamed, report.removed = len(moved), len(gone) - len(moved)
    for source in todo:
        outcome = outcomes[source.sha256]
        if isinstance(outcome, Rejection):
            report.reject(source.path, outcome)
        elif source.path in states:
            report.changed += source.path not in moved
        else:
            report.new += source.path not in moved
    return report


def _files(workspace: Workspace, roots: Sequence[str], states: States, report: SyncReport) -> Iterator[Path]:
    """The files to look at: no names that cannot be stored, and nothing that the workspace keeps for itself.

    A report quotes test questions: read as a document it would answer them.
    """
    wanted = [Path(root) for root in roots if Path(root).exists() or not any(_below(path, root) for path in states)]
    own = [str(path) for path in (workspace.state, workspace.runs, workspace.settings_path)]
    for path in find_sources(wanted):
        try:
            str(path).encode()
        except UnicodeEncodeError:
            name = os.fsencode(path).decode("utf-8", "backslashreplace")
            report.reject(name, rejection("unreadable", "its name is not valid UTF-8: rename it"))
            continue
        if not any(_below(str(path), folder) for folder in own):
            yield path


def _compared(intake: Intake, files: Sequence[Path], states: States, report: SyncReport) -> list[Source]:
    """Files whose content is not the one in the catalog; a file that was only touched gets its new time."""
    todo: list[Source] = []
    touched: list[tuple[Source, str | Rejection]] = []
    unread = _unread(intake)
    for path in files:
        before = states.get(str(path))
        if before and (before.document in unread or _worth_a_retry(before, intake.sandbox)):
            before = None
        try:
            info = path.stat()
            if before and (before.size, before.mtime_ns) == (info.st_size, info.st_mtime_ns):
                report.leave(str(path), before)
                continue
            source = Source(str(path), sha256_of(path), info.st_size, info.st_mtime_ns)
        except FileNotFoundError:
            continue  # it was there when the folder was listed
        except OSError as error:
            why = not_opened(error)
            report.reject(str(path), why)
            if str(path) not in states and why.code != MACHINE:
                touched.append((Source(str(path), "", 0), why))
            continue
        if before and before.sha256 == source.sha256:
            report.leave(str(path), before)
            touched.append((source, before.document or Rejection(before.code, before.reason)))
        else:
            todo.append(source)
    _record(intake.catalog, touched)
    return todo


def _unread(intake: Intake) -> set[str]:
    """Documents that can be read now that text recognition is there."""
    return documents.unread(intake.catalog) if intake.sandbox.ocr else set()


def _worth_a_retry(state: documents.SourceState, sandbox: Sandbox) -> bool:
    """Whether a rejection may have been the machine's fault and not the file's; a crash may be of a parser since mended."""
    return state.code in ("unreadable", "crash") or (state.code == "ocr-missing" and sandbox.ocr)


def _moved(todo: Sequence[Source], missing: States) -> dict[str, str]:
    """New path -> old path of files that lie elsewhere now: same content, and nothing at the old path any more."""
    by_content: dict[str, list[str]] = {}
    for path, state in missing.items():
        by_content.setdefault(state.sha256, []).append(path)
    moved: dict[str, str] = {}
    for source in todo:
        old = by_content.get(source.sha256, [])
        while old and source.path not in moved:
            path = old.pop()
            if not os.path.lexists(path):
                moved[source.path] = path
    return moved


def _read(
    intake: Intake, todo: Sequence[Source], roots: Sequence[str], report: SyncReport, on_progress: Progress | None
) -> dict[str, str | Rejection]:
    """Parse what is new and keep it in durable batches; returns what became of each content, by its sha256."""
    catalog = intake.catalog
    outcomes: dict[str, str | Rejection] = {}
    fresh: dict[str, Source] = {}
    twins: list[Source] = []
    unread = _unread(intake)
    for source in todo:
        document = documents.document_by_hash(catalog, source.sha256)
        document = None if document in unread else document
        if document:
            outcomes[source.sha256] = document
        if document or source.sha256 in fresh:
            twins.append(source)
        else:
            fresh[source.sha256] = source
    by_path = {source.path: source for source in fresh.values()}
    results = intake.sandbox.parse_many([Path(path) for path in by_path])
    done = 0
    for batch in _batches(results, COMMIT_FILES):
        prepared = [_prepared(intake, by_path[str(path)], roots, outcome) for path, outcome in batch]
        _keep_pictures(intake.workspace, prepared)
        with catalog.transaction():
            for item in prepared:
                _keep(catalog, item, unread)
        for item in prepared:
            outcomes[item.source.sha256] = item.outcome if isinstance(item.outcome, Rejection) else item.outcome.id
            if item.warnings:
                report.warnings[item.source.path] = item.warnings
            done += 1
            if on_progress:
                on_progress(done, len(fresh), item.source.path)
    _record(catalog, [(twin, outcomes[twin.sha256]) for twin in twins if not _for_later(outcomes[twin.sha256])])
    return outcomes


_CHANGED = rejection("unreadable", "it changed while it was read: add it again")


def _for_later(outcome: object) -> bool:
    """Whether this says nothing of the content: what the catalog knows stays, and the next sync reads the file again."""
    return outcome is _CHANGED or (isinstance(outcome, Rejection) and outcome.code == MACHINE)


@dataclass(slots=True)
class _Prepared:
    source: Source
    outcome: Document | Rejection
    passages: list[Passage] = field(default_factory=list)
    removals: tuple[Removal, ...] = ()
    warnings: tuple[str, ...] = ()
    pictures: list[Picture] = field(default_factory=list)
    images: list[ImageRecord] = field(default_factory=list)


def _prepared(intake: Intake, source: Source, roots: Sequence[str], outcome: Parsed | Rejection) -> _Prepared:
    """Clean and cut a parsed file; one without any text or picture left is a rejection."""
    outcome = as_evidence(outcome)
    if isinstance(outcome, Rejection):
        return _Prepared(source, outcome)
    outcome = with_linked_pictures(outcome, Path(source.path), roots, intake.sandbox)
    if isinstance(outcome, Rejection):
        return _Prepared(source, outcome)
    cleaned, removals = clean(outcome)
    name = source.sha256[:32]
    pictures = distinct(cleaned.media)
    passages = split_passages(cleaned, name, max_words=intake.passage_words)
    if not passages and pictures:  # a picture without words is found by its caption, which is what can be cited of it
        captions = dict.fromkeys(picture.caption or cleaned.title for picture in pictures)
        spoken = replace(cleaned, blocks=tuple(Block(caption) for caption in captions))
        passages = split_passages(spoken, name, max_words=intake.passage_words)
    if not passages:
        return _Prepared(source, Rejection("empty", "there is no text in it"), warnings=outcome.warnings)
    try:
        kept = intake.workspace.put_blob(Path(source.path))
    except (FileNotFoundError, InputError):
        kept = ""
    if kept != source.sha256:  # what was parsed is perhaps neither the old content nor the new
        return _Prepared(source, _CHANGED)
    document = Document(
        id=name,
        external_id=source.path,
        title=cleaned.title or Path(source.path).stem,
        media_type=cleaned.media_type,
        language=language(" ".join(passage.text for passage in passages[:20])),
        meta=dict(cleaned.meta),
    )
    return _Prepared(source, document, passages, removals, outcome.warnings, pictures)


def _keep_pictures(workspace: Workspace, prepared: Sequence[_Prepared]) -> None:
    """Keep the renderings of a batch together: each of them waits for the disk."""
    kept = iter(keep(workspace, [picture for item in prepared for picture in item.pictures]))
    for item in prepared:
        own = list(islice(kept, len(item.pictures)))
        if isinstance(item.outcome, Document):
            item.images = records(item.outcome, item.passages, own)


def _keep(catalog: Catalog, item: _Prepared, unread: set[str]) -> None:
    """Write one file's outcome, inside the caller's transaction."""
    if _for_later(item.outcome):
        return
    if isinstance(item.outcome, Rejection):
        documents.set_source(catalog, item.source, item.outcome)
        return
    if item.outcome.id in unread:
        documents.forget(catalog, item.outcome.id)
    documents.add(catalog, item.outcome, item.passages, item.removals)
    images.add(catalog, item.outcome.id, item.images)
    documents.set_source(catalog, item.source, item.outcome.id)


def _record(catalog: Catalog, rows: Sequence[tuple[Source, str | Rejection]]) -> None:
    """Write what became of many sources in one transaction: each commit waits for the disk."""
    if rows:
        with catalog.transaction():
            for source, outcome in rows:
                documents.set_source(catalog, source, outcome)


def _gone(missing: Iterable[str], roots: Sequence[str], report: SyncReport) -> set[str]:
    """The missing sources that are really not there; below a folder that cannot be listed nobody knows."""
    gone: set[str] = set()
    closed: dict[Path, str] = {}
    for path in missing:
        root = next((root for root in roots if _below(path, root)), None)
        if root is None:
            continue
        above = [folder for folder in Path(path).parents if _below(str(folder), root)]
        locked = [folder for folder in above if _why_closed(folder, closed)]
        if not locked:
            gone.add(path)
        for folder in locked:
            report.reject(str(folder), rejection("unreadable", closed[folder]))
    return gone


def _why_closed(folder: Path, seen: dict[Path, str]) -> str:
    """Why a folder that is there cannot be listed; "" for one that can, or that is gone."""
    if folder not in seen:
        try:
            os.scandir(folder).close()
            seen[folder] = ""
        except (FileNotFoundError, NotADirectoryError):
            seen[folder] = ""
        except OSError as error:
            seen[folder] = error.strerror or str(error)
    return seen[folder]


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _batches(
    items: Iterator[tuple[Path, Parsed | Rejection]], size: int
) -> Iterator[list[tuple[Path, Parsed | Rejection]]]:
    while batch := list(islice(items, size)):
        yield batch
