from __future__ import annotations

from honed.ingest.outline import Outline
from honed.types import Block


def test_sections_nest_by_level() -> None:
    outline = Outline()
    outline.heading(1, "A")
    outline.add("a")
    outline.heading(3, "B")
    outline.add("b")
    outline.heading(2, "C")
    outline.add("c", kind="table", page=4)
    assert outline.finish() == (Block("a", ("A",)), Block("b", ("A", "B")), Block("c", ("A", "C"), "table", 4))
    assert outline.title == "A"


def test_the_words_of_a_heading_that_nothing_follows_are_kept() -> None:
    outline = Outline()
    for level, text in ((1, "Title"), (2, "Empty"), (2, "Full")):
        outline.heading(level, text)
    outline.add("text")
    outline.heading(1, "Last")
    assert outline.finish() == (Block("Empty", ("Title",)), Block("text", ("Title", "Full")), Block("Last"))


def test_a_lone_title_is_no_block() -> None:
    outline = Outline()
    outline.heading(1, "Title")
    assert outline.finish() == ()


def test_unfinished_headings_are_joined_with_the_next() -> None:
    outline = Outline()
    outline.heading(1, "Exhibit 10.1")
    outline.heading(1, "FIRST AMENDMENT TO")
    outline.heading(1, "LEASE")
    outline.heading(1, "Article IV")
    outline.heading(1, "TERM")
    outline.add("text")
    assert outline.title == "FIRST AMENDMENT TO"
    assert [(block.headings, block.text) for block in outline.finish()] == [
        ((), "Exhibit 10.1 FIRST AMENDMENT TO LEASE"),
        (("Article IV TERM",), "text"),
    ]


def test_labels_and_numbers_are_no_title() -> None:
    outline = Outline()
    outline.heading(1, "Exhibit 10.1")
    outline.add("x")
    outline.heading(1, "2. Scope")
    outline.add("y")
    assert outline.title == ""
