from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from honed.answer.sentences import split_sentences, strip_mark


def texts(text: str) -> list[str]:
    return [sentence.text for sentence in split_sentences(text)]


PIECES = st.sampled_from(
    ["Dr. ", "e.g. ", "3.5 ", "The end. ", "Why? ", "\n", "\n\n", "- item\n", "| a | b |\n", "# Head\n", "1. one\n", "U.S. ",
     "a", " ", "\t", "\u2028", "\x85", "。", "次", "[3]", "...", "x.Y", "é", "😀", "\x1c", "):", ": - "]
)  # fmt: skip


@given(st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=40).map("".join)))
@settings(max_examples=300, deadline=None)
def test_offsets_are_exact_and_nothing_is_lost(text: str) -> None:
    position = 0
    for sentence in split_sentences(text):
        assert sentence.text == text[sentence.start : sentence.end]
        assert sentence.text == sentence.text.strip() != ""
        assert text[position : sentence.start].strip() == ""
        position = sentence.end
    assert text[position:].strip() == ""


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Dr. Smith et al. measured 3.5 mg. It was enough.", 2),
        ("The U.S. Army paid, e.g. Mr. J. Smith. He left.", 2),
        ("See Fig. 3 and No. 5. Read on.", 2),
        ("No. Many patients do not.", 2),
        ("It is hepatitis B. The virus spreads.", 2),
        ('He said "Stop!" and left. She asked (why?) again.', 2),
        ("Really?! Yes. Wait... what", 3),
        ("It rose (p < .05). Then it fell.", 2),
        ("This was shown before.[3] It was confirmed.", 2),
        ("These are lesions.The next one.", 2),
        ("Go to www.Example.com or edit Node.JS files.", 1),
        ("これは文です。次の文。", 2),
        ("Ask your doctor if you have: - Weakness. - Fever or sweats. - Pain", 4),
    ],
)
def test_counts(text: str, count: int) -> None:
    assert len(texts(text)) == count


def test_blocks_are_separate() -> None:
    text = "# Title\nDosage\nThe text is wrapped over\nseveral lines. Done.\n\n1. Wash hands\n2. Dry them\n- a\n| x | y. Z |"
    assert texts(text) == [
        "# Title", "Dosage", "The text is wrapped over\nseveral lines.", "Done.",
        "1. Wash hands", "2. Dry them", "- a", "| x | y. Z |",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["- item", "* item", "3) item", "(a) item", "## item", "| item |", "- 1. item"])
def test_marks_are_stripped(text: str) -> None:
    assert strip_mark(text) == "item"


@pytest.mark.parametrize("unit", ["e.g. ", ".", "? ", "[1", "a.", "\n- ", "| ", "."])
def test_time_grows_with_length(unit: str) -> None:
    begin = time.process_time()
    split_sentences(unit * 20_000)
    assert time.process_time() - begin < 2.0
