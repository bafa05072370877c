from __future__ import annotations

from honed.catalog import Catalog, judgements
from honed.types import Qrel, Query
from tests.catalog.make import drop, put


def add(catalog: Catalog, queries: list[Query], qrels: list[Qrel], origin: judgements.Origin = "labels") -> None:
    with catalog.transaction():
        judgements.add(catalog, queries, qrels, origin=origin)


def ids(catalog: Catalog, **options: object) -> list[str]:
    return [query.id for query in judgements.queries(catalog, "test", **options)]  # type: ignore[arg-type]


def test_only_queries_with_a_living_document_are_asked(catalog: Catalog) -> None:
    put(catalog, "d1")
    put(catalog, "d2")
    queries = [Query(name, name, "test") for name in ("one", "both", "none", "elsewhere")]
    qrels = [Qrel("one", "d1"), Qrel("both", "d1"), Qrel("both", "d2", 2), Qrel("elsewhere", "d9")]
    add(catalog, queries, qrels)
    assert ids(catalog) == ["both", "one"]
    drop(catalog, "d1")
    assert ids(catalog) == ["both"]
    put(catalog, "d1", "changed text")
    assert ids(catalog) == ["both", "one"], "a judgement outlives a changed file"


def test_a_query_is_replaced_with_its_judgements_and_answer(catalog: Catalog) -> None:
    put(catalog, "d1")
    put(catalog, "d2")
    add(catalog, [Query("q", "old", "test", {"kind": "ü"})], [Qrel("q", "d1")])
    with catalog.transaction():
        judgements.add_answers(catalog, [("q", "an answer")])
    assert judgements.queries(catalog, "test") == [Query("q", "old", "test", {"kind": "ü"})]
    add(catalog, [Query("q", "new", "test")], [Qrel("q", "d2", 3), Qrel("q", "d1", 0)])
    assert judgements.queries(catalog, "test") == [Query("q", "new", "test")]
    assert judgements.qrels(catalog) == {"q": {"d2": 3}}
    assert catalog.execute("SELECT count(*) FROM answers").fetchone() == (0,)


def test_origins_and_splits(catalog: Catalog) -> None:
    put(catalog, "d")
    add(catalog, [Query("a", "a", "test")], [Qrel("a", "d")], "import")
    add(catalog, [Query("b", "b", "test")], [Qrel("b", "d")], "proxy")
    assert ids(catalog) == ["a"]
    assert ids(catalog, origins=("proxy",)) == ["b"]
    with catalog.transaction():
        judgements.set_splits(catalog, {"a": "dev", "nobody": "dev"})
    assert (ids(catalog), judgements.qrels(catalog, "dev")) == ([], {"a": {"d": 1}})


def test_a_fingerprint_changes_with_queries_and_judgements(catalog: Catalog) -> None:
    queries = [Query("a", "text"), Query("b", "text")]
    first = judgements.fingerprint(queries, {"a": {"d": 1, "e": 2}})
    assert first == judgements.fingerprint(queries, {"a": {"e": 2, "d": 1}, "other": {"d": 1}})
    assert first != judgements.fingerprint(queries, {"a": {"d": 1, "e": 1}})
    assert first != judgements.fingerprint(queries[:1], {"a": {"d": 1, "e": 2}})
    assert first != judgements.fingerprint([queries[0], Query("b", "other")], {"a": {"d": 1, "e": 2}})
