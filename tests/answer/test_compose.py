from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from honed.answer.cite import REFUSAL
from honed.answer.compose import compose, compose_stream
from honed.answer.support import THRESHOLD, judge
from honed.errors import ServiceError
from honed.types import Answer, Context
from tests.answer.make import Script, context, medical

QUESTION = "What causes Pott disease?"
GOOD = "Pott disease is caused by Mycobacterium tuberculosis [1]. It is tuberculosis of the spine [1]."


def supported(answer: Answer) -> bool:
    passages = {item.passage.id: item.passage for item in answer.contexts}
    claims = [(answer.text[c.start : c.end].rsplit(" [", 1)[0], passages[c.passage]) for c in answer.citations]
    return all(judge(claim, passage).score >= THRESHOLD for claim, passage in claims)


def test_what_stands_the_check_is_the_answer() -> None:
    answer = compose(QUESTION, medical(), Script(GOOD))
    assert (
        answer.text == "Pott disease is caused by Mycobacterium tuberculosis [1]. It is tuberculosis of the spine [1]."
    )
    assert answer.generator == "script"
    assert answer.contexts == medical()
    assert not answer.refused
    assert supported(answer)


def test_a_model_that_invents_is_replaced_by_the_passages() -> None:
    answer = compose(QUESTION, medical(), Script("The moon causes Pott disease [1]. Stars cause it too [1]."))
    assert answer.generator == "extractive"
    assert "Mycobacterium tuberculosis" in answer.text
    assert "moon" not in answer.text


def test_a_supported_sentence_beside_the_question_is_no_answer() -> None:
    passage = context("The pump needs oil every month. The box in the corner is red.")
    answer = compose("How often does the pump need oil?", [passage], Script("The box in the corner is red [1]."))
    assert answer.text == "The pump needs oil every month [1]."


def test_without_a_model_the_best_sentences_are_the_answer() -> None:
    answer = compose(QUESTION, medical())
    assert answer.generator == "extractive"
    assert answer.citations
    assert supported(answer)


def test_references_inside_a_passage_do_not_look_like_citations() -> None:
    answer = compose("What cures gout?", [context("Allopurinol cures gout in most adults [7, 9].")])
    assert answer.text == "Allopurinol cures gout in most adults [1]."
    assert answer.citations[0].quote == "Allopurinol cures gout in most adults [7, 9]."


def test_a_question_about_something_else_is_refused_without_asking_the_model() -> None:
    script = Script(GOOD)
    answer = compose("Who won the football cup in Brazil?", medical(), script)
    assert answer.refused
    assert answer.text == f"{REFUSAL} The nearest passages are: Pott disease; Gout; Terms of payment."
    assert answer.citations == ()
    assert script.taken == 0


def test_no_passages_no_answer() -> None:
    assert compose(QUESTION, ()) == Answer(REFUSAL, (), True, (), "")


def test_an_untitled_passage_is_named_by_its_beginning() -> None:
    answer = compose("football", [context("One two three four five six seven eight nine ten.")])
    assert answer.text.endswith("are: One two three four five six seven eight ....")


def test_the_stream_grows_and_ends_with_the_answer() -> None:
    steps = list(compose_stream(QUESTION, medical(), Script(GOOD)))
    assert len(steps) == 2
    assert steps[1].text.startswith(steps[0].text)
    assert steps[-1] == compose(QUESTION, medical(), Script(GOOD))


def test_a_sentence_is_shown_as_soon_as_the_next_one_begins() -> None:
    script = Script(GOOD, size=1)
    stream = compose_stream(QUESTION, medical(), script)
    next(stream)
    assert script.taken <= GOOD.index(" It") + len(" It ")
    stream.close()
    assert script.closed


@pytest.mark.parametrize(
    "text", ["Nonsense here. " * 50, "Gibberish words one. " * 3 + "Other things two. " * 50, GOOD * 40]
)
def test_a_model_that_goes_on_and_on_is_stopped(text: str) -> None:
    script = Script(text)
    compose(QUESTION, medical(), script)
    assert script.closed
    assert script.taken < len(text) / script.size / 2


def test_a_failing_server_is_not_hidden() -> None:
    class Down:
        name = "down"

        def generate(self, question: str, contexts: Sequence[Context], *, max_tokens: int = 160) -> Iterator[str]:
            raise ServiceError("It is down.")

    with pytest.raises(ServiceError):
        compose(QUESTION, medical(), Down())


def test_a_passage_about_something_else_is_not_used() -> None:
    contexts = (*medical(), context("What causes disease? Many causes cause disease, such as stress.", rank=4))
    assert {citation.passage for citation in compose(QUESTION, contexts).citations} == {"p1"}


PIECES = st.sampled_from(
    ["Pott disease is tuberculosis of the spine", "It is caused by Mycobacterium tuberculosis", " Treatment lasts 9 months",
     "[1]", " [2]", ". ", "\n", "- ", "? ", "[", "Mr", "Pott", " moon ", "vitamin C. The "]
)  # fmt: skip


@given(st.lists(PIECES, max_size=20).map("".join), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_no_step_of_any_stream_shows_an_unsupported_sentence(text: str, size: int) -> None:
    previous = ""
    for answer in compose_stream(QUESTION, medical(), Script(text, size=size)):
        assert answer.text.startswith(previous)
        assert supported(answer)
        assert not answer.refused
        previous = answer.text
    assert previous
