from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from honed.catalog import Catalog, documents, judgements
from honed.errors import InputError
from honed.formats import read_beir
from honed.ingest.importing import COMMIT_ROWS, ImportReport, import_beir

Rows = list[dict[str, Any]]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "catalog.db", create=True) as opened:
        yield opened


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return tmp_path / "pack"


def write(folder: Path, corpus: Rows, queries: dict[str, str] | None = None) -> Path:
    """A BEIR folder; `queries` maps a query's id to the document that answers it."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    rows = [{"_id": name, "text": f"question {name}"} for name in queries or {}]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [f"{name}\t{document}\t1\n" for name, document in (queries or {}).items()]
    (folder / "qrels/train.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return folder


def row(name: str, text: str = "", **meta: Any) -> dict[str, Any]:
    return {"_id": name, "title": f"Title {name}", "text": text or f"Text of {name}.", "metadata": meta}


def take(catalog: Catalog, folder: Path, words: int = 160) -> ImportReport:
    return import_beir(catalog, read_beir(folder), passage_words=words)


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.new, report.changed, report.unchanged, report.removed


def texts(catalog: Catalog) -> dict[str, str]:
    return {name: passage.text for _, name, passage in documents.passages(catalog)}


def asked(catalog: Catalog) -> list[str]:
    return [query.id for query in judgements.queries(catalog, "train")]


def test_again_is_a_sync(catalog: Catalog, pack: Path) -> None:
    write(pack, [row("a"), row("b"), row("c")], {"q1": "a", "q2": "b"})
    first = take(catalog, pack)
    assert (counts(first), first.queries, first.qrels) == ((3, 0, 0, 0), 2, 2)
    assert counts(take(catalog, pack)) == (0, 0, 3, 0)
    write(pack, [row("a"), row("b", "Mended text."), row("d")], {"q1": "a", "q2": "d"})
    assert counts(take(catalog, pack)) == (1, 1, 1, 1)
    assert texts(catalog) == {"a": "Text of a.", "b": "Mended text.", "d": "Text of d."}
    assert judgements.qrels(catalog) == {"q1": {"a": 1}, "q2": {"d": 1}}


def test_a_question_that_is_gone_is_asked_no_more(catalog: Catalog, pack: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", [row("x")], {"q9": "x"})
    take(catalog, other)
    take(catalog, write(pack, [row("a"), row("b")], {"q1": "a", "q2": "b"}))
    take(catalog, write(pack, [row("a"), row("b")], {"q2": "b"}))
    assert asked(catalog) == ["q2", "q9"]
    take(catalog, write(pack, [row("a"), row("b")]))
    assert asked(catalog) == ["q9"]


def test_a_question_whose_only_document_is_gone_waits_for_it(catalog: Catalog, pack: Path) -> None:
    take(catalog, write(pack, [row("a"), row("b")], {"q1": "a"}))
    take(catalog, write(pack, [row("b")], {"q1": "a"}))
    assert asked(catalog) == []
    take(catalog, write(pack, [row("a"), row("b")], {"q1": "a"}))
    assert asked(catalog) == ["q1"]


NAMES = [
    "a#b",
    "#",
    "100%",
    "a_b",
    "axb",
    "two words",
    " lead",
    "it's",
    'say "hi"',
    "x/corpus.jsonl#a",
    "ünï/文",
    "a;--",
    ".",
]


def test_ids_of_every_kind(catalog: Catalog, pack: Path) -> None:
    take(catalog, write(pack, [row(name) for name in NAMES], {f"q {name}": name for name in NAMES}))
    assert set(texts(catalog)) == set(NAMES)
    assert len(asked(catalog)) == len(NAMES)
    assert counts(take(catalog, pack)) == (0, 0, len(NAMES), 0)
    for name in NAMES:
        rest = [other for other in NAMES if other != name]
        assert counts(take(catalog, write(pack, [row(other) for other in rest]))) == (0, 0, len(NAMES) - 1, 1)
        assert set(texts(catalog)) == set(rest)
        assert counts(take(catalog, write(pack, [row(other) for other in NAMES])))[0] == 1


def test_metadata_is_part_of_a_row(catalog: Catalog, pack: Path) -> None:
    take(catalog, write(pack, [row("a", topic="flu", year=1)]))
    assert counts(take(catalog, write(pack, [row("a", year=1, topic="flu")]))) == (0, 0, 1, 0)
    assert counts(take(catalog, write(pack, [row("a", topic="gout")]))) == (0, 1, 0, 0)
    assert documents.filtered_rowids(catalog, [("topic", "gout")]).size == 1
    assert documents.filtered_rowids(catalog, [("topic", "flu")]).size == 0


def test_rows_stay_whole_unless_they_are_much_too_long(catalog: Catalog, pack: Path) -> None:
    sentence = "One two three four five six seven eight nine ten. "
    write(pack, [row("short", sentence), row("longer", sentence * 3), row("long", sentence * 20), row("none", " ")])
    take(catalog, pack, words=20)
    sizes: dict[str, int] = {}
    for _, name, passage in documents.passages(catalog):
        sizes[name] = sizes.get(name, 0) + 1
        assert len(passage.text.split()) <= 30
    assert (sizes["short"], sizes["longer"], sizes["none"]) == (1, 1, 1)
    assert sizes["long"] >= 10


def test_a_double_id_is_refused_and_names_itself(catalog: Catalog, pack: Path) -> None:
    with pytest.raises(InputError, match="'a' occurs twice"):
        take(catalog, write(pack, [row("a"), row("b"), row("a", "Another.")]))
    assert texts(catalog) == {}
    take(catalog, write(pack, [row("a"), row("b")]))
    assert set(texts(catalog)) == {"a", "b"}


def test_what_was_taken_before_a_broken_line_stays(catalog: Catalog, pack: Path) -> None:
    write(pack, [row(str(number)) for number in range(COMMIT_ROWS + 5)])
    with (pack / "corpus.jsonl").open("a") as file:
        file.write("{broken\n")
    with pytest.raises(InputError, match=f"line {COMMIT_ROWS + 6}"):
        take(catalog, pack)
    assert len(texts(catalog)) == COMMIT_ROWS
    write(pack, [row(str(number)) for number in range(COMMIT_ROWS + 5)])
    assert counts(take(catalog, pack)) == (5, 0, COMMIT_ROWS, 0)


def test_two_corpora_side_by_side(catalog: Catalog, tmp_path: Path) -> None:
    take(catalog, write(tmp_path / "one", [row("a")], {"q1": "a"}))
    take(catalog, write(tmp_path / "two", [row("b")], {"q2": "b"}))
    take(catalog, write(tmp_path / "one", [row("a2")], {"q1": "a2"}))
    assert set(texts(catalog)) == {"a2", "b"}


def test_two_corpora_with_the_same_ids_are_refused(catalog: Catalog, tmp_path: Path) -> None:
    take(catalog, write(tmp_path / "one", [row("1", "About flu.")], {"q": "1"}))
    with pytest.raises(InputError, match="'1' belongs to") as error:
        take(catalog, write(tmp_path / "two", [row("1", "About contracts.")], {"q": "1"}))
    assert error.value.hint
    assert texts(catalog) == {"1": "About flu."}
    copy = write(tmp_path / "copy", [row("1", "About flu.")])
    assert counts(take(catalog, copy)) == (1, 0, 0, 0), "the same row twice is one document"
    assert texts(catalog) == {"1": "About flu."}


def test_a_corpus_that_was_moved_is_the_same_corpus(catalog: Catalog, pack: Path, tmp_path: Path) -> None:
    write(pack, [row("a"), row("b"), row("c")], {"q1": "a", "q2": "b"})
    take(catalog, pack)
    rowids = documents.external_ids(catalog)[0].tolist()
    moved = tmp_path / "moved"
    shutil.move(pack, moved)
    write(moved, [row("a"), row("b", "Mended text.")], {"q2": "b"})
    take(catalog, moved)
    assert texts(catalog) == {"a": "Text of a.", "b": "Mended text."}
    assert documents.external_ids(catalog)[0].tolist()[0] == rowids[0], "what did not change is not embedded again"
    assert asked(catalog) == ["q2"]
    assert all(path.startswith(str(moved)) for path in documents.sources(catalog))


def test_a_corpus_whose_folder_was_deleted_stays(catalog: Catalog, pack: Path, tmp_path: Path) -> None:
    take(catalog, write(pack, [row("a")], {"q1": "a"}))
    shutil.rmtree(pack)
    take(catalog, write(tmp_path / "two", [row("b")]))
    assert set(texts(catalog)) == {"a", "b"}
    assert asked(catalog) == ["q1"]


def test_progress_counts_rows(catalog: Catalog, pack: Path) -> None:
    told: list[int] = []
    write(pack, [row(str(number)) for number in range(COMMIT_ROWS + 1)])
    import_beir(catalog, read_beir(pack), passage_words=160, on_progress=told.append)
    assert told == [COMMIT_ROWS, COMMIT_ROWS + 1]
