from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from honed.catalog import Catalog, documents
from honed.types import Document, Passage, Rejection, Removal, Source
from tests.catalog.make import drop, put


def filtered(catalog: Catalog, *filters: tuple[str, str]) -> list[int]:
    return documents.filtered_rowids(catalog, filters).tolist()


def test_a_document_that_is_there_is_left_alone(catalog: Catalog) -> None:
    put(catalog, "a", "text")
    with catalog.transaction():
        documents.add(catalog, Document("id-of-a", "other", ""), [Passage("p", "id-of-a", 0, "", "other")])
    assert [(name, passage.text) for _, name, passage in documents.passages(catalog)] == [("a", "text")]


def test_passages_come_back_as_they_were_put(catalog: Catalog) -> None:
    passage = Passage("p1", "d1", 0, "Tïtle 🤒", "text\nwith 'quotes' and \x00 \u2028", ("A", "B, C"), 7)
    with catalog.transaction():
        documents.add(catalog, Document("d1", "e1", "Tïtle 🤒"), [passage], [Removal("empty", "gone", "why")])
    assert [found for *_, found in documents.passages(catalog)] == [passage]
    assert documents.by_rowid(catalog, [1, 2]) == {1: passage}
    assert documents.counts(catalog)["removed"] == {"empty": 1}


def test_contexts_leave_out_what_is_gone_and_close_the_ranks(catalog: Catalog) -> None:
    for name in "abc":
        put(catalog, name)
    drop(catalog, "b")
    found = documents.contexts(catalog, [3, 2, 1], [0.9, 0.8, 0.7])
    assert [(one.external_id, one.rank, one.score, one.source) for one in found] == [
        ("c", 1, 0.9, "c"),
        ("a", 2, 0.7, "a"),
    ]
    assert documents.contexts(catalog, [], []) == []


def test_more_ids_than_a_statement_may_have_parameters(catalog: Catalog) -> None:
    put(catalog, "a", "first", "second")
    many = range(1, 300_000)
    assert set(documents.by_rowid(catalog, many)) == {1, 2}
    assert [one.rank for one in documents.contexts(catalog, many, [0.5] * len(many))] == [1, 2]


def test_a_document_lives_as_long_as_a_source_holds_it(catalog: Catalog) -> None:
    key = put(catalog, "a.txt")
    with catalog.transaction():
        documents.set_source(catalog, Source("b.txt", "sha-of-a.txt", 1), key)
    assert drop(catalog, "a.txt") == 0
    assert documents.external_ids(catalog)[1] == ["b.txt"]
    assert documents.document_by_hash(catalog, "sha-of-a.txt") == key
    assert drop(catalog, "b.txt") == 1
    assert documents.passages(catalog) is not None
    assert list(documents.passages(catalog)) == []
    assert documents.document_by_hash(catalog, "sha-of-a.txt") is None
    assert catalog.execute("SELECT count(*) FROM removals").fetchone() == (0,)


@pytest.mark.parametrize("name", ["d#1", "100%", "a_b", "it's", "two words", "#", "x/corpus.jsonl#d1", "ünï 文", "*?["])
def test_an_imported_document_keeps_its_id(catalog: Catalog, name: str) -> None:
    with catalog.transaction():
        documents.add(catalog, Document("k", name, ""), [Passage("p", "k", 0, "", "text")])
        documents.set_source(catalog, Source(f"/pack/corpus.jsonl#{name}", "sha", 1), "k")
    put(catalog, "other")
    drop(catalog, "other")
    assert documents.external_ids(catalog)[1] == [name]
    state = documents.sources(catalog)[f"/pack/corpus.jsonl#{name}"]
    assert documents.is_imported(f"/pack/corpus.jsonl#{name}", state)


def test_rejected_sources_are_counted_by_code(catalog: Catalog) -> None:
    with catalog.transaction():
        documents.set_source(catalog, Source("a", "1", 1), Rejection("binary", "why"))
        documents.set_source(catalog, Source("b", "2", 1), Rejection("binary", "why"))
        documents.set_source(catalog, Source("c", "3", 1), Rejection("empty", "why"))
    assert documents.counts(catalog)["skipped"] == {"binary": 2, "empty": 1}
    assert documents.sources(catalog)["a"].reason == "why"


def test_filters_by_what_a_document_is(catalog: Catalog) -> None:
    put(catalog, "a", "one", "two", language="en", media_type="text/html")
    put(catalog, "b", language="de", media_type="text/html")
    assert filtered(catalog, ("lang", "en")) == [1, 2]
    assert filtered(catalog, ("type", "text/html")) == [1, 2, 3]
    assert filtered(catalog, ("type", "text/html"), ("lang", "de")) == [3]
    assert filtered(catalog, ("document", "b")) == [3]
    assert filtered(catalog) == [1, 2, 3]


