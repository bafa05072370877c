from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from honed.answer.support import THRESHOLD, judge
from honed.types import Passage

TEXT = (
    "Pott disease is tuberculosis of the spine. It is caused by Mycobacterium tuberculosis and affects men more often "
    "than women. In a trial of 123 patients the pain decreased within 6 weeks. The vaccine does not prevent it."
)
PASSAGE = Passage("p", "d", 0, "Pott disease", TEXT)


@pytest.mark.parametrize(
    "claim",
    [
        "Pott disease is tuberculosis of the spine.",
        "- It is caused by Mycobacterium tuberculosis.",
        "Pott disease is caused by Mycobacterium tuberculosis.",
        "In 123 patients the pain decreased within six weeks.",
        "The vaccine does not prevent Pott disease.",
        "Pott disease affects men more often than women.",
    ],
)
def test_what_the_passage_says_is_supported(claim: str) -> None:
    verdict = judge(claim, PASSAGE)
    assert verdict.score >= THRESHOLD
    assert verdict.quote in TEXT
    assert not verdict.missing
    assert not verdict.contradicted


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ("In a trial of 124 patients the pain decreased within 6 weeks.", "figure"),
        ("Pott disease is caused by Salmonella tuberculosis.", "name"),
        ("Laryngeal cancer is tuberculosis of the spine.", "subject"),
        ("Pott disease is not tuberculosis of the spine.", "negation"),
        ("The vaccine does prevent it.", "negation dropped"),
        ("In a trial of 123 patients the pain increased within 6 weeks.", "opposite"),
        ("It affects women more often than men.", "comparison"),
        ("Pott disease is a rare autoimmune condition of young dogs.", "words"),
        ("", "nothing said"),
        ("Yes.", "nothing said"),
    ],
)
def test_what_it_does_not_say_is_not(claim: str, why: str) -> None:
    assert judge(claim, PASSAGE).score < THRESHOLD, why


def test_a_title_alone_supports_nothing() -> None:
    assert judge("Pott disease", Passage("p", "d", 0, "Pott disease", "Press the blue key.")).score < THRESHOLD
    assert judge("Pott disease", Passage("p", "d", 0, "Pott disease", "")).score == 0.0


def test_figures_must_stand_where_the_rest_stands() -> None:
    passage = Passage(
        "p", "d", 0, "", "Adults take 5 mg of aspirin a day. Rooms cost much. Children take 2 mg of ibuprofen."
    )
    assert judge("Adults take 5 mg of aspirin a day.", passage).score >= THRESHOLD
    assert judge("Adults take 2 mg of aspirin a day.", passage).score < THRESHOLD


@given(st.text(max_size=80), st.text(max_size=200), st.text(max_size=20))
@settings(deadline=None)
def test_a_score_is_a_share_and_a_quote_is_verbatim(claim: str, text: str, title: str) -> None:
    verdict = judge(claim, Passage("p", "d", 0, title, text))
    assert 0.0 <= verdict.score <= 1.0
    assert verdict.quote in text
