from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from honed.catalog import Catalog, documents, images, judgements, splits
from honed.dataset.prepare import add_labels, add_proxy, fix_splits, note_clusters
from honed.dataset.task import load_task
from honed.errors import InputError, UsageError
from honed.types import SPLITS, ImageRecord, Qrel, Query, Source, Split
from tests.catalog.make import drop, put


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "catalog.db", create=True) as opened:
        yield opened


def alone(texts: list[str]) -> list[int]:
    return list(range(len(texts)))


def judged(catalog: Catalog) -> dict[str, str]:
    """Question -> document of all labels."""
    texts = dict(catalog.execute("SELECT id, text FROM queries"))
    return {texts[query]: next(iter(found)) for query, found in judgements.qrels(catalog).items()}


def split_of(catalog: Catalog) -> dict[str, str]:
    return dict(catalog.execute("SELECT text, split FROM queries"))


@pytest.mark.parametrize(
    "source",
    [
        "/data/manuals/a.txt", "data/manuals/a.txt", "manuals/a.txt", "a.txt", "./manuals/a.txt", "../manuals/a.txt",
        "manuals\\a.txt",
    ],
)  # fmt: skip
def test_a_label_names_a_file_by_its_path_or_the_end_of_it(catalog: Catalog, source: str) -> None:
    put(catalog, "/data/manuals/a.txt")
    put(catalog, "/data/manuals/aa.txt")
    put(catalog, "/data/manuals/b.txt")
    assert add_labels(catalog, [("what?", source, 1)], seed=1) == (1, ())
    assert judged(catalog) == {"what?": "/data/manuals/a.txt"}


def test_an_exact_name_beats_the_end_of_another(catalog: Catalog) -> None:
    put(catalog, "a.txt")
    put(catalog, "/data/a.txt")
    put(catalog, "http://host/page/")
    add_labels(catalog, [("one", "a.txt", 1), ("two", "/data/a.txt", 1), ("three", "http://host/page/", 1)], seed=1)
    assert judged(catalog) == {"one": "a.txt", "two": "/data/a.txt", "three": "http://host/page/"}


def test_what_is_ambiguous_or_unknown_is_left_out_and_said_so(catalog: Catalog) -> None:
    put(catalog, "/data/x/a.txt")
    put(catalog, "/data/y/a.txt")
    count, notes = add_labels(catalog, [("one", "a.txt", 1), ("two", "x/a.txt", 1), ("three", "z", 1)], seed=1)
    assert (count, judged(catalog)) == (1, {"two": "/data/x/a.txt"})
    assert notes[0].startswith("2 rows")
    with pytest.raises(InputError, match="No source") as error:
        add_labels(catalog, [("one", "a.txt", 1)], seed=1)
    assert error.value.hint


def test_a_twin_is_named_by_either_path(catalog: Catalog) -> None:
    key = put(catalog, "/data/a.txt")
    with catalog.transaction():
        documents.set_source(catalog, Source("/other/b.txt", "sha", 1), key)
    add_labels(catalog, [("one", "b.txt", 1), ("two", "/other/b.txt", 1)], seed=1)
    assert judged(catalog) == {"one": "/data/a.txt", "two": "/data/a.txt"}


def test_an_imported_row_is_named_by_its_id_or_its_source(catalog: Catalog) -> None:
    key = put(catalog, "flu/causes 100%")
    drop(catalog)
    with catalog.transaction():
        documents.set_source(catalog, Source("/pack/corpus.jsonl#flu/causes 100%", "sha", 1), key)
    rows = [("a", "flu/causes 100%", 1), ("b", "/pack/corpus.jsonl#flu/causes 100%", 1), ("c", "causes 100%", 1)]
    add_labels(catalog, rows, seed=1)
    assert set(judged(catalog).values()) == {"flu/causes 100%"}


def test_labels_in_two_sittings_tear_no_cluster(catalog: Catalog) -> None:
    for number in range(40):
        put(catalog, f"d{number}", title=f"book {number // 2}")
    note_clusters(catalog, alone)
    add_labels(catalog, [(f"first {number}", f"d{number}", 1) for number in range(0, 40, 2)], seed=13)
    before = split_of(catalog)
    add_labels(catalog, [(f"second {number}", f"d{number}", 1) for number in range(1, 40, 2)], seed=13)
    after = split_of(catalog)
    assert before.items() <= after.items()
    assert len(set(after.values())) == 3
    for number in range(0, 40, 2):
        assert after[f"first {number}"] == after[f"second {number + 1}"]


