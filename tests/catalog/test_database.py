from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from honed.catalog import Catalog
from honed.errors import BusyError, IntegrityError, MissingError, UsageError
from tests.catalog.make import drop, put


def test_opening_what_is_not_there_or_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no catalog") as missing:
        Catalog(tmp_path / "none.db")
    assert missing.value.hint
    (tmp_path / "text.db").write_text(
        "this is not a database, and it is longer than a header of one hundred bytes\n" * 9
    )
    with pytest.raises(IntegrityError, match="cannot be read") as broken:
        Catalog(tmp_path / "text.db")
    assert "backup" in broken.value.hint
    (tmp_path / "empty.db").touch()
    with pytest.raises(IntegrityError):
        Catalog(tmp_path / "empty.db")
    with pytest.raises(IntegrityError, match="unable to open") as closed:
        Catalog(tmp_path / "no/such/folder.db", create=True)
    assert "you may write" in closed.value.hint
    with Catalog(tmp_path / "empty.db", create=True) as mended:
        assert mended.passage_count() == 0


def test_a_catalog_of_a_newer_version(catalog: Catalog) -> None:
    catalog.execute("UPDATE meta SET value = '999' WHERE key = 'format'")
    with pytest.raises(UsageError, match="newer version"):
        Catalog(catalog.path)


def test_every_commit_waits_for_the_disk(catalog: Catalog) -> None:
    assert catalog.execute("PRAGMA synchronous").fetchone() == (2,)
    assert catalog.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_transaction_is_all_or_nothing(catalog: Catalog) -> None:
    with pytest.raises(RuntimeError), catalog.transaction():
        catalog.execute("INSERT INTO meta VALUES ('a', '1')")
        raise RuntimeError
    assert catalog.execute("SELECT count(*) FROM meta").fetchone() == (1,)
    with catalog.transaction():
        catalog.execute("INSERT INTO meta VALUES ('a', '1')")
    assert catalog.execute("SELECT count(*) FROM meta").fetchone() == (2,)


def test_a_transaction_that_sqlite_ended_shows_its_own_error(catalog: Catalog) -> None:
    with pytest.raises(sqlite3.OperationalError, match="disk is full"), catalog.transaction():
        catalog.execute("ROLLBACK")  # as SQLite itself does when the disk is full
        raise sqlite3.OperationalError("database or disk is full")
    with catalog.transaction():
        pass


def test_a_commit_that_fails_leaves_no_open_transaction(catalog: Catalog) -> None:
    catalog.execute("PRAGMA defer_foreign_keys = ON")
    with pytest.raises(sqlite3.IntegrityError), catalog.transaction():
        catalog.execute("PRAGMA defer_foreign_keys = ON")
        catalog.execute("INSERT INTO qrels VALUES ('no such query', 'd', 1)")
    assert not catalog._connection.in_transaction
    with catalog.transaction():
        pass


def test_a_reader_sees_whole_commits_and_never_waits(catalog: Catalog) -> None:
    put(catalog, "a", "one", "two")
    with Catalog(catalog.path) as reader:
        rows = reader.index_rows()
        first = next(rows)
        put(catalog, "b", "three")
        assert [first[0], *(row[0] for row in rows)] == [1, 2], "a statement sees one moment"
        assert reader.passage_count() == 3
        with catalog.transaction():
            catalog.execute("DELETE FROM passages")
            assert reader.passage_count() == 3, "what is not committed is not seen"


def test_a_snapshot_sees_one_moment_over_many_statements(catalog: Catalog) -> None:
    put(catalog, "a")
    with Catalog(catalog.path) as reader:
        with reader.snapshot():
            assert reader.passage_count() == 1
            put(catalog, "b")
            assert reader.passage_count() == 1
        assert reader.passage_count() == 2
    with catalog.transaction(), catalog.snapshot():
        pass  # inside a transaction it is one already


def test_a_second_writer_is_told_to_wait(catalog: Catalog) -> None:
    other = Catalog(catalog.path)
    other.execute("PRAGMA busy_timeout = 10")
    with catalog.transaction(), pytest.raises(BusyError, match="another process") as busy, other.transaction():
        pass
    assert busy.value.hint
    other.close()
    other.close()


def test_changes_tell_what_came_and_went(catalog: Catalog) -> None:
    assert (catalog.seq, catalog.changes_since(0)) == (0, [])
    put(catalog, "a", "one", "two")
    middle = catalog.seq
    drop(catalog, "a")
    assert [(change.rowid, change.op) for change in catalog.changes_since(0)] == [
        (1, "add"), (2, "add"), (1, "remove"), (2, "remove"),
    ]  # fmt: skip
    assert [change.op for change in catalog.changes_since(middle)] == ["remove", "remove"]
    put(catalog, "b")
    assert [change.rowid for change in catalog.changes_since(middle + 2)] == [3], "row numbers are never used again"


def test_vectors_belong_to_texts_and_spaces(catalog: Catalog) -> None:
    put(catalog, "a", "same", "other")
    put(catalog, "b", "same")
    missing = catalog.missing_vectors("s1")
    assert sorted(text for _, text in missing) == ["other", "same"], "each text once"
    matrix = np.eye(2, 4, dtype=np.float64)
    catalog.put_vectors("s1", [key for key, _ in missing], matrix)
    rowids, vectors = catalog.vectors("s1")
    assert rowids.tolist() == [1, 2, 3]
    assert vectors.dtype == np.float32
    assert (vectors[0] == vectors[2]).all()
    assert catalog.missing_vectors("s1") == []
    assert catalog.vectors("s2")[0].size == 0
    assert catalog.vectors("s1", np.array([3, 99, 1]))[0].tolist() == [1, 3]
    assert catalog.vectors("s1", np.empty(0, np.int64))[0].size == 0


def test_more_row_ids_than_a_statement_may_have_parameters(catalog: Catalog) -> None:
    put(catalog, "a", *(f"text {number}" for number in range(1200)))
    everything = np.arange(1, 70_000)
    assert [row[0] for row in catalog.index_rows(everything)] == list(range(1, 1201))
    assert [row[0] for row in catalog.index_rows(everything[::-1])] == list(range(1, 1201))


def test_index_rows_carry_context_and_terms(catalog: Catalog) -> None:
    put(catalog, "a", "text", title="Title", meta={"tags": ["x", "y"], "year": 2020, "ok": True}, language="en")
    ((rowid, context, text, terms),) = catalog.index_rows()
    assert (rowid, context, text) == (1, "Title", "text")
    assert set(terms) == {
        "lang=en", "type=text/plain", "document=a", "tags=x", "tags=y", "year=2020", "ok=true",
    }  # fmt: skip
