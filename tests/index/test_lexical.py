"""BM25: scores against the formula, filters, and queries that would be syntax elsewhere."""

from __future__ import annotations

import math
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tantivy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from honed.errors import UsageError
from honed.index.lexical import MAX_TERMS, LexicalIndex, LexicalSettings
from honed.index.rows import IndexRow

ROWS = [
    IndexRow(3, "Pott disease | Spine", "Tuberculosis of the spine runs slowly.", ("lang=en", "source=/a b/x.pdf")),
    IndexRow(5, "Asthma", "Breathing gets hard, and the airways swell.", ("lang=en", "source=/a b/y.pdf")),
    IndexRow(8, "", "Das Asthma ist eine Krankheit (disease) der Atemwege.", ("lang=de", "source=/c.pdf")),
    IndexRow(9, "Sjögren syndrome", "Dry eyes. Running tears AND more.", ("lang=en", "source=/c.pdf")),
]


ALL_WORDS = LexicalSettings(drop_stop_words=False)


@pytest.fixture(scope="module")
def index() -> LexicalIndex:
    return LexicalIndex.build(ROWS)


def found(index: LexicalIndex, text: str, **options: object) -> list[int]:
    return [int(rowid) for rowid in index.search(text, 10, **options)[0]]  # type: ignore[arg-type]


def test_words_match_by_stem_case_and_accent(index: LexicalIndex) -> None:
    assert found(index, "RUN") == [3, 9] or found(index, "RUN") == [9, 3]
    assert found(index, "sjogren") == [9]
    assert found(index, "Sjögren's") == [9]
    assert set(found(index, "the and of", settings=ALL_WORDS)) == {3, 5, 9} and found(index, "the and of") == []
    assert found(index, "") == []


def test_the_context_line_counts_as_much_as_it_is_said_to(index: LexicalIndex) -> None:
    plain, half, whole = (
        index.search("asthma", 1, LexicalSettings(title_weight=weight))[1][0] for weight in (0.0, 0.5, 1.0)
    )
    assert found(index, "asthma") == [5, 8]
    assert plain < half < whole and whole - half == pytest.approx(half - plain)


def test_scores_are_bm25_over_one_field() -> None:
    texts = ["red green blue", "red red", "green", "yellow red green black"]
    index = LexicalIndex.build([IndexRow(n, "", text) for n, text in enumerate(texts)], language="simple")
    rowids, scores = index.search("red green", 10)
    length = np.mean([len(text.split()) for text in texts])

    def bm25(text: str) -> float:
        total, counts = 0.0, Counter(text.split())
        for word in ("red", "green"):
            frequency = sum(word in other.split() for other in texts)
            rarity = math.log(1 + (len(texts) - frequency + 0.5) / (frequency + 0.5))
            scale = counts[word] + 1.2 * (1 - 0.75 + 0.75 * len(text.split()) / length)
            total += rarity * counts[word] * 2.2 / scale
        return total

    np.testing.assert_allclose(scores, [bm25(texts[rowid]) for rowid in rowids], rtol=1e-4)
    assert scores.dtype == np.float32 and rowids.dtype == np.int64


def test_a_word_said_twice_counts_twice(index: LexicalIndex) -> None:
    once, twice = index.search("spine", 1)[1][0], index.search("spine spine", 1)[1][0]
    assert twice == pytest.approx(2 * once)


def test_filters_do_not_touch_scores(index: LexicalIndex) -> None:
    everything = dict(zip(*(part.tolist() for part in index.search("asthma disease", 10)), strict=True))
    for options in ({"terms": ["lang=en"]}, {"allowed": np.array([3, 5, 77])}):
        rowids, scores = index.search("asthma disease", 10, **options)  # type: ignore[arg-type]
        assert set(rowids.tolist()) == {3, 5}
        assert scores.tolist() == pytest.approx([everything[rowid] for rowid in rowids.tolist()])


def test_values_of_one_key_are_alternatives_and_keys_must_all_hold(index: LexicalIndex) -> None:
    assert index.rows(["lang=en"]).tolist() == [3, 5, 9]
    assert index.rows(["lang=en", "lang=de"]).tolist() == [3, 5, 8, 9]
    assert index.rows(["lang=en", "source=/c.pdf"]).tolist() == [9]
    assert index.rows(["source=/a b/x.pdf"]).tolist() == [3]
    assert index.rows(["source=/a"]).tolist() == []
    assert index.rows([]).tolist() == [3, 5, 8, 9]
    assert found(index, "asthma", terms=["lang=fr"]) == []
    assert found(index, "asthma", allowed=np.empty(0, np.int64)) == []