def test_labels_join_the_splits_of_an_import(catalog: Catalog) -> None:
    for number in range(9):
        put(catalog, f"d{number}")
    note_clusters(catalog, alone)
    queries = [Query(f"q{number}", f"q{number}", SPLITS[number % 3]) for number in range(9)]
    with catalog.transaction():
        judgements.add(catalog, queries, [Qrel(f"q{n}", f"d{n}") for n in range(9)], origin="import")
    add_labels(catalog, [(f"label {number}", f"d{number}", 1) for number in range(9)], seed=1)
    found = split_of(catalog)
    assert all(found[f"label {number}"] == found[f"q{number}"] == SPLITS[number % 3] for number in range(9))


def test_a_question_that_is_labelled_again_keeps_its_split(catalog: Catalog) -> None:
    for number in range(30):
        put(catalog, f"d{number}")
    add_labels(catalog, [(f"question {number}", f"d{number}", 1) for number in range(30)], seed=1)
    before = split_of(catalog)
    add_labels(catalog, [("question 3", "d4", 2)], seed=1)
    assert split_of(catalog) == before
    assert judged(catalog)["question 3"] == "d4"


def test_missing_splits_of_an_import_are_filled_and_fixed(catalog: Catalog) -> None:
    for number in range(60):
        put(catalog, f"d{number}")
    queries = [Query(f"q{n}", f"q{n}", "train" if n < 40 else "test") for n in range(60)]
    with catalog.transaction():
        judgements.add(catalog, queries, [Qrel(f"q{n}", f"d{n}") for n in range(60)], origin="import")
    given = {query.id: query.split for query in queries}
    notes = fix_splits(catalog, dict(given), seed=13)
    first = split_of(catalog)
    assert "no dev split" in notes[0]
    assert sorted(set(first.values())) == ["dev", "test", "train"]
    assert all(first[f"q{n}"] == "test" for n in range(40, 60))
    fix_splits(catalog, dict(given), seed=13)
    assert split_of(catalog) == first
    assert fix_splits(catalog, {"nobody": None}, seed=1) == ()
    assert split_of(catalog) == first


def test_clusters_are_noted_once_and_again_when_documents_came(catalog: Catalog) -> None:
    put(catalog, "a", "text a", title="Same title")
    put(catalog, "b", "text b", title="same  title")
    calls: list[int] = []

    def counting(texts: list[str]) -> list[int]:
        calls.append(len(texts))
        return alone(texts)

    assert note_clusters(catalog, counting) == 1
    assert note_clusters(catalog, counting) == 1
    put(catalog, "c", "text c", "and more")
    assert note_clusters(catalog, counting) == 2
    assert calls == [2, 3]
    drop(catalog, "a", "b", "c")
    assert note_clusters(catalog, counting) == 0


def test_proxies_are_made_anew_and_give_way_to_labels(catalog: Catalog) -> None:
    for number in range(40):
        put(catalog, f"d{number}", f"text {number}", title=f"Chapter number {number}")
    note_clusters(catalog, alone)
    assert add_proxy(catalog, seed=1) == 40
    task = load_task(catalog)
    assert task.origin == "proxy"
    first = split_of(catalog)
    assert set(first.values()) == set(SPLITS)
    drop(catalog, "d0")
    assert add_proxy(catalog, seed=1) == 39
    assert split_of(catalog).items() <= first.items()
    add_labels(catalog, [(f"question {number}", f"d{number}", 1) for number in range(1, 40)], seed=1)
    task = load_task(catalog)
    assert task.origin == "labels"
    assert all(query.id.startswith("label-") for split in SPLITS for query in task.splits[split].queries)


def test_single_words_and_repeated_titles_are_no_proxies(catalog: Catalog) -> None:
    put(catalog, "a", title="Introduction")
    put(catalog, "b", title="A longer title")
    put(catalog, "c", title="a longer TITLE")
    put(catalog, "d")
    assert add_proxy(catalog, seed=1) == 1


def show(catalog: Catalog, name: str, title: str) -> None:
    """A picture with its caption."""
    document = put(catalog, name, title, title=title)
    record = ImageRecord(f"i-{name}", document, 0, "0" * 64, "file", 8, 8, title, 0, passage=f"{document}:0")
    with catalog.transaction():
        images.add(catalog, document, [record])


