"""One catalog, many threads: each has a connection of its own, so one's snapshot is nobody else's transaction."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from honed.catalog import Catalog, documents, history
from honed.index.reader import IndexReader
from honed.index.refresh import refresh
from tests.catalog.make import put


def test_a_thread_may_write_while_another_reads_in_a_snapshot(catalog: Catalog) -> None:
    with ThreadPoolExecutor(1) as other, catalog.snapshot():
        assert catalog.seq == 0
        other.submit(history.start_run, catalog, "x", "tune", {}).result()
        assert history.unfinished_run(catalog, "tune") is None, "the snapshot is of before"
    assert history.unfinished_run(catalog, "tune") == ("x", {})


def test_a_second_writing_thread_waits_for_the_first(catalog: Catalog) -> None:
    writing, order = threading.Event(), []

    def second() -> None:
        writing.wait()
        with catalog.transaction():
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with catalog.transaction():
        writing.set()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_many_threads_read_whole_moments_while_one_writes(catalog: Catalog) -> None:
    """Every commit brings a document of two passages; a reader never sees half of one, nor two moments in one snapshot."""
    done = threading.Event()

    def read() -> set[int]:
        counts = set()
        while not done.is_set():
            with catalog.snapshot():
                before = catalog.passage_count()
                assert before % 2 == 0
                assert before == len(documents.rowids(catalog)) == catalog.seq
            counts.add(before)
        return counts

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read) for _ in range(6)]
        try:
            for number in range(40):
                put(catalog, f"d{number}", "one", "two")
        finally:
            done.set()
        assert len(set[int]().union(*(reader.result() for reader in readers))) > 1
    assert catalog.passage_count() == 80


def test_an_index_reader_may_be_shared_between_threads(catalog: Catalog, tmp_path) -> None:
    put(catalog, "d0", "word0")
    refresh(catalog, tmp_path, "space")
    with IndexReader(tmp_path, "space", catalog) as reader, ThreadPoolExecutor(4) as pool:
        views = [pool.submit(lambda: [reader.view().seq for _ in range(20)]) for _ in range(4)]
        for number in range(1, 6):
            put(catalog, f"d{number}", f"word{number}")
        for view in views:
            seen = view.result()
            assert seen == sorted(seen)
        assert reader.view().seq == 6


def test_the_connection_of_a_thread_that_ended_is_closed(catalog: Catalog) -> None:
    for _ in range(5):
        thread = threading.Thread(target=catalog.passage_count)
        thread.start()
        thread.join()
    assert len(catalog._connections) <= 2


def test_a_closed_catalog_opens_no_new_connection(catalog: Catalog) -> None:
    catalog.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"), ThreadPoolExecutor(1) as pool:
        pool.submit(catalog.passage_count).result()
