"""What is stored of splits, and what becomes of files that were written before splits were stored."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from honed.catalog import Catalog, history, images, judgements, splits
from honed.catalog.schema import question_key
from honed.dataset.images import fix_picture_splits, load_caption_task
from honed.types import SPLITS, Qrel, Query, Split
from tests.catalog.make import put
from tests.dataset.test_images import far, show, where

ROWS = [("a", "text of a", "train"), ("b", "text of b", "test")]


def test_what_is_stored_keeps_its_split(catalog: Catalog) -> None:
    with catalog.transaction():
        splits.keep(catalog, "question", [("a", "x", "train"), ("b", "y", "test")])
        splits.keep(catalog, "question", [("a", "x", "test"), ("a", "new words", "test"), ("c", "y", "dev")])
    stored = splits.stored(catalog, "question")
    assert stored.names == {"a": "train", "b": "test", "c": "test"}, "c has the words of b"
    assert stored.of("another name", "new words") == "train"
    assert stored.of("another name", "y") == "test"
    assert stored.of("new", "new") is None
    assert splits.stored(catalog, "picture").names == {}


def test_names_that_are_row_numbers_may_shift(catalog: Catalog) -> None:
    """One row inserted on top: every id has another text, and every text keeps its split."""
    splits_of: dict[str, Split] = {f"text {at}": SPLITS[at % 3] for at in range(9)}
    with catalog.transaction():
        judgements.add(
            catalog,
            [Query(str(at), f"text {at}", split) for at, split in enumerate(splits_of.values())],
            [],
            origin="import",
        )
        judgements.set_splits(catalog, {str(at): split for at, split in enumerate(splits_of.values())})
    texts = ["a new text", *splits_of]
    with catalog.transaction():
        judgements.add(catalog, [Query(str(at), text, "test") for at, text in enumerate(texts)], [], origin="import")
        judgements.set_splits(catalog, {str(at): "test" for at in range(len(texts))})
    after = {query.text: query.split for query, _ in judgements.by_origin(catalog, ("import",))}
    assert splits_of.items() <= after.items()
    assert after["a new text"] == "train", "the name that it has was train's: its words may have been edited"


def test_only_pictures_that_no_run_has_taken_are_let_go(catalog: Catalog) -> None:
    with catalog.transaction():
        splits.keep(catalog, "picture", [("a", "x", "train"), ("b", "y", "test")])
        splits.keep(catalog, "question", [("a", "x", "train")])
    splits.finish(catalog, "picture", ["a"])
    with catalog.transaction():
        splits.drop_unused(catalog, "picture", ["a", "b"])
        splits.drop_unused(catalog, "question", ["a"])
    assert splits.stored(catalog, "picture").names == {"a": "train"}
    assert splits.stored(catalog, "question").names == {"a": "train"}


def test_case_and_spaces_make_no_other_question() -> None:
    assert question_key(" Was ist\n Caf\u00e9?") == question_key("was ist cafe\u0301?")
    assert question_key("was ist") != question_key("was istt")


def as_format_2(path: Path) -> None:
    """Take from a file what this format added."""
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE splits")
        connection.execute("UPDATE meta SET value = '2' WHERE key = 'format'")
    connection.close()


def test_questions_of_an_old_file_stay_where_they_are(catalog: Catalog) -> None:
    put(catalog, "d")
    with catalog.transaction():
        for name, text, split in ROWS:
            judgements.add(catalog, [Query(name, text, split)], [Qrel(name, "d")], origin="import")  # type: ignore[arg-type]
    catalog.close()
    as_format_2(catalog.path)
    with Catalog(catalog.path) as opened:
        stored = splits.stored(opened, "question")
        assert stored.names == {"a": "train", "b": "test"}
        assert stored.of("under another id", question_key("Text of B")) == "test"
        assert not splits.pictures_owed(opened)


def test_pictures_of_an_old_file_stay_where_they_were_drawn(catalog: Catalog) -> None:
    """Before more come, under names that sort earlier; what a run has learned from is final."""
    for at in range(100):
        show(catalog, f"p{at}", phash=far(at))
    before = where(load_caption_task(catalog, seed=1))
    history.start_run(catalog, "run", "tune-words", {})
    catalog.close()
    as_format_2(catalog.path)
    with Catalog(catalog.path) as opened:
        assert splits.pictures_owed(opened)
        fix_picture_splits(opened, seed=1)
        assert not splits.pictures_owed(opened)
        for at in range(100):
            show(opened, f"a{at}", phash=far(at) ^ 1)
        fix_picture_splits(opened, seed=1)
        with opened.transaction():
            images.set_groups(opened, [(f"p{at}", "g", "", "test") for at in range(100)])
        assert {member.external_id: member.split for member in images.groups(opened)} == before