def test_captions_of_pictures_are_no_proxies(catalog: Catalog) -> None:
    show(catalog, "cat.png", "A black cat")
    with pytest.raises(UsageError, match="only pictures here") as raised:
        add_proxy(catalog, seed=1)
    assert "--role image-retriever" in raised.value.hint
    put(catalog, "a", title="A longer title")
    assert add_proxy(catalog, seed=1) == 1
    assert list(split_of(catalog)) == ["A longer title"]


# -- splits over time --------------------------------------------------------------------------------------------------


def brings(catalog: Catalog, questions: dict[str, tuple[str, Split | None]]) -> tuple[str, ...]:
    """An import: id of a question -> the document that answers it, and the split that came with it."""
    queries = [Query(name, f"what is {name}", split or "train") for name, (_, split) in questions.items()]
    with catalog.transaction():
        judgements.add(catalog, queries, [Qrel(name, at) for name, (at, _) in questions.items()], origin="import")
    note_clusters(catalog, alone)
    return fix_splits(catalog, {name: split for name, (_, split) in questions.items()}, seed=13)


def placed(catalog: Catalog) -> dict[str, str]:
    return dict(catalog.execute("SELECT id, split FROM queries"))


def test_a_second_folder_of_the_same_texts_tears_no_cluster(catalog: Catalog) -> None:
    for number in range(200):
        put(catalog, f"m{number}", title=f"text {number}")
    brings(catalog, {f"qm{number}": (f"m{number}", "test") for number in range(200)})
    before = placed(catalog)
    for number in range(200):
        put(catalog, f"a{number}", title=f"text {number}")
    notes = brings(catalog, {f"qa{number}": (f"a{number}", "test") for number in range(200)})
    after = placed(catalog)
    assert before.items() <= after.items()
    assert all(after[f"qa{number}"] == after[f"qm{number}"] for number in range(200))
    assert len(set(after.values())) == 3
    assert not any("more than one split" in note for note in notes)


def test_importing_the_same_folder_again_changes_nothing(catalog: Catalog) -> None:
    for number in range(90):
        put(catalog, f"d{number}")
    folders = [
        {f"q{number}": (f"d{number}", "test") for number in range(30)},
        {f"r{number}": (f"d{number}", "train" if number < 50 else "test") for number in range(30, 60)},
        {f"s{number}": (f"d{number}", SPLITS[number % 3]) for number in range(60, 90)},
    ]
    for folder in folders:
        brings(catalog, folder)  # type: ignore[arg-type]
    before = placed(catalog)
    stored = splits.stored(catalog, "question")
    for folder in folders:
        assert brings(catalog, folder) == ()  # type: ignore[arg-type]
        assert placed(catalog) == before
    assert splits.stored(catalog, "question") == stored


def test_new_questions_of_a_folder_that_brings_all_splits_are_kept_as_brought(catalog: Catalog) -> None:
    for number in range(40):
        put(catalog, f"d{number}")
    folder = {f"q{number}": (f"d{number}", SPLITS[number % 3]) for number in range(30)}
    brings(catalog, folder)  # type: ignore[arg-type]
    folder |= {f"q{number}": (f"d{number}", "test") for number in range(30, 40)}
    assert brings(catalog, folder) == ()  # type: ignore[arg-type]
    assert all(placed(catalog)[f"q{number}"] == "test" for number in range(30, 40))


def test_a_question_that_was_away_or_has_another_id_is_not_tested_after_it_was_learned(catalog: Catalog) -> None:
    for number in range(60):
        put(catalog, f"d{number}")
    brings(catalog, {f"q{number}": (f"d{number}", SPLITS[number % 3]) for number in range(60)})
    before = placed(catalog)
    with catalog.transaction():
        catalog.execute("DELETE FROM queries")
    for number in range(60):
        put(catalog, f"e{number}")
    brings(catalog, {f"q{number}": (f"e{number}", "test") for number in range(30)})
    assert placed(catalog) == {f"q{number}": before[f"q{number}"] for number in range(30)}
    queries = [Query(f"new {number}", f"What is Q{number}", SPLITS[(number + 1) % 3]) for number in range(30, 60)]
    with catalog.transaction():
        judgements.add(catalog, queries, [Qrel(query.id, "d1") for query in queries], origin="import")
    fix_splits(catalog, {query.id: query.split for query in queries}, seed=1)
    assert all(placed(catalog)[f"new {number}"] == before[f"q{number}"] for number in range(30, 60))


