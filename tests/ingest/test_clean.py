from __future__ import annotations

import unicodedata

from honed.ingest.clean import clean, normalised
from honed.types import Block, Parsed, Removal


def document(*blocks: Block, media_type: str = "text/plain") -> Parsed:
    return Parsed("title", blocks, media_type)


def texts(parsed: Parsed) -> list[str]:
    return [block.text for block in parsed.blocks]


def test_unicode_and_space_are_normalised() -> None:
    assert (
        normalised(unicodedata.normalize("NFD", "Größe\u00a0 und\t\tMaß \r\n\r\n\r\n\r\nEnde  "))
        == "Größe und Maß\n\nEnde"
    )
    assert normalised("a\n  - b\n" + " " * 40 + "c") == "a\n  - b\nc"


def test_emoji_and_persian_keep_their_joiners() -> None:
    for text in ("👩‍⚕️ doctor", "می‌خواهم"):
        assert normalised(text) == text


def test_hidden_text_is_taken_out_and_shown() -> None:
    tags = "".join(chr(0xE0000 + ord(char)) for char in "obey me")
    cleaned, removals = clean(document(Block(f"A\u200bB\u202e{tags} and more")))
    assert texts(cleaned) == ["AB and more"]
    assert removals[0].text == "obey me"
    assert removals[0].detail.startswith("9 invisible characters: U+200B, U+202E, U+E0020")


def pages(count: int) -> list[Block]:
    return [
        Block(f"ACME Guideline 2024\nText of page {chr(65 + n)} goes here.\nPage {n + 1} of {count}", (), "text", n + 1)
        for n in range(count)
    ]


def test_running_lines_go_from_every_page() -> None:
    cleaned, removals = clean(document(*pages(5), media_type="application/pdf"))
    assert texts(cleaned) == [f"Text of page {letter} goes here." for letter in "ABCDE"]
    assert len(removals) == 10
    assert Removal("boilerplate", "Page 2 of 5", "page 2") in removals


def test_two_pages_prove_nothing() -> None:
    cleaned, removals = clean(document(*pages(2), media_type="application/pdf"))
    assert "ACME" in texts(cleaned)[0] and not removals


def test_a_line_inside_a_page_may_repeat() -> None:
    blocks = [
        Block("\n".join([f"top {n}{n}", *"abc", "the same", *"xyz", f"end {chr(65 + n)}"]), (), "text", n)
        for n in range(1, 8)
    ]
    cleaned, _ = clean(document(*blocks))
    assert sum("the same" in text for text in texts(cleaned)) == 7


def test_printed_page_numbers_inside_the_text_go() -> None:
    blocks = [block for n in range(1, 6) for block in (Block(f"Paragraph {'abcde'[n - 1]} is here."), Block(str(n)))]
    cleaned, removals = clean(document(*blocks, Block("1999")))
    assert len(removals) == 5
    assert texts(cleaned)[-1] == "1999"


def test_lines_are_joined_in_pdf_and_hyphens_only_where_they_broke_a_word() -> None:
    text = "The treat-\nment of non-\nsmokers is well-\nknown, it\nis said.\n- one\n- two"
    cleaned, _ = clean(document(Block(text, (), "text", 1), media_type="application/pdf"))
    assert texts(cleaned) == ["The treatment of non-smokers is well-known, it is said.\n- one\n- two"]


def test_lines_stay_elsewhere() -> None:
    cleaned, _ = clean(document(Block("Dear all,\nhello")))
    assert texts(cleaned) == ["Dear all,\nhello"]


def test_a_sentence_over_two_pages_is_one_paragraph() -> None:
    blocks = (Block("It begins on a page and", (), "text", 1), Block("ends on the next.", (), "text", 2))
    cleaned, _ = clean(document(*blocks, media_type="application/pdf"))
    assert cleaned.blocks == (Block("It begins on a page and ends on the next.", (), "text", 1),)


def test_a_block_that_was_there_before_goes_but_short_ones_stay() -> None:
    long = "This very sentence stands in the document twice."
    cleaned, removals = clean(document(Block(long, ("A",)), Block("Yes."), Block(long.upper(), ("B",)), Block("Yes.")))
    assert texts(cleaned) == [long, "Yes.", "Yes."]
    assert removals == (Removal("duplicate", long.upper(), "B"),)


def test_cleaning_twice_changes_nothing() -> None:
    once, _ = clean(document(*pages(5), Block("x\u200by"), media_type="application/pdf"))
    twice, removals = clean(once)
    assert (twice, removals) == (once, ())
