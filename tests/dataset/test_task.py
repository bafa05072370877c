from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from honed.catalog import Catalog, documents, judgements
from honed.dataset.examples import build_examples
from honed.dataset.task import Task, check_enough, load_task
from honed.errors import UsageError
from honed.types import Qrel, Query, Split
from tests.catalog.make import drop, put


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "catalog.db", create=True) as opened:
        yield opened


def ask(catalog: Catalog, name: str, split: Split, *relevant: str) -> None:
    with catalog.transaction():
        judgements.add(catalog, [Query(name, name, split)], [Qrel(name, d) for d in relevant], origin="import")


def named(task: Task, split: Split) -> dict[str, set[str]]:
    labelled = task.splits[split]
    return {
        query.id: {task.documents[document] for document in relevant}
        for query, relevant in zip(labelled.queries, labelled.relevant, strict=True)
    }


def test_an_empty_catalog_is_an_empty_task(catalog: Catalog) -> None:
    task = load_task(catalog)
    assert (len(task.rowids), task.documents, task.origin) == (0, (), "proxy")
    assert all(not labelled.queries and labelled.cluster_count == 0 for labelled in task.splits.values())


def test_documents_that_are_gone_are_no_longer_relevant(catalog: Catalog) -> None:
    put(catalog, "a", "one", "two")
    put(catalog, "b")
    put(catalog, "c")
    ask(catalog, "q1", "test", "a", "b")
    ask(catalog, "q2", "test", "b")
    ask(catalog, "q3", "test", "c", "never there")
    drop(catalog, "b")
    task = load_task(catalog)
    assert named(task, "test") == {"q1": {"a"}, "q3": {"c"}}
    assert task.rowids.tolist() == [1, 2, 4]
    assert task.splits["test"].cluster_count == 2


def test_a_document_ranks_by_its_best_passage(catalog: Catalog) -> None:
    put(catalog, "a", "one", "two")
    put(catalog, "b")
    task = load_task(catalog)
    ranking = np.array([2, 3, 1]), np.array([0.9, 0.8, 0.7], np.float32)
    assert [task.documents[at] for at in task.by_document(ranking)] == ["a", "b"]
    assert task.by_document(ranking, depth=1).tolist() == [0]


def test_clusters_of_documents_without_one_stand_alone(catalog: Catalog) -> None:
    for name in "abcd":
        put(catalog, name)
    documents.set_clusters(catalog, {"a": 0, "b": 0})
    ask(catalog, "q1", "dev", "a")
    ask(catalog, "q2", "dev", "b")
    ask(catalog, "q3", "dev", "c")
    ask(catalog, "q4", "dev", "d")
    ask(catalog, "t", "test", "d")
    labelled = load_task(catalog).splits["dev"]
    assert labelled.clusters.tolist() == [0, 0, 2, 3]


def test_a_task_is_read_at_one_moment(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    put(catalog, "a")
    ask(catalog, "q", "test", "a")
    external_ids = documents.external_ids

    def meanwhile(reader: Catalog) -> object:
        found = external_ids(reader)
        with Catalog(catalog.path) as writer:
            put(writer, "late")
            with writer.transaction():
                judgements.add(writer, [Query("q9", "q9", "test")], [Qrel("q9", "late")], origin="import")
        return found

    monkeypatch.setattr(documents, "external_ids", meanwhile)
    assert named(load_task(catalog), "test") == {"q": {"a"}}


def unit(*rows: list[float]) -> np.ndarray:
    matrix = np.array(rows, np.float32)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def test_examples_take_the_nearest_passage_and_leave_out_what_the_test_asks(catalog: Catalog) -> None:
    put(catalog, "long", "about x", "about y")
    put(catalog, "other")
    put(catalog, "held")
    put(catalog, "twin of held")
    documents.set_clusters(catalog, {"long": 0, "other": 1, "held": 2, "twin of held": 2})
    ask(catalog, "q", "train", "long")
    ask(catalog, "gone", "train", "held")
    ask(catalog, "t", "test", "twin of held")
    task = load_task(catalog)
    assert [query.id for query in task.splits["train"].queries] == ["q"]
    passages = unit([1, 0, 0], [0, 1, 0], [0, 0.99, 0.05], [0, 0, 1], [1, 1, 1])
    examples = build_examples(task, unit([0, 1, 0]), passages)
    assert examples.texts == ["q"]
    assert examples.columns.tolist() == [0, 1, 2], "what the test asks for and its twin are no negatives either"
    assert [rows.tolist() for rows in examples.positives] == [[1]]
    assert [rows.tolist() for rows in examples.ignored] == [[2]], "nearly the same text is neither pulled nor pushed"


def test_a_document_that_test_asks_for_is_never_a_positive_of_train(catalog: Catalog) -> None:
    """Splits that a user brings may share documents and words: they stay as brought, and train loses what is shared."""
    for name in "abcdef":
        put(catalog, name)
    documents.set_clusters(catalog, {"a": 0, "b": 0, "c": 2, "d": 3, "e": 4, "f": 5})
    ask(catalog, "shares a document", "train", "c", "d")
    ask(catalog, "shares a cluster", "train", "b")
    ask(catalog, "linked by another of train", "train", "d")
    ask(catalog, "same words", "train", "f")
    ask(catalog, "alone", "train", "f")
    ask(catalog, "t1", "test", "a")
    ask(catalog, "t2", "dev", "c")
    with catalog.transaction():
        judgements.add(catalog, [Query("t3", "Same  WORDS", "test")], [Qrel("t3", "e")], origin="import")
    task = load_task(catalog)
    assert task.splits["train"].queries == (), "through the same words, even what shares a document with their twin"
    assert {split: len(task.splits[split].queries) for split in ("dev", "test")} == {"dev": 1, "test": 2}
    (note,) = task.notes
    assert "3 clusters stand in more than one split: 5 of 5 in train" in note


def test_clusters_of_different_splits_have_different_labels(catalog: Catalog) -> None:
    for name in "abcdef":
        put(catalog, name)
        ask(catalog, f"about {name}", ("train", "dev", "test")["abcdef".index(name) % 3], name)
    task = load_task(catalog)
    labels = np.concatenate([labelled.clusters for labelled in task.splits.values()])
    assert len(np.unique(labels)) == 6


def test_labels_that_leave_test_empty_are_counted_and_titles_do_not_stand_in(catalog: Catalog) -> None:
    for name in "abc":
        put(catalog, name, title=f"A title of {name}")
        ask(catalog, f"about {name}", "train", name)
    task = load_task(catalog)
    assert task.origin == "labels"
    with pytest.raises(UsageError, match="3 in train, 0 in dev, 0 in test, in 3 clusters") as raised:
        check_enough(task, 10)
    assert "other, documents" in raised.value.hint
