from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from honed.answer.relevance import MIN_RELEVANCE, coverage, relevances, weights
from tests.answer.make import context, medical


def test_the_passage_that_is_asked_about_fits_best() -> None:
    fits = relevances("What causes Pott disease?", medical())
    assert fits[0] == max(fits) >= MIN_RELEVANCE > fits[2]


def test_words_that_only_ask_do_not_make_a_passage_fit() -> None:
    assert relevances("What are the symptoms of Lupus?", [context("Symptoms of gout are known.")])[0] < MIN_RELEVANCE


def test_the_title_counts() -> None:
    assert relevances("What causes gout?", [context("It is caused by acid.", title="Gout")])[0] == 1.0


def test_a_long_question_is_about_its_first_and_asking_sentences() -> None:
    letter = "My printer is broken. " + " ".join(f"Word{n} filler{n} thing{n}." for n in range(40)) + " Can toner leak?"
    assert "word7" not in weights(letter)
    assert relevances(letter, [context("A broken printer: toner can leak.")])[0] >= MIN_RELEVANCE


def test_a_similarity_counts_half() -> None:
    plain = relevances("What is podagra?", medical())
    near = relevances(
        "What is podagra?", medical(), lambda _, texts: [0.9 if "Gout" in text else 0.1 for text in texts]
    )
    assert near == tuple((left + right) / 2 for left, right in zip(plain, (0.1, 0.9, 0.1), strict=True))


def test_nothing_fits_nothing() -> None:
    assert relevances("What is gout?", ()) == ()
    assert relevances("", medical()) == (0.0, 0.0, 0.0)


@given(st.text(max_size=100), st.text(max_size=100))
def test_coverage_is_a_share(question: str, text: str) -> None:
    assert 0.0 <= coverage(weights(question), text) <= 1.0
