"""The reader of a long-lived process sees what the catalog holds, whoever changed it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from honed.errors import IntegrityError, MissingError
from honed.index.generation import CURRENT, space_folder
from honed.index.reader import IndexReader
from honed.index.refresh import refresh
from tests.index.fakes import SPACE, LogCatalog, vector

ROOT = Path(__file__).parents[2]


@pytest.fixture
def catalog(tmp_path: Path) -> LogCatalog:
    found = LogCatalog(tmp_path / "log")
    found.add(*range(1, 101), terms=["lang=en"])
    refresh(found, tmp_path / "index", SPACE)
    return found


@pytest.fixture
def reader(catalog: LogCatalog, tmp_path: Path) -> IndexReader:
    return IndexReader(tmp_path / "index", SPACE, catalog)


def nearest(reader: IndexReader, rowid: int, text: str = "word{0} plain", **options: object) -> tuple[int, float]:
    scores, rowids = reader.dense(vector(rowid, text.format(rowid))[None], 3, **options)  # type: ignore[arg-type]
    return int(rowids[0, 0]), float(scores[0, 0])


def test_a_deleted_passage_is_gone_from_the_next_search(reader: IndexReader, catalog: LogCatalog) -> None:
    assert nearest(reader, 5)[0] == 5 and reader.lexical("word5", 3)[0].tolist() == [5]
    catalog.remove(5)
    assert nearest(reader, 5)[0] != 5
    assert nearest(reader, 5, allowed=np.array([5]))[0] == -1
    assert reader.lexical("word5", 3)[0].size == 0
    assert 5 not in reader.view().rows(["lang=en"])
    rowids = np.array([[5, 6]])
    assert np.isneginf(reader.view().scores_for(vector(5, "x")[None], rowids)).tolist() == [[True, False]]


def test_deletions_never_shorten_a_result(reader: IndexReader, catalog: LogCatalog) -> None:
    best = reader.dense(vector(1, "word1 plain")[None], 30)[1][0]
    catalog.remove(*best[:20].tolist())
    after = reader.dense(vector(1, "word1 plain")[None], 10)[1][0]
    np.testing.assert_array_equal(after, best[20:])
    assert len(reader.lexical("plain", 60)[0]) == 60
    assert len(reader.view().lexical("plain", 60)[0]) == 60


def test_a_new_passage_is_found_by_its_vector_at_once(reader: IndexReader, catalog: LogCatalog, tmp_path: Path) -> None:
    catalog.add(200)
    assert nearest(reader, 200) == (200, pytest.approx(1, abs=1e-5))
    assert nearest(reader, 200, allowed=np.array([200, 5]))[0] == 200
    assert reader.view().scores_for(vector(200, "word200 plain")[None], np.array([[200]]))[0, 0] == pytest.approx(1)
    assert reader.lexical("word200", 3)[0].size == 0
    refresh(catalog, tmp_path / "index", SPACE)
    assert nearest(reader, 200)[0] == 200 and reader.lexical("word200", 3)[0].tolist() == [200]
    assert not reader.view().gone.size and not len(reader.view().added)


def test_a_replaced_passage_answers_with_its_new_self(reader: IndexReader, catalog: LogCatalog) -> None:
    catalog.add(5, text="something else")
    assert nearest(reader, 5, "something else") == (5, pytest.approx(1, abs=1e-5))
    assert nearest(reader, 5)[1] < 0.99
    catalog.remove(5)
    assert nearest(reader, 5, "something else")[0] != 5


def test_a_view_does_not_change(reader: IndexReader, catalog: LogCatalog) -> None:
    view = reader.view()
    assert reader.view() is view
    catalog.remove(5)
    assert view.dense(vector(5, "word5 plain")[None], 1)[1][0, 0] == 5
    assert reader.view() is not view


def test_changes_of_another_process_are_seen(reader: IndexReader, catalog: LogCatalog, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from honed.index.refresh import refresh
from tests.index.fakes import SPACE, LogCatalog
catalog = LogCatalog(Path({str(catalog.path)!r}))
catalog.add(300)
catalog.remove(1)
refresh(catalog, Path({str(tmp_path / "index")!r}), SPACE)
"""
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path}, timeout=60)
    assert reader.lexical("word300", 3)[0].tolist() == [300]
    assert nearest(reader, 300)[0] == 300
    assert reader.view().generation.seq == catalog.seq and reader.lexical("word1", 3)[0].size == 0


def test_a_broken_new_index_leaves_the_old_one_in_use(reader: IndexReader, catalog: LogCatalog, tmp_path: Path) -> None:
    catalog.remove(9)
    built = refresh(catalog, tmp_path / "index", SPACE)
    (built.folder / "rowids.npy").unlink()
    pointer = space_folder(tmp_path / "index", SPACE) / CURRENT
    pointer.touch()
    assert nearest(reader, 5)[0] == 5 and nearest(reader, 9)[0] != 9
    with pytest.raises(MissingError, match="no index"):
        IndexReader(tmp_path / "index", SPACE, catalog)


def test_an_older_catalog_is_refused(reader: IndexReader, catalog: LogCatalog) -> None:
    catalog.path.write_text("\n".join(catalog.path.read_text().splitlines()[:10]))
    with pytest.raises(IntegrityError, match="newer"):
        reader.view()


def test_many_threads_search_while_the_index_moves(reader: IndexReader, catalog: LogCatalog, tmp_path: Path) -> None:
    wrong: list[str] = []
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            if nearest(reader, 50)[0] != 50 or reader.lexical("word50", 3)[0].tolist() != [50]:
                wrong.append("word50 was lost")

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for rowid in range(400, 403):
        catalog.add(rowid)
        catalog.remove(rowid - 390)
        refresh(catalog, tmp_path / "index", SPACE)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_closed_reader_says_so(reader: IndexReader) -> None:
    with reader:
        pass
    with pytest.raises(MissingError, match="closed"):
        reader.view()
