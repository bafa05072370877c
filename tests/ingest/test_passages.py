from __future__ import annotations

import re
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from honed.ingest.parse.tables import markdown_tables
from honed.ingest.passages import split_passages
from honed.types import Block, Parsed, Passage


def split(*blocks: Block, max_words: int = 160) -> list[Passage]:
    return split_passages(Parsed("Title", blocks, "text/plain"), "doc", max_words=max_words)


def sentences(count: int, words: int = 10) -> str:
    return " ".join(f"Sentence {n} " + " ".join(["word"] * (words - 3)) + " end." for n in range(count))


def test_small_neighbours_under_one_heading_share_a_passage() -> None:
    passages = split(Block("One.", ("A",)), Block("Two.", ("A",)), Block("Three.", ("B",)))
    assert [(passage.headings, passage.text) for passage in passages] == [(("A",), "One.\n\nTwo."), (("B",), "Three.")]


def test_long_text_is_cut_between_sentences_into_like_sizes() -> None:
    passages = split(Block(sentences(35)))
    sizes = [len(passage.text.split()) for passage in passages]
    assert len(sizes) == 3 and max(sizes) <= 160 and min(sizes) >= 90
    assert all(passage.text.endswith("end.") for passage in passages)


def test_abbreviations_and_item_numbers_do_not_end_a_sentence() -> None:
    text = "3. Dr. Smith and Mr. J. Doe of Acme Inc. Ltd. agree, e.g. here, No. 5 applies. Then they part."
    assert [passage.text for passage in split(Block(text), max_words=18)] == [text[:-16], "Then they part."]


def test_a_sentence_that_is_too_long_is_cut_at_clauses() -> None:
    text = ", ".join(" ".join([f"c{n}"] * 9) for n in range(30)) + "."
    passages = split(Block(text))
    assert all(passage.text.endswith((",", ".")) for passage in passages)


def test_tables_repeat_their_header() -> None:
    table = "\n".join(markdown_tables([["name", "dose"], *([f"drug{n}", f"{n} mg"] for n in range(40))]))
    passages = split(Block(table, ("T",), "table", 3), max_words=30)
    assert len(passages) > 3
    for passage in passages:
        assert passage.text.startswith("| name | dose |\n| --- | --- |\n| drug")
        assert passage.page == 3


def test_a_row_that_is_too_long_is_told_cell_by_cell() -> None:
    table = f"| name | text |\n| --- | --- |\n| a | b |\n| long | {sentences(10)} |"
    passages = split(Block(table, (), "table"), max_words=40)
    assert any(passage.text.startswith("name: long\ntext: Sentence 0") for passage in passages[1:])


def test_pages_and_ids() -> None:
    blocks = Block(sentences(12), (), "text", 1), Block(sentences(12), (), "text", 2)
    passages = split(*blocks)
    assert [passage.page for passage in passages] == [1, 2]
    assert [passage.ordinal for passage in passages] == [0, 1]
    assert all(re.fullmatch("[0-9a-f]{24}", passage.id) for passage in passages)
    assert len({passage.id for passage in passages}) == 2
    assert passages == split(*blocks)
    assert passages[0].id != split_passages(Parsed("Title", blocks, "text/plain"), "other")[0].id


words = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="|"), min_size=1, max_size=12
)
prose = st.lists(
    st.tuples(words, st.sampled_from([" ", " ", " ", ". ", "? ", "; ", "\n", "\n\n", ".\n"])), max_size=120
).map(lambda parts: "".join(word + space for word, space in parts))
rows = st.lists(
    st.lists(prose.map(lambda text: " ".join(text.split())), min_size=2, max_size=4), min_size=2, max_size=6
)
text_blocks = st.builds(Block, prose, st.sampled_from([(), ("A",), ("A", "B")]))
table_blocks = st.builds(lambda content: Block("\n".join(markdown_tables(content)), (), "table"), rows)


@settings(max_examples=60, deadline=None)
@given(st.lists(text_blocks | table_blocks, max_size=5), st.integers(5, 60))
def test_no_word_is_lost(blocks: list[Block], max_words: int) -> None:
    passages = split(*blocks, max_words=max_words)
    kept = Counter(word for passage in passages for word in _words(passage.text))
    for word, count in Counter(word for block in blocks for word in _words(block.text)).items():
        assert kept[word] >= count, word


def _words(text: str) -> list[str]:
    """Words without the marks of a table, nor the colon that a cell's name gets in prose."""
    return [
        bare for word in text.replace("|", " ").split() if (bare := word.rstrip(":")) and not re.fullmatch("-+", bare)
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(text_blocks, max_size=5), st.integers(5, 60))
def test_prose_keeps_its_order_and_size(blocks: list[Block], max_words: int) -> None:
    passages = split(*blocks, max_words=max_words)
    # Sentences are cut where a language writes no space too, so white space is not compared.
    assert "".join("".join(passage.text.split()) for passage in passages) == "".join(
        "".join(block.text.split()) for block in blocks
    )
    assert all(0 < len(passage.text.split()) <= max_words for passage in passages)