def test_equal_scores_come_in_the_order_of_rows() -> None:
    index = LexicalIndex.build([IndexRow(n, "", "same words") for n in (9, 2, 7)])
    assert found(index, "words") == [2, 7, 9]


def test_many_searches_equal_single_ones(index: LexicalIndex) -> None:
    texts = ["asthma", "", "tuberculosis spine", "disease"] * 50
    for text, (rowids, scores) in zip(texts, index.search_many(texts, 3), strict=True):
        np.testing.assert_array_equal(rowids, index.search(text, 3)[0])
        np.testing.assert_array_equal(scores, index.search(text, 3)[1])


@given(st.text(max_size=200) | st.text(alphabet='+-!(){}[]^"~*?:\\/&|<>= \x00aAND OR NOT body:', max_size=60))
@example("\ud800 asthma")
@example('body:asthma AND (NOT "')
@example("rowid:[0 TO 9]")
@settings(deadline=None, max_examples=200)
def test_no_text_is_syntax(index: LexicalIndex, text: str) -> None:
    index.search(text, 5, terms=[text])
    index.search(text, 5, LexicalSettings(1.0, True, 0.5, 0.5, 2.0, 3))
    # Whatever surrounds a word, the word is searched, and adding to a query never takes a passage away.
    assert set(found(index, "tuberculosis")) <= set(found(index, f"tuberculosis {text}"))


def test_a_very_long_query_keeps_its_rare_words_and_stays_fast() -> None:
    rng = np.random.default_rng(3)
    words = [f"w{number}" for number in range(3_000)]
    share = 1 / np.arange(1, 3_001)
    texts = [" ".join(rng.choice(words, 60, p=share / share.sum())) for _ in range(2_000)]
    index = LexicalIndex.build(
        [IndexRow(n, "", text) for n, text in enumerate(texts)] + [IndexRow(9_999, "", "unicorn")]
    )
    query = " ".join(rng.permutation([*rng.choice(words, 2_000), "unicorn"]))
    start = time.process_time()
    rowids, _ = index.search(query, 2_001)
    assert time.process_time() - start < 0.25
    assert 9_999 in rowids
    assert len(set(index._selective(query.split(), "body", None))) == MAX_TERMS
    assert len(set(index._selective(query.split(), "body", 32))) == 32
    assert 9_999 in index.search(query, 2_001, LexicalSettings(longest=32))[0]
    assert index.search("unicorn " * 1_000_000, 5)[0].tolist() == [9_999]


def test_languages_without_spaces_are_found_by_sign() -> None:
    index = LexicalIndex.build(
        [IndexRow(1, "", "東京都の天気"), IndexRow(2, "", "京都 Kyoto"), IndexRow(3, "", "сердце हिन्दी")],
        language="simple",
    )
    assert found(index, "天気") == [1]
    assert found(index, "京都")[0] == 2
    assert found(index, "Сердце") == [3]
    assert found(index, "हिन्दी") == [3]
    with pytest.raises(UsageError, match="klingon"):
        LexicalIndex.build([], language="klingon")  # type: ignore[arg-type]


def test_an_update_replaces_and_forgets(tmp_path: Path) -> None:
    LexicalIndex.build(ROWS, tmp_path)
    before = LexicalIndex.open(tmp_path)
    after = LexicalIndex.update(tmp_path, [IndexRow(5, "", "Now about gout.", ("lang=fr",))], np.array([3, 5, 77]))
    assert found(before, "asthma") == [5, 8] and len(before) == 4
    assert found(after, "asthma") == [8] and found(after, "gout") == [5] and len(after) == 3
    reopened = LexicalIndex.open(tmp_path)
    assert found(reopened, "gout") == [5] and reopened.rows(["lang=fr"]).tolist() == [5]


def test_no_passages_is_an_index_too(tmp_path: Path) -> None:
    LexicalIndex.build([], tmp_path)
    empty = LexicalIndex.open(tmp_path)
    assert found(empty, "anything") == [] and empty.rows(["lang=en"]).size == 0 and len(empty) == 0