def test_an_import_that_was_killed_before_its_splits_were_stored_keeps_what_it_brought(catalog: Catalog) -> None:
    for number in range(60):
        put(catalog, f"d{number}")
    with catalog.transaction():
        for number in range(60):
            query = Query(f"q{number}", f"q{number}", SPLITS[number % 3])
            judgements.add(catalog, [query], [Qrel(query.id, f"d{number}")], origin="import")
    assert fix_splits(catalog, seed=1) == ()
    assert all(placed(catalog)[f"q{number}"] == SPLITS[number % 3] for number in range(60))


def test_documents_that_link_two_clusters_move_no_question_and_are_told(catalog: Catalog) -> None:
    put(catalog, "a", title="first")
    put(catalog, "b", title="second")
    put(catalog, "c")
    brings(catalog, {"qa": ("a", "train"), "qb": ("b", "test"), "qc": ("c", "dev"), "free": ("c", "train")})

    def copies(texts: list[str]) -> list[int]:
        return [0 if "same" in text else place for place, text in enumerate(texts)]

    put(catalog, "link 1", "same", title="first")
    put(catalog, "link 2", "same", title="second")
    note_clusters(catalog, copies)
    (note,) = fix_splits(catalog, seed=1)
    assert placed(catalog) == {"qa": "train", "qb": "test", "qc": "dev", "free": "train"}
    assert "2 clusters stand in more than one split: 2 of 2 in train" in note
    task = load_task(catalog)
    assert task.notes == (note,)
    assert not task.splits["train"].queries


STEP = st.one_of(
    st.tuples(st.just("documents"), st.lists(st.tuples(st.integers(0, 19), st.integers(0, 6)), min_size=1, max_size=6)),
    st.tuples(
        st.just("import"),
        st.lists(st.tuples(st.integers(0, 19), st.none() | st.sampled_from(SPLITS)), min_size=1, max_size=8),
    ),
    st.tuples(st.just("labels"), st.lists(st.tuples(st.integers(0, 19), st.none()), min_size=1, max_size=4)),
    st.tuples(st.just("forget"), st.lists(st.tuples(st.integers(0, 19), st.none()), min_size=1, max_size=4)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, min_size=2, max_size=7))
def test_nothing_moves_whatever_is_added_imported_labelled_or_removed(steps: list[tuple[str, list[Any]]]) -> None:
    """Documents that share a title grow together; ids sort before and after; after each step somebody tunes."""
    with TemporaryDirectory() as folder, Catalog(Path(folder) / "catalog.db", create=True) as catalog:
        ever: dict[str, str] = {}
        learned: set[str] = set()
        for number, (what, rows) in enumerate(steps):
            if what == "documents":
                for place, (at, title) in enumerate(rows):
                    put(catalog, f"{'az'[at % 2]}{number}.{place}", title=f"title {title}")
            elif what == "forget":
                with catalog.transaction():
                    names = [(f"{'az'[at % 2]}{at}",) for at, _ in rows]
                    catalog.executemany("DELETE FROM queries WHERE id = ?", names)
            there = [name for (name,) in catalog.execute("SELECT external_id FROM documents ORDER BY rowid")]
            if what == "import" and there:
                brings(catalog, {f"{'az'[at % 2]}{at}": (there[at % len(there)], split) for at, split in rows})
            elif what == "labels" and there:
                add_labels(catalog, [(f"question {at}", there[at % len(there)], 1) for at, _ in rows], seed=13)
            note_clusters(catalog, alone)
            fix_splits(catalog, seed=13)
            now = placed(catalog)
            assert all(ever[name] == split for name, split in now.items() if name in ever)
            ever |= now
            task = load_task(catalog)
            learned |= {query.id for query in task.splits["train"].queries}
            held_out = {
                int(cluster)
                for split in ("dev", "test")
                for relevant in task.splits[split].relevant
                for cluster in task.document_clusters[list(relevant)]
            }
            for relevant in task.splits["train"].relevant:
                assert not held_out & set(task.document_clusters[list(relevant)].tolist())
            assert not learned & {query.id for split in ("dev", "test") for query in task.splits[split].queries}
