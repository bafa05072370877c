from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from honed.answer.cite import REFUSAL, Cited, cite, claims, numbered
from honed.answer.support import THRESHOLD, judge
from tests.answer.make import medical


def check(cited: Cited) -> None:
    """What holds of every result: spans cover the text, markers name the citation's passage, quotes are verbatim."""
    passages = {context.passage.id: context.passage for context in medical()}
    numbers = numbered(cited.citations)
    position = 0
    for citation in cited.citations:
        assert cited.text[position : citation.start].strip() == ""
        span = cited.text[citation.start : citation.end]
        marker = re.findall(r"\[(\d+)\]", span)
        assert int(marker[-1]) == numbers[citation.passage]
        assert citation.quote in passages[citation.passage].text
        claim = re.sub(r" \[\d+\](?=.\Z)", "", span)
        assert judge(claim, passages[citation.passage]).score >= THRESHOLD
        position = citation.end
    assert cited.text[position:] == "" or not cited.citations


def test_good_markers_are_kept_and_renumbered() -> None:
    cited = cite(
        "Uric acid builds up in 5 of 100 adults [2]. Pott disease is tuberculosis of the spine. [1]", medical()
    )
    check(cited)
    assert cited.text == "Uric acid builds up in 5 of 100 adults [1]. Pott disease is tuberculosis of the spine [2]."
    assert [citation.passage for citation in cited.citations] == ["p2", "p1"]
    assert cited.dropped == ()


def test_wrong_missing_and_impossible_markers_are_put_right() -> None:
    for marker in ("[3]", "", "[17]", "[0]", "(passage 2)", "【3】", "[2, 3]"):
        cited = cite(f"Pott disease is tuberculosis of the spine {marker}.", medical())
        assert [citation.passage for citation in cited.citations] == ["p1"], marker
        assert cited.citations[0].quote == "Pott disease is tuberculosis of the spine."


def test_a_named_passage_is_kept_where_several_would_do() -> None:
    twins = (*medical(), medical()[0])
    assert cite("Pott disease is tuberculosis of the spine [4].", twins).citations[0].passage == "p1"


def test_unsupported_sentences_are_dropped_and_named() -> None:
    cited = cite("Gout is a kind of arthritis [2]. It is cured by moonlight [2]. Is gout painful?", medical())
    check(cited)
    assert cited.text == "Gout is a kind of arthritis [1]."
    assert cited.dropped == ("It is cured by moonlight.", "Is gout painful?")


def test_nothing_left_is_said_so() -> None:
    assert cite("The moon is made of cheese [1].", medical()) == (REFUSAL, (), ("The moon is made of cheese.",))
    assert cite("", medical()) == (REFUSAL, (), ())
    assert cite("Gout is a kind of arthritis.", ()).citations == ()


def test_repeats_are_left_out() -> None:
    assert len(cite("Gout is a kind of arthritis. " * 5, medical()).citations) == 1


def test_lists_lose_their_bullets() -> None:
    cited = cite("- Gout is a kind of arthritis [2]\n- The invoice is due within 30 days [3]", medical())
    check(cited)
    assert cited.text == "Gout is a kind of arthritis [1]. The invoice is due within 30 days [2]."


def test_a_copied_title_is_taken_off() -> None:
    assert cite("Gout: Gout is a kind of arthritis [2].", medical()).text == "Gout is a kind of arthritis [1]."


def test_markers_before_their_sentences() -> None:
    found = claims("[2] Gout is a kind of arthritis. [1] Pott disease is tuberculosis.")
    assert [claim.named for claim in found] == [(1,), (0,)]
    assert found[0].text == "Gout is a kind of arthritis."


def test_markers_after_and_inside_their_sentences() -> None:
    found = claims("Gout [2] is a kind of arthritis. [1][3] Pott disease is tuberculosis [1-2]. Last.")
    assert [claim.named for claim in found] == [(1, 0, 2), (0, 1), ()]


def test_a_text_in_the_making_keeps_its_last_sentence_back() -> None:
    assert [claim.text for claim in claims("Gout is painful. Pott dis", complete=False)] == ["Gout is painful."]


PIECES = st.sampled_from(
    ["Gout is a kind of arthritis", "Pott disease is tuberculosis of the spine", "Late payment costs 2 percent a month",
     "It is blue", "[1]", "[2]", "[9]", " ", ". ", "\n", "- ", "? ", "[1", "]", "5", "Is", "|", "[2, 3]"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=120), st.lists(PIECES, max_size=25).map("".join)))
@settings(max_examples=200, deadline=None)
def test_whatever_was_generated_the_result_holds(text: str) -> None:
    check(cite(text, medical()))