def test_plain_bm25_is_what_the_engine_gives_for_the_same_text() -> None:
    """Title and text as one field, stemmed, the query as the engine reads it: the same scores."""
    schema = tantivy.SchemaBuilder().add_text_field("body", tokenizer_name="stems")
    own = tantivy.Index(schema.add_integer_field("rowid", fast=True).build())
    words = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple()).filter(tantivy.Filter.lowercase())
    words = words.filter(tantivy.Filter.stopword("english")).filter(tantivy.Filter.stemmer("english"))
    own.register_tokenizer("stems", words.build())
    writer = own.writer(15_000_000, 1)
    for row in ROWS:
        writer.add_document(tantivy.Document(rowid=row.rowid, body=f"{row.context}\n{row.text}".replace("ö", "o")))
    writer.commit()
    own.reload()
    searcher = own.searcher()
    for query in ("the spine of tuberculosis", "airways of asthma disease", "running tears of more"):
        hits = searcher.search(own.parse_query(query, ["body"]), 10).hits
        ids = searcher.fast_field_values("rowid", [address for _, address in hits])
        expected = dict(zip(ids, (score for score, _ in hits), strict=True))
        rowids, scores = LexicalIndex.build(ROWS).search(query, 10)
        assert dict(zip(rowids.tolist(), scores.tolist(), strict=True)) == expected


def test_stop_words_leave_plain_bm25_and_count_where_that_is_wanted(index: LexicalIndex) -> None:
    text = "the disease of the spine"
    assert index.search(text, 10, ALL_WORDS)[0].size > index.search("disease spine", 10, ALL_WORDS)[0].size
    for part in zip(index.search(text, 10), index.search("disease spine", 10), strict=True):
        np.testing.assert_array_equal(*part)


def test_words_as_written_count_beside_their_stems(index: LexicalIndex) -> None:
    """Row 3 says "runs", row 9 "Running"; only one of them says the word of the question."""
    both = LexicalSettings(exact=1.0)
    assert found(index, "running", settings=both)[0] == 9 and found(index, "runs", settings=both)[0] == 3
    only = LexicalSettings(stemmed=0.0, exact=1.0)
    assert found(index, "running", settings=only) == [9]
    stems, total = index.search("running", 1)[1], index.search("running", 1, both)[1]
    assert total == pytest.approx(stems + index.search("running", 1, only)[1])


def test_a_language_without_stems_has_one_way_to_agree() -> None:
    index = LexicalIndex.build([IndexRow(1, "", "runs"), IndexRow(2, "", "running")], language="simple")
    assert found(index, "running", settings=LexicalSettings(drop_stop_words=True, exact=0.5)) == [2]


def test_presence_makes_a_word_that_is_said_once_almost_as_good_as_one_said_often() -> None:
    rows = [IndexRow(1, "", "red red red red"), IndexRow(2, "", "red tall"), IndexRow(3, "", "blue")]
    index = LexicalIndex.build(rows, language="simple")
    before, after = (index.search("red tall", 5, LexicalSettings(presence=presence)) for presence in (0.0, 4.0))
    idf = {"red": math.log(1 + 1.5 / 2.5), "tall": math.log(1 + 2.5 / 1.5)}
    gained = dict(zip(after[0].tolist(), after[1].tolist(), strict=True))
    for rowid, score in zip(before[0].tolist(), before[1].tolist(), strict=True):
        words = ("red",) if rowid == 1 else ("red", "tall")
        assert gained[rowid] == pytest.approx(score + 4.0 * sum(idf[word] for word in words), rel=1e-5)


def test_no_passage_exceeds_the_ceiling_and_words_that_no_passage_has_do_not_raise_it(index: LexicalIndex) -> None:
    endless = LexicalIndex.build([IndexRow(1, "", "red " * 5_000), IndexRow(2, "", "blue")], language="simple")
    top, ceiling = endless.search("red", 1)[1][0], endless.ceiling("red")
    assert 0.9 * ceiling < top <= ceiling == endless.ceiling("red zebra")
    for settings_ in (LexicalSettings(), LexicalSettings(1.0, True, 0.5, 0.5, 2.0)):
        for text in ("asthma disease", "the spine", "Running runs"):
            scores = index.search(text, 9, settings_)[1]
            assert scores.max(initial=0.0) <= index.ceiling(text, settings_)
    assert index.ceiling("zebra") == 0.0


def test_bm25_of_given_passages_is_that_of_the_search(index: LexicalIndex) -> None:
    rowids, scores = index.search("asthma disease", 10)
    known = dict(zip(rowids.tolist(), scores.tolist(), strict=True))
    asked = np.array([9, 77, 8, 3, 5])
    got = index.word_scores("asthma disease", asked)
    assert got.tolist() == pytest.approx([known.get(rowid, 0.0) for rowid in asked.tolist()])
    assert index.word_scores("", asked).tolist() == [0.0] * 5
