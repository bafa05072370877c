from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honed.answer.terms import compared, content, names, numbers, opposed, polarity, stem, stems


@pytest.mark.parametrize(
    "family",
    [("cause", "causes", "caused", "causing"), ("therapy", "therapies"), ("stop", "stopped", "stopping"),
     ("treat", "treated", "treating"), ("day", "days")],
)  # fmt: skip
def test_families_share_a_stem(family: tuple[str, ...]) -> None:
    assert len({stem(word) for word in family}) == 1


@pytest.mark.parametrize("word", ["virus", "class", "diagnosis", "bus", "sing", "red", "42", "straße"])
def test_words_that_only_look_like_plurals_or_forms_stay(word: str) -> None:
    assert stem(word) == word


def test_figures_have_one_spelling() -> None:
    assert numbers("1,000 mg") == numbers("1000 mg") == {"1000"}
    assert numbers(".05") == numbers("0.050") == {"0.05"}
    assert numbers("two or 2") == {"2"}
    assert numbers("release 1.2.3") == {"1.2.3"}
    assert numbers("1,5 Liter") == {"1.5"}
    assert numbers("no one, v2 and B12") == frozenset()


def test_names_are_capitalised_words_but_not_the_first() -> None:
    assert names("The gene BRCA1 and mRNA of Paris") == {"brca1", "mrna", "paris"}
    assert names("Treatment helps.") == frozenset()
    assert names("NASA launched it") == {"nasa"}


def test_content_leaves_out_function_words_and_figures() -> None:
    assert content("What are the 3 causes of it?") == ["caus"]
    assert content("心臓") == ["心", "臓"]


def test_negation_reaches_to_the_end_of_its_clause() -> None:
    affirmed, denied = polarity("It was not associated with fever, but it causes pain without swelling.")
    assert {"associat", "fever", "swell"} <= denied
    assert {"caus", "pain"} <= affirmed
    assert polarity("not only pain")[1] == frozenset()
    assert "0.5" in polarity("It was not 0.5 days")[1]


def test_comparisons_and_opposites() -> None:
    left, right = compared("Men are affected more than women")
    assert stem("men") in left
    assert stem("women") in right
    assert opposed(frozenset(stems("it increases")), frozenset(stems("it decreased")))
    assert not opposed(frozenset(stems("it increases")), frozenset(stems("it increases, then decreases")))


@given(st.text(max_size=60))
def test_every_text_can_be_read(text: str) -> None:
    for word in content(text):
        assert word
    numbers(text), names(text), polarity(text), compared(text)