@pytest.mark.parametrize(
    ("meta", "key", "value"),
    [
        ({"topic": "flu"}, "topic", "flu"),
        ({"year": 2020}, "year", "2020"),
        ({"share": 0.1}, "share", "0.1"),
        ({"share": -1.5}, "share", "-1.5"),
        ({"ok": True}, "ok", "true"),
        ({"ok": False}, "ok", "false"),
        ({"tags": ["x", "y"]}, "tags", "y"),
        ({"tags": [1, True, "z"]}, "tags", "true"),
        ({"a.b": "x"}, "a.b", "x"),
        ({"a.b": ["x"]}, "a.b", "x"),
        ({'say "hi"': "x"}, 'say "hi"', "x"),
        ({'say "hi"': ["x"]}, 'say "hi"', "x"),
        ({"back\\slash": "x"}, "back\\slash", "x"),
        ({"it's": "o'clock; DROP TABLE documents"}, "it's", "o'clock; DROP TABLE documents"),
        ({"ключ": "значение 文"}, "ключ", "значение 文"),
        ({"new\nline": "a\tb"}, "new\nline", "a\tb"),
        ({"": "empty key"}, "", "empty key"),
        ({"$": "x"}, "$", "x"),
        ({"0": "x"}, "0", "x"),
        ({"a b[0]": "x=y"}, "a b[0]", "x=y"),
        ({"type": "law"}, "type", "law"),
        ({"lang": "Latin"}, "lang", "Latin"),
    ],
)
def test_filters_by_metadata(catalog: Catalog, meta: dict[str, Any], key: str, value: str) -> None:
    put(catalog, "has it", meta=meta)
    put(catalog, "has not", meta={"other": value})
    assert filtered(catalog, (key, value)) == [1]
    assert filtered(catalog, (key, value + " ")) == []


@pytest.mark.parametrize(
    ("meta", "key", "value"),
    [
        ({"author": {"name": "Ann"}}, "author", "Ann"),
        ({"author": {"name": "Ann"}}, "name", "Ann"),
        ({"author": {"name": "Ann"}}, "author", '{"name":"Ann"}'),
        ({"author": [{"name": "Ann"}]}, "author", "Ann"),
        ({"a": {"b": ["x"]}}, "a.b", "x"),
        ({"tags": ["x", "y"]}, "tags", '["x","y"]'),
        ({"tags": [["x"]]}, "tags", "x"),
        ({"tags": ["x"]}, "0", "x"),
        ({"none": None}, "none", "null"),
        ({"none": None}, "none", ""),
        ({"ok": True}, "ok", "1"),
        ({"year": 2020}, "year", "2020.0"),
        ({"topic": "flu"}, "topic", "FLU"),
        ({"topic": "flu"}, "topic", "fl%"),
    ],
)
def test_filters_do_not_widen(catalog: Catalog, meta: dict[str, Any], key: str, value: str) -> None:
    put(catalog, "a", meta=meta)
    assert filtered(catalog, (key, value)) == []


scalars = st.text(max_size=5) | st.integers(-(2**53), 2**53) | st.booleans() | st.none()
# Without NUL: SQLite ends a JSON path at one, and no command line can carry one, so such a key cannot be asked for.
texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=5)
trees = st.recursive(
    scalars.filter(lambda x: not isinstance(x, str)) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def spoken(value: object) -> str | None:
    """A single value as a filter would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else None


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(metas=st.lists(st.dictionaries(texts, trees, max_size=4), min_size=1, max_size=4), data=st.data())
def test_a_filter_finds_exactly_the_documents_that_have_the_value(
    catalog: Catalog, metas: list[dict[str, Any]], data: st.DataObject
) -> None:
    with catalog.transaction():
        catalog.execute("DELETE FROM sources")
        documents.drop_orphans(catalog)
    for number, meta in enumerate(metas):
        put(catalog, f"d{number}", meta=meta)
    pairs = [
        (key, found)
        for meta in metas
        for key, value in meta.items()
        for item in (value if isinstance(value, list) else [value])
        if (found := spoken(item)) is not None
    ]
    pair = data.draw(st.sampled_from(pairs) if pairs else st.tuples(texts, texts))
    if pair[0] in ("lang", "type", "document"):
        return
    expected = [
        number
        for number, meta in enumerate(metas)
        if pair[0] in meta
        and pair[1] in [spoken(x) for x in (meta[pair[0]] if isinstance(meta[pair[0]], list) else [meta[pair[0]]])]
    ]
    rowids, names = documents.external_ids(catalog)
    named = dict(zip(rowids.tolist(), names, strict=True))
    assert [named[rowid] for rowid in filtered(catalog, pair)] == [f"d{number}" for number in expected], json.dumps(
        metas
    )


def test_numbers_that_json_does_not_have_do_not_break_filters(catalog: Catalog) -> None:
    put(catalog, "a", meta={"x": float("nan"), "y": [float("inf")], "topic": "flu"})
    assert filtered(catalog, ("topic", "flu")) == [1]


def test_clusters_are_recorded_by_id(catalog: Catalog) -> None:
    put(catalog, "a")
    put(catalog, "b")
    documents.set_clusters(catalog, {"a": 0, "b": 0, "not there": 3})
    assert catalog.execute("SELECT DISTINCT cluster FROM documents").fetchall() == [(0,)]
