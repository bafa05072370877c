"""init, add, import, label, status, compact: what goes into the catalog, and what is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from honed.cli.app import Json, app, session, workspace
from honed.cli.output import Progress, columns, emit, note, tell

if TYPE_CHECKING:
    from honed.ingest.confine import Protection
    from honed.ingest.importing import ImportReport
    from honed.ingest.sync import SyncReport
    from honed.session import Session
    from honed.types import Split


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make a workspace of.")] = Path(),
    as_json: Json = False,
) -> None:
    """Make a folder a workspace."""
    from honed.catalog import Catalog
    from honed.config import DEFAULT_FILE
    from honed.workspace import create

    place = create(folder, DEFAULT_FILE)
    with place.writing(), Catalog(place.catalog_path, create=True):
        pass
    emit({"workspace": str(place.root)}, f"{place.root} is a workspace. Next: honed add PATH", as_json=as_json)


@app.command()
def add(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders; again = sync.")],
    as_json: Json = False,
) -> None:
    """Add files and folders, or bring them up to date.

    PDF, DOCX, PPTX, XLSX, CSV, JSON Lines, HTML, Markdown, reStructuredText, text, e-mail; PNG, JPEG, WebP, GIF, TIFF, BMP,
    AVIF and SVG pictures, and the figures of documents. The extra `ocr` also reads the text in pictures and scans.
    """
    import time

    from honed.catalog import images
    from honed.ingest.sandbox import Sandbox
    from honed.ingest.sync import Intake, sync
    from honed.settle import settle

    started = time.monotonic()
    with (
        session(write=True, create=True) as opened,
        Sandbox(required=opened.settings.sandbox_required) as sandbox,
    ):
        intake = Intake(opened.workspace, opened.catalog, sandbox, opened.settings.passage_words)
        report = sync(intake, paths, on_progress=Progress("reading"))
        notes = settle(opened, tell, progress=Progress("embedding"))
        count = opened.catalog.passage_count()
        pictures = images.counts(opened.catalog)
    for line in (*_skipped(report), *_unprotected(sandbox.used), *notes):
        note(line)
    value = {
        "new": report.new,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "renamed": report.renamed,
        "removed": report.removed,
        "rejected": {path: code for path, (code, _) in report.rejected.items()},
        "still_rejected": report.still,
        "protection": sandbox.used.as_dict() if sandbox.used else None,
        "passages": count,
        "images": sum(pictures.values()),
        "seconds": round(time.monotonic() - started, 2),
    }
    text = (
        f"{report.new} new, {report.changed} changed, {report.renamed} renamed, {report.removed} removed, "
        f"{report.unchanged} unchanged, {len(report.rejected)} skipped; {count:,} passages"
        f"{f', {sum(pictures.values()):,} images' if pictures else ''}."
    )
    emit(value, text, as_json=as_json)


_MOST_REPEATED = 5


def _skipped(report: SyncReport) -> Iterator[str]:
    """A line for each file that was skipped, and those that were skipped before and are unchanged since."""
    for path, (code, reason) in report.rejected.items():
        yield f"skipped {path}: {reason} [{code}]"
    from honed.ingest.codes import MACHINE

    waiting = sum(code == MACHINE for code, _ in report.rejected.values())
    if waiting:
        yield f"{waiting} of them are in order as far as is known: honed add reads them when the machine has room again"
    if len(report.still) <= _MOST_REPEATED:
        yield from (f"still skipped {path}: [{code}]" for path, code in report.still.items())
    else:
        codes = Counter(report.still.values()).most_common()
        yield f"still skipped {len(report.still)} files: {', '.join(f'{count} {code}' for code, count in codes)}"


def _unprotected(used: Protection | None) -> list[str]:
    if used is None or used.whole:
        return []
    return [f"The files were parsed with less protection than they should have: {used}; see honed doctor"]


@app.command("import")
def import_(
    folder: Annotated[
        Path,
        typer.Argument(
            help="BEIR folder: corpus.jsonl, queries.jsonl, qrels/*.tsv, answers.jsonl; or image pack: items.jsonl, images/."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Import a BEIR folder with its questions, judgements and splits, or an image pack with its groups; again = sync."""
    import time
    from dataclasses import asdict

    from honed.formats import is_pack
    from honed.settle import settle

    started = time.monotonic()
    with session(write=True, create=True) as opened:
        report, given = (_import_pack if is_pack(folder) else _import_beir)(opened, folder)
        notes = settle(opened, tell, given=given, progress=Progress("embedding"))
        count = opened.catalog.passage_count()
    for line in notes:
        note(line)
    for name, code in report.rejected.items():
        note(f"skipped {name} [{code}]")
    value = asdict(report) | {"notes": list(notes), "passages": count, "seconds": round(time.monotonic() - started, 2)}
    came = (
        f"{report.images:,} images in {report.groups:,} groups"
        if report.images
        else f"{report.queries:,} questions with {report.qrels:,} judgements"
    )
    text = (
        f"{report.new:,} new, {report.changed:,} changed, {report.removed:,} removed documents; {count:,} passages; "
        f"{came}. Next: honed tune --budget 10m"
    )
    emit(value, text, as_json=as_json)


