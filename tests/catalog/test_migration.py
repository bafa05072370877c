"""Files that older versions made open as they are, and nothing in them is lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from honed.catalog import Catalog, documents, images
from honed.catalog.schema import FORMAT
from honed.errors import BusyError, IntegrityError
from tests.catalog.make import drop, put
from tests.catalog.pictures import show

OLD = Path(__file__).with_name("format_1.sql")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A catalog of format 1 with a document, made without the present code."""
    path = tmp_path / "catalog.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD.read_text())
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO meta VALUES ('format', '1')")
        connection.execute("INSERT INTO documents VALUES (7, 'd', 'a.txt', 'Title', 'text/plain', 'en', '{}', NULL)")
        connection.execute("INSERT INTO sources VALUES ('a.txt', 'sha', 1, 1, 'd', '', '')")
        connection.execute("INSERT INTO passages VALUES (9, 'p', 7, 0, 'Title', '[]', 'words', NULL, x'00')")
    connection.close()
    return path


def shape(path: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
    connection.close()
    return rows


def test_an_old_file_becomes_a_new_one_and_keeps_what_it_held(old: Path, tmp_path: Path) -> None:
    with Catalog(old) as catalog:
        assert [(row, name, passage.text) for row, name, passage in documents.passages(catalog)] == [
            (9, "a.txt", "words")
        ]
        assert catalog.seq == 1
        assert images.counts(catalog) == {}
        put(catalog, "b.png")
        show(catalog, "id-of-b.png", "x", kind="file")
        drop(catalog, "b.png")
        assert images.seq(catalog) == 2
    Catalog(tmp_path / "new.db", create=True).close()
    assert shape(old) == shape(tmp_path / "new.db"), "migrated and new files have the same tables"
    with Catalog(old) as again:
        assert again.execute("SELECT value FROM meta WHERE key = 'format'").fetchone() == (str(FORMAT),)


def test_a_migration_that_fails_leaves_the_old_file(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = shape(old)
    monkeypatch.setitem(
        __import__("honed.catalog.database").catalog.database.MIGRATIONS, 1, "CREATE TABLE images (a);\nNONSENSE;"
    )
    with pytest.raises(IntegrityError):
        Catalog(old)
    assert shape(old) == before
    monkeypatch.undo()
    with Catalog(old) as catalog:
        assert catalog.passage_count() == 1


def test_a_reader_of_the_older_version_goes_on(old: Path) -> None:
    reader = sqlite3.connect(old)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM passages").fetchone() == (1,)
    with Catalog(old) as catalog:
        put(catalog, "b")
    assert reader.execute("SELECT count(*) FROM passages").fetchone() == (1,)
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM passages").fetchone() == (2,)
    reader.close()


def test_a_file_that_another_process_is_writing_is_not_waited_for_in_vain(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = sqlite3.connect(old, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **options: connect(path, **options | {"timeout": 0.01}))
    with pytest.raises(BusyError):
        Catalog(old)
    writer.execute("COMMIT")
    with Catalog(old) as catalog:
        assert catalog.passage_count() == 1
    writer.close()
