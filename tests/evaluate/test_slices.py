from __future__ import annotations

import pytest

from honed.errors import UsageError
from honed.evaluate.slices import build_slices, overlap
from honed.types import Query


def queries(count: int = 60, **meta: list[object]) -> list[Query]:
    return [
        Query(f"q{n}", " ".join(["word"] * (1 + n % 12)), meta={key: values[n] for key, values in meta.items()})
        for n in range(count)
    ]


def test_length_terciles_cover_every_query_once() -> None:
    slices = build_slices(queries())
    assert [part.name for part in slices] == ["length: 1 to 4 words", "length: 5 to 8 words", "length: 9 to 12 words"]
    assert sum(part.members for part in slices).tolist() == [1] * 60


def test_terciles_merge_when_most_values_are_equal() -> None:
    slices = build_slices(queries(), relevant=[1] * 40 + [3] * 20)
    named = {part.name: int(part.members.sum()) for part in slices if part.name.startswith("relevant")}
    assert named == {"relevant documents: 1": 40, "relevant documents: 3": 20}


def test_a_value_that_all_share_is_no_slice() -> None:
    slices = build_slices(queries(kind=["only"] * 60), relevant=[2] * 60)
    assert not [part for part in slices if part.name.startswith(("relevant", "kind"))]


def test_overlap_slices_are_in_percent() -> None:
    slices = build_slices(queries(), overlaps=[n / 59 for n in range(60)])
    assert [part.name for part in slices if "overlap" in part.name] == [
        "word overlap: 0 to 32%",
        "word overlap: 34 to 66%",
        "word overlap: 68 to 100%",
    ]


def test_metadata_keys_with_few_values_become_slices_and_small_ones_are_left_out() -> None:
    colours = ["red"] * 25 + ["blue"] * 30 + ["rare"] * 5
    slices = build_slices(
        queries(colour=colours, ident=[f"id{n}" for n in range(60)], year=[2000 + n % 2 for n in range(60)])
    )
    names = [part.name for part in slices if not part.name.startswith("length")]
    assert names == ["colour: blue", "colour: red", "year: 2000", "year: 2001"]


def test_metadata_that_is_missing_or_no_text_is_ignored() -> None:
    values: list[object] = ["a"] * 25 + ["b"] * 25 + [None, "", ["x"], {"y": 1}] + ["a"] * 6
    slices = {part.name: int(part.members.sum()) for part in build_slices(queries(kind=values))}
    assert (slices["kind: a"], slices["kind: b"]) == (31, 25)
    assert len([name for name in slices if name.startswith("kind")]) == 2


def test_nothing_is_sliced_below_the_minimum() -> None:
    assert build_slices(queries(30)) == ()
    assert build_slices([]) == ()
    assert len(build_slices(queries(30), min_queries=5)) == 3


def test_values_must_match_the_queries() -> None:
    with pytest.raises(UsageError, match="60 queries and 2 values for 'overlaps'"):
        build_slices(queries(), overlaps=[0.1, 0.2])


def test_overlap() -> None:
    assert overlap("What is Pott disease?", ["Pott's disease of the spine", "it is rare"]) == 0.75
    assert overlap("?!", ["anything"]) == 0.0
