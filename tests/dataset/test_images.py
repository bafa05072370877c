from __future__ import annotations

import numpy as np

from honed.dataset.images import Pictures, _whole_groups, caption_pairs, keywords_of, text_queries, unsaid


def pictures() -> Pictures:
    """Three things in four drawings each; a fourth thing whose keywords are all in its title."""
    titles = [name for name in ("red apple", "old ship", "house", "green tree") for _ in range(4)]
    said = [("fruit", "apple", "food"), ("boat", "sea", "sail", "port"), ("home", "food"), ("tree",)]
    ids = tuple(f"{title}-{at}" for at, title in enumerate(titles))
    keywords = tuple(words for words in said for _ in range(4))
    return Pictures(np.arange(16), ids, np.repeat(np.arange(4), 4), ("a", "b", "c", "d") * 4, tuple(titles), keywords)


def test_a_question_never_holds_a_word_of_the_title() -> None:
    assert set(unsaid("red apple", ("fruit", "apple", "food"), seed=1)) == {"fruit", "food"}
    assert unsaid("Green Tree", ("tree",), seed=1) == ()
    assert len(unsaid("x", tuple("abcdefg"), seed=1)) == 3


def test_questions_come_once_and_ask_for_all_that_carry_their_words() -> None:
    queries = text_queries(pictures(), seed=3)
    assert len(queries.texts) == len(set(queries.texts)) == 3
    for text, relevant, cluster in zip(queries.texts, queries.relevant, queries.clusters, strict=True):
        carriers = {at // 4 for at in np.flatnonzero(relevant)}
        assert int(cluster) in carriers
        assert relevant.sum() == 4 * len(carriers)
        assert all(set(text.split()) <= set(pictures().keywords[at]) for at in np.flatnonzero(relevant))


def test_about_half_of_the_titles_are_hidden_and_stay_so() -> None:
    many = pictures()
    one, two = text_queries(many, seed=3), text_queries(many, seed=3)
    np.testing.assert_array_equal(one.bare, two.bare)
    assert 2 <= one.bare.sum() <= 14
    assert not text_queries(many, seed=3, bare=0.0).bare.any()


def test_pairs_say_what_is_said_of_a_picture() -> None:
    texts, rows = caption_pairs(pictures(), seed=1)
    of_first = {text for text, row in zip(texts, rows.tolist(), strict=True) if row == 0}
    assert {"red apple", "fruit apple food", "red apple fruit apple food"} <= of_first
    assert len(of_first) == 4
    assert set(rows.tolist()) == set(range(16))


def test_keywords_are_short_pieces() -> None:
    assert keywords_of("ship", "boat, sea, ship, boat") == ("boat", "sea")
    assert keywords_of("x", "The figure shows a long sentence that nobody would search for, or so") == ("or so",)


def test_a_group_is_never_torn() -> None:
    assert _whole_groups(["train", "test", "dev", "train"], np.array([0, 0, 1, 1])) == ["test", "test", "dev", "dev"]