def _import_beir(opened: Session, folder: Path) -> tuple[ImportReport, dict[str, Split | None]]:
    from honed.formats import read_beir
    from honed.ingest.importing import import_beir

    beir = read_beir(folder)
    report = import_beir(
        opened.catalog,
        beir,
        passage_words=opened.settings.passage_words,
        on_progress=lambda done: tell(f"read {done:,} rows") if done % 10_000 == 0 else None,
    )
    return report, {query.id: query.split for query in beir.queries}


def _import_pack(opened: Session, folder: Path) -> tuple[ImportReport, dict[str, Split | None]]:
    from honed.formats import read_pack
    from honed.ingest.importing_images import import_pack
    from honed.ingest.sandbox import Sandbox
    from honed.ingest.sync import Intake

    pack = read_pack(folder)
    with Sandbox(required=opened.settings.sandbox_required) as sandbox:
        intake = Intake(opened.workspace, opened.catalog, sandbox, opened.settings.passage_words)
        progress = Progress("reading")
        report = import_pack(intake, pack, on_progress=lambda done: progress(done, len(pack.items)))
        for line in _unprotected(sandbox.used):
            note(line)
        return report, {}


@app.command()
def label(
    table: Annotated[
        Path | None,
        typer.Argument(help="CSV or TSV: question, source (and grade), or image, group (and split, variant)."),
    ] = None,
    by_folder: Annotated[
        Path | None,
        typer.Option("--by-folder", help="Each folder below this one is a group of pictures; again = sync."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what was asked and what answers it, or which pictures show the same, by a table or by folders."""
    from honed.dataset.image_labels import label_by_folder, label_pictures
    from honed.dataset.prepare import add_labels
    from honed.errors import InputError, UsageError
    from honed.formats import Labels, read_labels

    if (table is None) == (by_folder is None):
        raise UsageError(
            "One table or one folder of pictures is needed.", hint="honed label FILE.csv, or --by-folder DIR"
        )
    if table and not table.is_file():
        raise InputError(
            f"There is no file {table}.", hint="a CSV with the columns question and source, or image and group"
        )
    labels = read_labels(table) if table else Labels()
    with session(write=True) as opened:
        catalog, seed = opened.catalog, opened.settings.seed
        if by_folder or labels.pictures:
            notes = (
                label_by_folder(catalog, by_folder, seed=seed)
                if by_folder
                else label_pictures(catalog, labels.pictures, seed=seed)
            )
            value, text = _grouped(opened)
        else:
            count, notes = add_labels(catalog, labels.questions, seed=seed)
            value, text = {"questions": count}, f"{count:,} questions. Next: honed tune"
    for line in notes:
        note(line)
    emit(value | {"notes": list(notes)}, text, as_json=as_json)


def _grouped(opened: Session) -> tuple[dict[str, Any], str]:
    """Counts of groups of pictures, as JSON for scripts and as text for people."""
    from honed.catalog import images

    counts = images.group_counts(opened.catalog)
    return counts, f"{_groups(counts)}. Next: honed tune --role image-retriever"


def _groups(counts: dict[str, Any]) -> str:
    splits = ", ".join(f"{count:,} {split}" for split, count in counts["splits"].items())
    return f"{counts['groups']:,} groups of {counts['pictures']:,} pictures ({splits})"


@app.command()
def status(
    as_json: Json = False,
    sources: Annotated[bool, typer.Option("--sources", help="List every source with what became of it.")] = False,
) -> None:
    """Show what is in the workspace, how large it is, and what was skipped and why."""
    from honed.catalog import documents, history, images
    from honed.ingest.codes import CODES

    with session() as opened:
        counts = documents.counts(opened.catalog)
        counts["groups"] = images.group_counts(opened.catalog)
        states = documents.sources(opened.catalog) if sources else {}
        live = history.live_release(opened.catalog)
    place = workspace()
    size = _bytes(place.state)
    value = counts | {"live": f"r{live}" if live else None, "bytes": size, "workspace": str(place.root)}
    if sources:
        value["files"] = {path: state.code or "ok" for path, state in states.items()}
    rows = [
        ["workspace", str(place.root)],
        ["live release", f"r{live}" if live else "none"],
        ["sources", f"{counts['sources']:,}"],
        ["documents", f"{counts['documents']:,}"],
        ["passages", f"{counts['passages']:,}"],
        *([["images", _kinds(counts["images"])]] if counts["images"] else []),
        *([["groups", _groups(counts["groups"])]] if counts["groups"]["groups"] else []),
        ["questions", ", ".join(f"{count:,} {split}" for split, count in counts["queries"].items()) or "none"],
        ["on disk", f"{size / 1e6:.1f} MB"],
        *([f"skipped {code}", f"{count:,}: {CODES.get(code, '')}"] for code, count in counts["skipped"].items()),
        *([f"removed {rule}", f"{count:,}"] for rule, count in counts["removed"].items()),
        *([state.code or "ok", path] for path, state in states.items()),
    ]
    emit(value, columns(rows), as_json=as_json)


def _kinds(counts: dict[str, int]) -> str:
    """Images by kind, in words."""
    names = {"file": "picture files", "figure": "figures", "page": "pages"}
    return ", ".join(f"{count:,} {names[kind]}" for kind, count in counts.items())


def _bytes(folder: Path) -> int:
    """Size of all files below a folder; what another process removes meanwhile counts as nothing."""
    import os
    from contextlib import suppress

    total = 0
    for above, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(above, name).stat().st_size
    return total
