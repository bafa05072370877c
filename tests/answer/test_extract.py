from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from honed.answer.extract import LIMIT, asked_thing, extract
from tests.answer.make import context, medical


def test_the_sentence_that_answers_is_picked() -> None:
    picks = extract("What causes Pott disease?", medical())
    assert "It is caused by Mycobacterium tuberculosis." in [pick.text for pick in picks]
    assert {pick.context for pick in picks} == {0}


def test_definitions_begin_with_the_asked_thing() -> None:
    passage = context("Doctors know gout from painful gout attacks. Gout is a kind of arthritis. The word gout is old.")
    assert extract("What is (are) gout?", [passage], limit=1)[0].text == "Gout is a kind of arthritis."


def test_what_is_asked_to_be_defined() -> None:
    assert asked_thing("What is (are) Restless Legs?") == "Restless Legs"
    assert asked_thing("What does BM25 mean?") == "BM25"
    assert asked_thing("Define the recall.") == "the recall"
    assert asked_thing("What is the treatment for gout?") == ""
    assert asked_thing("How is gout treated?") == ""


def test_picks_are_in_reading_order_and_verbatim() -> None:
    contexts = medical()
    picks = extract("tuberculosis spine arthritis invoice", contexts)
    assert 1 <= len(picks) <= LIMIT
    assert [(pick.context, pick.start) for pick in picks] == sorted((pick.context, pick.start) for pick in picks)
    assert all(pick.quote in contexts[pick.context].passage.text for pick in picks)


def test_nothing_is_said_twice() -> None:
    twins = [context("The pump needs oil every 30 days.", rank=1), context("The pump needs oil every 30 days!", rank=2)]
    assert len(extract("How often does the pump need oil?", twins)) == 1


def test_questions_headings_and_lead_ins_are_no_answers() -> None:
    passage = context(
        "Pump oil\n\nHow often does the pump need oil?\n\nThe pump needs oil as follows:\n\nOils that the pump needs include\n\n"
        "Fill in oil every month."
    )
    assert [pick.text for pick in extract("How often does the pump need oil?", [passage])] == [
        "Fill in oil every month."
    ]


def test_a_similarity_can_decide() -> None:
    passage = context("The red box holds some cables. The green box holds some cables.")
    picks = extract(
        "Which box is like a leaf?", [passage], similarity=lambda _, texts: ["green" in t for t in texts], limit=1
    )
    assert picks[0].text == "The green box holds some cables."


def test_nothing_to_pick_from() -> None:
    assert extract("What is gout?", []) == ()
    assert extract("", [context("Short.")]) == ()


@given(st.text(max_size=60), st.lists(st.text(max_size=120), max_size=4))
@settings(deadline=None)
def test_any_text_will_do(question: str, texts: list[str]) -> None:
    contexts = [context(text, rank=rank) for rank, text in enumerate(texts, start=1)]
    for pick in extract(question, contexts):
        assert pick.quote in contexts[pick.context].passage.text
