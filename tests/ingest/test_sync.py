"""`sync` against a real catalog and the real sandbox, on small files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import pytest

from honed.catalog import Catalog, documents, images, judgements
from honed.errors import InputError
from honed.formats import read_beir
from honed.ingest import sync as sync_module
from honed.ingest.codes import rejection
from honed.ingest.forkserver import Ended, ForkServer
from honed.ingest.importing import import_beir
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake, SyncReport, sync
from honed.models.painter.provenance import Provenance, save_picture
from honed.types import Qrel, Query, Source
from honed.workspace import Workspace, create
from tests.ingest.draw import waves


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create(tmp_path / "ws", "")


@pytest.fixture
def catalog(workspace: Workspace) -> Iterator[Catalog]:
    with Catalog(workspace.catalog_path, create=True) as opened:
        yield opened


@pytest.fixture
def intake(workspace: Workspace, catalog: Catalog, sandbox: Sandbox) -> Intake:
    return Intake(workspace, catalog, sandbox, passage_words=160)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    return folder


def texts(catalog: Catalog) -> dict[str, str]:
    """File name -> text, of what is in the catalog."""
    return {Path(name).name: passage.text for _, name, passage in documents.passages(catalog)}


def counts(report: SyncReport) -> tuple[int, int, int, int, int, int]:
    return report.new, report.changed, report.renamed, report.removed, report.unchanged, len(report.rejected)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_new_changed_renamed_removed_and_unchanged(intake: Intake, docs: Path) -> None:
    for name in ("a", "b", "c", "d"):
        write(docs / f"{name}.txt", f"Text of file {name}.")
    assert counts(sync(intake, [docs])) == (4, 0, 0, 0, 0, 0)
    assert counts(sync(intake, [docs])) == (0, 0, 0, 0, 4, 0)

    write(docs / "a.txt", "Another text of file a.")
    (docs / "b.txt").rename(docs / "z.txt")
    (docs / "c.txt").unlink()
    assert counts(sync(intake, [docs])) == (0, 1, 1, 1, 1, 0)
    assert texts(intake.catalog) == {
        "a.txt": "Another text of file a.",
        "z.txt": "Text of file b.",
        "d.txt": "Text of file d.",
    }


def test_a_renamed_file_keeps_its_passage_and_its_labels(intake: Intake, docs: Path) -> None:
    old = write(docs / "old.txt", "The fever rises at night.")
    sync(intake, [docs])
    before = documents.external_ids(intake.catalog)[0].tolist()
    with intake.catalog.transaction():
        judgements.add(intake.catalog, [Query("q", "fever?")], [Qrel("q", str(old))], origin="labels")
    old.rename(docs / "new name ü.txt")
    sync(intake, [docs])
    rowids, names = documents.external_ids(intake.catalog)
    assert (rowids.tolist(), names) == (before, [str(docs / "new name ü.txt")])
    assert [query.id for query in judgements.queries(intake.catalog, "train")] == ["q"]


def test_labels_of_a_changed_file_stay_with_its_path(intake: Intake, docs: Path) -> None:
    first = write(docs / "a.txt", "One text.")
    write(docs / "twin.txt", "One text.")
    sync(intake, [docs])
    with intake.catalog.transaction():
        judgements.add(intake.catalog, [Query("q", "text?")], [Qrel("q", str(first))], origin="labels")
    write(first, "Another text.")
    sync(intake, [docs])
    assert judgements.qrels(intake.catalog) == {"q": {str(first): 1}}
    assert texts(intake.catalog) == {"a.txt": "Another text.", "twin.txt": "One text."}


def test_relative_paths_name_the_same_files(intake: Intake, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(docs / "a.txt", "Text a.")
    write(docs / "b.txt", "Text b.")
    monkeypatch.chdir(docs.parent)
    sync(intake, [Path("docs")])
    monkeypatch.chdir(docs)
    assert counts(sync(intake, [Path()])) == (0, 0, 0, 0, 2, 0)
    (docs / "a.txt").unlink()
    monkeypatch.chdir(docs.parent)
    assert counts(sync(intake, [Path("docs")])) == (0, 0, 0, 1, 1, 0)
    assert set(texts(intake.catalog)) == {"b.txt"}


def test_a_folder_reached_through_a_link_is_the_same_folder(intake: Intake, docs: Path, tmp_path: Path) -> None:
    write(docs / "a.txt", "Text a.")
    (tmp_path / "link").symlink_to(docs)
    sync(intake, [tmp_path / "link"])
    assert counts(sync(intake, [docs])) == (0, 0, 0, 0, 1, 0)
    (docs / "a.txt").unlink()
    assert sync(intake, [tmp_path / "link"]).removed == 1


def test_twins_share_a_document_until_the_last_is_gone(intake: Intake, docs: Path) -> None:
    write(docs / "a.txt", "The same text.")
    write(docs / "sub/b.txt", "The same text.")
    assert sync(intake, [docs]).new == 2
    assert len(texts(intake.catalog)) == 1
    (docs / "a.txt").unlink()
    assert counts(sync(intake, [docs])) == (0, 0, 0, 1, 1, 0)
    assert texts(intake.catalog) == {"b.txt": "The same text."}
    (docs / "sub/b.txt").unlink()
    sync(intake, [docs])
    assert texts(intake.catalog) == {}


def test_twins_that_cannot_be_read_are_both_skipped_once(intake: Intake, docs: Path) -> None:
    for name in ("a.bin", "b.bin"):
        (docs / name).write_bytes(bytes(range(256)) * 8)
    report = sync(intake, [docs])
    assert counts(report) == (0, 0, 0, 0, 0, 2)
    assert counts(sync(intake, [docs])) == (0, 0, 0, 0, 2, 0)


def test_a_rejected_file_that_was_mended_is_taken(intake: Intake, docs: Path) -> None:
    path = docs / "a.txt"
    path.write_bytes(bytes(range(256)) * 8)
    assert sync(intake, [docs]).rejected[str(path)][0] == "binary"
    write(path, "Mended text.")
    assert counts(sync(intake, [docs])) == (0, 1, 0, 0, 0, 0)
    assert texts(intake.catalog) == {"a.txt": "Mended text."}
    assert documents.counts(intake.catalog)["skipped"] == {}


def test_a_scan_is_read_again_once_text_recognition_is_there(
    intake: Intake, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.ingest.test_ocr import photo, scan

    scan(docs)
    photo(docs)
    shutil.copy(docs / "photo.png", docs / "twin.png")
    assert sync(intake, [docs]).rejected == {str(docs / "scan.pdf"): ("ocr-missing", ANY)}
    assert texts(intake.catalog) == {"photo.png": "photo"}
    assert counts(sync(intake, [docs])) == (0, 0, 0, 0, 3, 0)
    monkeypatch.setattr(intake.sandbox, "ocr", True)
    monkeypatch.setattr(intake.sandbox, "parse_many", lambda paths: iter([(path, _parsed()) for path in paths]))
    assert counts(sync(intake, [docs])) == (0, 3, 0, 0, 0, 0)
    assert texts(intake.catalog) == {"scan.pdf": "recognised", "photo.png": "recognised"}
    assert counts(sync(intake, [docs])) == (0, 0, 0, 0, 3, 0)


def _parsed() -> object:
    from honed.types import Block, Parsed

    return Parsed("", (Block("recognised"),), "image/png")


def test_a_removed_folder_takes_its_documents_with_it(intake: Intake, docs: Path) -> None:
    write(docs / "keep/a.txt", "Kept text.")
    write(docs / "drop/b.txt", "Dropped text.")
    sync(intake, [docs])
    (docs / "drop/b.txt").unlink()
    (docs / "drop").rmdir()
    assert counts(sync(intake, [docs / "drop"])) == (0, 0, 0, 1, 0, 0)
    assert set(texts(intake.catalog)) == {"a.txt"}
    (docs / "keep/a.txt").unlink()
    assert sync(intake, [docs / "keep/a.txt"]).removed == 1
    with pytest.raises(InputError, match="No such file"):
        sync(intake, [docs / "never-was"])


def test_adding_one_folder_leaves_the_others(intake: Intake, docs: Path) -> None:
    write(docs / "a/1.txt", "One.")
    write(docs / "ab/2.txt", "Two.")
    sync(intake, [docs / "a"])
    sync(intake, [docs / "ab"])
    (docs / "ab/2.txt").unlink()
    sync(intake, [docs / "a"])
    assert set(texts(intake.catalog)) == {"1.txt", "2.txt"}


def test_files_moved_to_another_folder_leave_their_old_one(intake: Intake, docs: Path, tmp_path: Path) -> None:
    write(docs / "a.txt", "Text a.")
    sync(intake, [docs])
    docs.rename(tmp_path / "moved")
    assert counts(sync(intake, [tmp_path / "moved"])) == (0, 0, 1, 0, 0, 0)
    assert list(documents.sources(intake.catalog)) == [str(tmp_path / "moved/a.txt")]
    (tmp_path / "moved/a.txt").unlink()
    sync(intake, [tmp_path / "moved"])
    assert texts(intake.catalog) == {}


def test_one_vanished_file_is_renamed_once(intake: Intake, docs: Path) -> None:
    write(docs / "a.txt", "Text a.")
    sync(intake, [docs])
    (docs / "a.txt").rename(docs / "b.txt")
    write(docs / "c.txt", "Text a.")
    assert counts(sync(intake, [docs])) == (1, 0, 1, 0, 0, 0)


def test_two_files_that_swap_their_content(intake: Intake, docs: Path) -> None:
    write(docs / "a.txt", "First text.")
    write(docs / "b.txt", "Second text.")
    sync(intake, [docs])
    write(docs / "a.txt", "Second text.")
    write(docs / "b.txt", "First text.")
    assert counts(sync(intake, [docs])) == (0, 2, 0, 0, 0, 0)
    assert texts(intake.catalog) == {"a.txt": "Second text.", "b.txt": "First text."}


def test_imported_rows_below_an_added_folder_stay(intake: Intake, docs: Path) -> None:
    write(docs / "pack/corpus.jsonl", '{"_id": "d1", "title": "", "text": "An imported row."}\n')
    import_beir(intake.catalog, read_beir(docs / "pack"), passage_words=160)
    write(docs / "a.txt", "Text a.")
    report = sync(intake, [docs / "a.txt", docs / "pack"])
    assert report.removed == 0
    assert texts(intake.catalog)["d1"] == "An imported row."


def test_the_workspace_does_not_read_its_own_files(intake: Intake) -> None:
    root = intake.workspace.root
    write(root / "runs/1/report.html", "<html><body><p>Which test questions were lost.</p></body></html>")
    write(root / "honed.toml", "# settings\n")
    write(root / "note.txt", "A note beside the settings.")
    assert counts(sync(intake, [root])) == (1, 0, 0, 0, 0, 0)
    assert set(texts(intake.catalog)) == {"note.txt"}


def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_time(
    intake: Intake, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(docs / "log.txt", "First content.")
    write(docs / "still.txt", "Quiet content.")
    original = intake.sandbox.parse_many

    def parse_late(paths: list[Path]) -> Iterator[tuple[Path, object]]:
        write(path, "Second content.")
        yield from original(paths)

    monkeypatch.setattr(intake.sandbox, "parse_many", parse_late)
    report = sync(intake, [docs])
    assert list(report.rejected) == [str(path)]
    assert "changed while" in report.rejected[str(path)][1]
    assert texts(intake.catalog) == {"still.txt": "Quiet content."}
    monkeypatch.undo()
    write(path, "First content.")
    sync(intake, [docs])
    assert texts(intake.catalog) == {"log.txt": "First content.", "still.txt": "Quiet content."}


@pytest.mark.parametrize("moment", ["before its size is known", "while it is parsed"])
def test_a_file_that_vanishes_meanwhile_does_not_stop_the_others(
    intake: Intake, docs: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    path = write(docs / "a.txt", "Text a.")
    write(docs / "b.txt", "Text b.")
    if moment.startswith("before"):
        find = sync_module.find_sources

        def list_then_lose(paths: list[Path]) -> list[Path]:
            found = list(find(paths))
            path.unlink()
            return found

        monkeypatch.setattr(sync_module, "find_sources", list_then_lose)
    else:
        parse = intake.sandbox.parse_many

        def parse_then_lose(paths: list[Path]) -> Iterator[tuple[Path, object]]:
            outcomes = list(parse(paths))
            path.unlink()
            yield from outcomes

        monkeypatch.setattr(intake.sandbox, "parse_many", parse_then_lose)
    sync(intake, [docs])
    assert texts(intake.catalog) == {"b.txt": "Text b."}


def test_a_name_that_is_no_unicode_is_reported(intake: Intake, docs: Path) -> None:
    write(docs / "good ünïcode 文.txt", "Good text.")
    with open(os.path.join(os.fsencode(docs), b"caf\xe9.txt"), "wb") as file:  # noqa: PTH118, PTH123
        file.write(b"Text in a badly named file.")
    report = sync(intake, [docs])
    assert set(texts(intake.catalog)) == {"good ünïcode 文.txt"}
    (shown,) = report.rejected
    assert shown.encode() and "caf\\xe9.txt" in shown


def test_a_folder_that_cannot_be_listed_keeps_its_documents(
    intake: Intake, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(docs / "a.txt", "Text a.")
    write(docs / "share/b.txt", "Text b.")
    sync(intake, [docs])
    scandir = os.scandir

    def stale(path: object) -> object:
        if str(path).endswith("share"):
            raise OSError(116, "Stale file handle")
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", stale)
    report = sync(intake, [docs])
    assert report.removed == 0
    assert set(texts(intake.catalog)) == {"a.txt", "b.txt"}
    assert "Stale" in report.rejected[str(docs / "share")][1]


def test_names_that_sql_or_paths_could_trip_over(intake: Intake, docs: Path) -> None:
    names = ["100%_done.txt", "it's.txt", "a#b.txt", "semi;colon.txt", "new\nline.txt", "  spaced  .txt", "[x]*?.txt"]
    for number, name in enumerate(names):
        write(docs / name, f"Text number {number}.")
    assert sync(intake, [docs]).new == len(names)
    (docs / "a#b.txt").unlink()
    (docs / "100%_done.txt").unlink()
    assert sync(intake, [docs]).removed == 2
    assert set(texts(intake.catalog)) == set(names) - {"a#b.txt", "100%_done.txt"}


def test_many_touched_and_renamed_files_cost_one_commit(intake: Intake, docs: Path) -> None:
    for number in range(40):
        write(docs / f"{number}.txt", f"Text number {number}.")
    sync(intake, [docs])
    for number in range(40):
        path = docs / f"{number}.txt"
        if number % 2:
            os.utime(path, ns=(1, 1 + number))
        else:
            path.rename(docs / f"renamed-{number}.txt")
    statements: list[str] = []
    intake.catalog._connection.set_trace_callback(statements.append)
    assert counts(sync(intake, [docs])) == (0, 0, 20, 0, 20, 0)
    intake.catalog._connection.set_trace_callback(None)
    assert sum(statement == "COMMIT" for statement in statements) <= 3


def test_what_was_committed_before_a_kill_is_not_read_again(
    intake: Intake, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(sync_module.COMMIT_FILES + 4):
        write(docs / f"{number:02}.txt", f"Text number {number}.")

    def stop(done: int, total: int, path: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(intake, [docs], on_progress=stop)
    report = sync(intake, [docs])
    assert (report.unchanged, report.new) == (sync_module.COMMIT_FILES, 4)


def test_a_drawing_of_the_generator_is_no_evidence(intake: Intake, docs: Path) -> None:
    """Neither as a file nor as the figure of a page; a picture that becomes one goes."""
    save_picture(docs / "drawn.png", waves(3), Provenance("a wave", 1, "compact:painter", "r3"))
    waves(4).save(docs / "real.png")
    write(docs / "page.md", "# Page\n\nWords.\n\n![drawn](drawn.png)\n\n![real](real.png)\n")
    report = sync(intake, [docs])
    assert {Path(path).name: code for path, (code, _) in report.rejected.items()} == {"drawn.png": "generated"}
    assert images.counts(intake.catalog) == {"figure": 1, "file": 1}
    assert documents.counts(intake.catalog)["skipped"] == {"generated": 1}
    assert sync(intake, [docs]).new == 0
    save_picture(docs / "real.png", waves(4), Provenance("a wave", 1, "compact:painter", "r3"))
    sync(intake, [docs])
    assert "file" not in images.counts(intake.catalog)


def test_a_machine_short_of_something_loses_nothing_and_the_next_sync_reads_the_files(
    intake: Intake, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write(docs / "old.txt", "The dam was finished in spring.")
    assert counts(sync(intake, [docs])) == (1, 0, 0, 0, 0, 0)
    write(old, "The dam was finished in autumn.")
    write(docs / "new.txt", "The road was closed.")
    write(docs / "twin.txt", "The road was closed.")

    def short(*_: object, **__: object) -> Ended:
        return Ended(failed="Cannot allocate memory")

    with monkeypatch.context() as machine:
        machine.setattr(ForkServer, "run", short)
        report = sync(intake, [docs])
    assert {Path(path).name: code for path, (code, _) in report.rejected.items()} == dict.fromkeys(
        ("old.txt", "new.txt", "twin.txt"), "machine"
    )
    assert texts(intake.catalog) == {"old.txt": "The dam was finished in spring."}
    assert counts(sync(intake, [docs])) == (2, 1, 0, 0, 0, 0)
    assert set(texts(intake.catalog).values()) == {"The dam was finished in autumn.", "The road was closed."}


def test_what_was_rejected_is_told_again_and_what_crashed_before_is_read_again(
    intake: Intake, catalog: Catalog, docs: Path
) -> None:
    write(docs / "good.txt", "The road was closed.")
    (docs / "bad.bin").write_bytes(bytes(range(256)) * 16)
    sync(intake, [docs])
    [source] = [row for row in documents.sources(catalog).items() if row[0].endswith("good.txt")]
    path, state = source
    with catalog.transaction():  # as a version before this one noted it on a busy machine
        documents.set_source(
            catalog, Source(path, state.sha256, state.size, state.mtime_ns), rejection("crash", "exit 1")
        )
        documents.drop_orphans(catalog)
    report = sync(intake, [docs])
    assert {Path(path).name: code for path, code in report.still.items()} == {"bad.bin": "binary"}
    assert texts(catalog) == {"good.txt": "The road was closed."}
