"""Search over a real catalog and a real index, with the hashing embedder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from honed.answer.fusion import FusionSettings
from honed.answer.pipeline import ask
from honed.answer.retrieve import Retriever
from honed.answer.settings import RetrievalSettings
from honed.catalog import Catalog, documents
from honed.errors import UsageError
from honed.index.reader import IndexReader
from honed.index.refresh import refresh
from honed.ingest.embed import embed_missing
from honed.models.hashing import HashEmbedder
from tests.catalog.make import drop, put

EMBEDDER = HashEmbedder(256)
TOPICS = ("flu", "gout", "cholera", "dengue", "ebola")
PARTS = ("symptoms", "treatment", "causes", "prevention")

Open = Callable[..., Retriever]


def at(weight: float) -> RetrievalSettings:
    return RetrievalSettings(fusion=FusionSettings(weight=weight))


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "catalog.db", create=True) as opened:
        yield opened


@pytest.fixture
def filled(catalog: Catalog) -> Catalog:
    for topic in TOPICS:
        for part in PARTS:
            put(
                catalog,
                f"{topic}/{part}",
                f"The {part} of {topic} are told here.",
                meta={"topic": topic, "tags": [part]},
            )
    return catalog


@pytest.fixture
def opened(tmp_path: Path, catalog: Catalog) -> Open:
    def open_(weight: float = 0.5, pool: int = 50, *, embed: bool = True) -> Retriever:
        if embed:
            embed_missing(catalog, EMBEDDER)
        refresh(catalog, tmp_path / "index", EMBEDDER.space)
        reader = IndexReader(tmp_path / "index", EMBEDDER.space, catalog)
        return Retriever("r1", catalog, EMBEDDER, reader, at(weight), pool)

    return open_


def found(retriever: Retriever, text: str, k: int = 10, **options: object) -> list[str]:
    return [context.external_id for context in retriever.search(text, k, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_best_passage_comes_first_at_every_weight(filled: Catalog, opened: Open, weight: float) -> None:
    contexts = opened(weight).search("treatment of cholera", 5)
    assert contexts[0].external_id == "cholera/treatment"
    assert [context.rank for context in contexts] == list(range(1, len(contexts) + 1))
    assert [context.score for context in contexts] == sorted((c.score for c in contexts), reverse=True)
    assert contexts[0].source == "cholera/treatment"


def test_words_alone_find_only_what_shares_a_word(filled: Catalog, opened: Open) -> None:
    assert set(found(opened(0.0), "cholera", 20)) == {f"cholera/{part}" for part in PARTS}
    assert found(opened(0.0), "zebra") == []
    assert len(found(opened(1.0), "zebra", 20)) == 20


def test_k_beyond_the_corpus_and_wrong_arguments(filled: Catalog, opened: Open) -> None:
    retriever = opened()
    assert len(found(retriever, "flu", 40_000)) == 20
    assert len(found(retriever, "flu", 1)) == 1
    for k in (0, -1):
        with pytest.raises(UsageError, match="k must be"):
            retriever.search("flu", k)
    for text in ("", " \n\t"):
        with pytest.raises(UsageError, match="empty"):
            retriever.search(text)


def test_an_empty_corpus_finds_nothing(catalog: Catalog, opened: Open) -> None:
    put(catalog, "only")
    retriever = opened()
    drop(catalog, "only")
    for weight in (0.0, 0.5, 1.0):
        assert retriever.under(at(weight)).search("only") == []
    assert ask("What about the only one?", retriever).refused


def test_deleted_passages_are_gone_at_once_and_the_list_stays_full(filled: Catalog, opened: Open) -> None:
    for weight in (0.0, 0.5, 1.0):
        retriever = opened(weight)
        first = found(retriever, "symptoms and causes", 3)
        drop(filled, *first)
        again = found(retriever, "symptoms and causes", 3)
        assert len(again) == 3
        assert not set(first) & set(again)


def test_a_passage_that_goes_between_search_and_fetch(
    filled: Catalog, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever = opened()
    contexts = documents.contexts

    def meanwhile(reader: Catalog, rowids: list[int], scores: list[float]) -> object:
        with Catalog(filled.path) as writer:
            drop(writer, "flu/causes", "flu/symptoms")
        return contexts(reader, rowids, scores)

    monkeypatch.setattr(documents, "contexts", meanwhile)
    hits = retriever.search("causes and symptoms of flu", 5)
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    assert not {"flu/causes", "flu/symptoms"} & {hit.external_id for hit in hits}


def test_new_passages_with_a_vector_are_found_before_the_index_is_built(filled: Catalog, opened: Open) -> None:
    retriever = opened()
    put(filled, "late", "zebra crossing")
    embed_missing(filled, EMBEDDER)
    assert found(retriever, "zebra crossing")[0] == "late"


def test_passages_without_a_vector_have_finite_scores(filled: Catalog, opened: Open) -> None:
    opened()
    put(filled, "late", "zebra zebra zebra")
    hits = opened(embed=False).search("zebra", 30)
    assert "late" in {hit.external_id for hit in hits}
    assert all(math.isfinite(hit.score) for hit in hits)


def test_filters(filled: Catalog, opened: Open) -> None:
    for weight in (0.0, 0.5, 1.0):
        retriever = opened(weight)
        assert set(found(retriever, "treatment", 20, filters=[("topic", "flu")])) <= {f"flu/{part}" for part in PARTS}
        both = [("topic", "flu"), ("tags", "causes")]
        assert set(found(retriever, "causes", 20, filters=both)) == {"flu/causes"}
        assert found(retriever, "treatment", filters=[("topic", "none")]) == []
        assert found(retriever, "treatment", filters=[("no such key", "flu")]) == []
        assert found(retriever, "cholera", 20, filters=[("document", "cholera/causes")]) == ["cholera/causes"]


PAIRS = [*(("topic", topic) for topic in TOPICS), *(("tags", part) for part in PARTS), ("topic", "none")]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(min_size=1, max_size=20) | st.sampled_from(["flu symptoms", "gout", "the causes of it"]),
    filters=st.lists(st.sampled_from(PAIRS), max_size=3),
    extra=st.sampled_from(PAIRS),
    weight=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_a_filter_never_widens(
    filled: Catalog,
    tmp_path: Path,
    text: str,
    filters: list[tuple[str, str]],
    extra: tuple[str, str],
    weight: float,
) -> None:
    if not documents.external_ids(filled)[0].size or not text.strip():
        return
    embed_missing(filled, EMBEDDER)
    refresh(filled, tmp_path / "index", EMBEDDER.space)
    reader = IndexReader(tmp_path / "index", EMBEDDER.space, filled)
    retriever = Retriever("r1", filled, EMBEDDER, reader, at(weight), 50)
    wide = set(found(retriever, text, 100, filters=filters))
    narrow = set(found(retriever, text, 100, filters=[*filters, extra]))
    assert narrow <= wide
    rowids = documents.filtered_rowids(filled, [*filters, extra])
    assert narrow <= {context.external_id for context in documents.contexts(filled, rowids, [0.0] * len(rowids))}


def test_many_questions_rank_as_one_does(filled: Catalog, opened: Open) -> None:
    retriever = opened()
    texts = ["flu symptoms", "zebra", "treatment of gout"]
    together = retriever.rank(texts, depth=5)
    for text, (rowids, scores) in zip(texts, together, strict=True):
        alone = retriever.rank([text], depth=5)[0]
        assert rowids.tolist() == alone[0].tolist()
        assert scores.tolist() == pytest.approx(alone[1].tolist(), abs=1e-5)
    assert retriever.rank([]) == []


def test_text_of_every_kind_is_searched(filled: Catalog, opened: Open) -> None:
    retriever = opened()
    for text in ("文 🤒", "\x00", "a" * 20_000, '"(flu AND', "flu -gout +x ~y^2 *", "'; DROP TABLE passages; --"):
        assert isinstance(retriever.search(text), list)
