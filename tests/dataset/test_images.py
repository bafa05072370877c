from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.catalog import Catalog, images, splits
from honed.dataset.image_questions import (
    caption_pairs,
    half_hidden,
    says_something,
    text_queries,
    title_queries,
    unsaid,
    wordless,
)
from honed.dataset.images import (
    ImageTask,
    Pictures,
    _whole_groups,
    fix_picture_splits,
    keywords_of,
    load_caption_task,
    load_image_task,
    take,
)
from honed.types import SPLITS, ImageRecord, Split
from tests.catalog.make import drop, put


def pictures() -> Pictures:
    """Three things in four drawings each; a fourth thing whose keywords are all in its title."""
    titles = [name for name in ("red apple", "old ship", "house", "green tree") for _ in range(4)]
    said = [("fruit", "apple", "food"), ("boat", "sea", "sail", "port"), ("home", "food"), ("tree",)]
    ids = tuple(f"{title}-{at}" for at, title in enumerate(titles))
    keywords = tuple(words for words in said for _ in range(4))
    return Pictures(np.arange(16), ids, np.repeat(np.arange(4), 4), ("a", "b", "c", "d") * 4, tuple(titles), keywords)


def test_a_question_never_holds_a_word_of_the_title() -> None:
    assert set(unsaid("red apple", ("fruit", "apple", "food"), seed=1)) == {"fruit", "food"}
    assert unsaid("Green Tree", ("tree",), seed=1) == ()
    assert len(unsaid("x", tuple("abcdefg"), seed=1)) == 3


EVERY = np.arange(16)


def test_questions_come_once_and_ask_for_all_that_carry_their_words() -> None:
    queries = text_queries(pictures(), EVERY, seed=3)
    assert len(queries.texts) == len(set(queries.texts)) == 3
    for text, relevant, cluster in zip(queries.texts, queries.relevant, queries.clusters, strict=True):
        carriers = {at // 4 for at in np.flatnonzero(relevant)}
        assert int(cluster) in carriers
        assert relevant.sum() == 4 * len(carriers)
        assert all(set(text.split()) <= set(pictures().keywords[at]) for at in np.flatnonzero(relevant))


def test_pictures_of_other_splits_that_carry_the_words_are_neither_right_nor_wrong() -> None:
    split = np.arange(0, 16, 2)
    queries = text_queries(pictures(), split, seed=3)
    assert queries.texts == text_queries(pictures(), EVERY, seed=3).texts
    inside = np.isin(EVERY, split)
    assert queries.relevant.any(axis=1).all()
    assert not queries.relevant[:, ~inside].any()
    assert not queries.left_out[:, inside].any()
    whole = text_queries(pictures(), EVERY, seed=3)
    np.testing.assert_array_equal(queries.relevant | queries.left_out, whole.relevant)
    assert not whole.left_out.any()


def test_titles_ask_for_every_picture_that_carries_them_hidden_or_not() -> None:
    hidden = EVERY % 4 > 0
    hidden[4:8] = True
    queries = title_queries(pictures(), EVERY, hidden, seed=3)
    assert queries.texts == ("red apple", "house", "green tree"), "nobody can type a title that search does not know"
    assert queries.relevant.sum(axis=1).tolist() == [4, 4, 4]
    assert queries.clusters.tolist() == [0, 2, 3]
    assert len(title_queries(pictures(), EVERY, hidden, seed=3, most=2).texts) == 2


def test_about_half_of_the_titles_are_hidden_and_stay_so() -> None:
    hidden = half_hidden(pictures(), seed=3)
    np.testing.assert_array_equal(hidden, half_hidden(pictures(), seed=3))
    assert 2 <= hidden.sum() <= 14


def test_words_are_hidden_in_the_share_in_which_pictures_have_none() -> None:
    count = 400
    names = tuple(map(str, range(count)))
    many = Pictures(np.arange(count), names, np.arange(count), (), ("a red ship",) * count, ((),) * count)
    asked = np.arange(200)
    assert not wordless(many, asked, np.ones(count, bool), seed=3).any(), "all have words: what ships hides nothing"
    half = wordless(many, asked, np.arange(count) < 200, seed=3)
    assert not half[200:].any()
    assert 70 < half.sum() < 130
    names_of_files = replace(many, titles=("a red ship",) * 200 + ("IMG 2034",) * 200)
    np.testing.assert_array_equal(wordless(names_of_files, asked, np.ones(count, bool), seed=3), half)
    few = wordless(many, asked, np.arange(count) < 360, seed=3)
    assert not (few & ~half).any(), "what is hidden of few is hidden of many"


@pytest.mark.parametrize(
    ("title", "expected"),
    [("red panda 02", True), ("猫", True), ("IMG 2034", False), ("0017", False), ("DSC 1 a", False), ("", False)],
)
def test_the_name_that_a_camera_gave_says_nothing(title: str, expected: bool) -> None:
    assert says_something(title) is expected


def test_pairs_say_what_is_said_of_a_picture() -> None:
    texts, rows = caption_pairs(pictures(), seed=1)
    of_first = {text for text, row in zip(texts, rows.tolist(), strict=True) if row == 0}
    assert {"red apple", "fruit apple food", "red apple fruit apple food"} <= of_first
    assert len(of_first) == 4
    assert set(rows.tolist()) == set(range(16))


def test_keywords_are_short_pieces() -> None:
    assert keywords_of("ship", "boat, sea, ship, boat") == ("boat", "sea")
    assert keywords_of("x", "The figure shows a long sentence that nobody would search for, or so") == ("or so",)


def test_a_group_is_never_torn() -> None:
    assert _whole_groups(["train", "test", "dev", "train"], np.array([0, 0, 1, 1])) == ["test", "test", "dev", "dev"]


def test_of_too_many_questions_a_hash_keeps_some() -> None:
    every, some = text_queries(pictures(), EVERY, seed=3), text_queries(pictures(), EVERY, seed=3, most=2)
    assert len(some.texts) == 2
    rows = [every.texts.index(text) for text in some.texts]
    np.testing.assert_array_equal(every.relevant[rows], some.relevant)
    np.testing.assert_array_equal(every.clusters[rows], some.clusters)


# -- from a catalog ----------------------------------------------------------------------------------------------------


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "catalog.db", create=True) as opened:
        yield opened


def show(catalog: Catalog, name: str, *, phash: int, title: str = "", kind: str = "file") -> None:
    """A picture with a title, with the pixels that its name says."""
    document = put(catalog, name, "sea, boat", title=title or f"title of {name}")
    media = hashlib.sha256(name.encode()).hexdigest()
    record = ImageRecord(
        images.image_id(document, 0, media), document, 0, media, kind, 9, 9, title, phash, passage=f"{document}:0"
    )
    with catalog.transaction():
        images.add(catalog, document, [record])


def where(task: ImageTask) -> dict[str, Split]:
    """The split of every picture of a task."""
    return {name: split for split, part in task.splits.items() for name in part.ids}


def far(at: int) -> int:
    """Perceptual hashes that differ in many bits."""
    return int(np.random.default_rng(at).integers(0, 2**63))


def test_pictures_need_no_group_to_be_asked_for(catalog: Catalog) -> None:
    for at in range(60):
        show(catalog, f"p{at}", phash=far(at))
    show(catalog, "figure", phash=far(99), kind="figure")
    assert not any(len(part) for part in load_image_task(catalog, seed=1).splits.values())
    task = load_caption_task(catalog, seed=1)
    sizes = {split: len(part) for split, part in task.splits.items()}
    assert sum(sizes.values()) == 60, "a figure's passage is text around it, not a caption with keywords"
    assert sizes["train"] > 24
    assert min(sizes.values()) > 3
    assert len(np.unique(np.concatenate([part.groups for part in task.splits.values()]))) == 60
    assert task.splits["dev"].keywords[0] == ("sea", "boat")
    assert len(task.everything) == 61, "live search ranks the figure, too"
    assert task.everything.ids[-1] == "figure#0"
    for split, part in task.splits.items():
        assert [task.everything.ids[at] for at in task.places(split)] == list(part.ids)


def test_near_copies_and_equal_titles_share_a_cluster_and_a_split(catalog: Catalog) -> None:
    for at in range(40):
        show(catalog, f"p{at}", phash=far(at))
        show(catalog, f"copy{at}", phash=far(at) ^ 0b101)
        show(catalog, f"named{at}", phash=far(1000 + at), title=f"title of p{at}")
    task = load_caption_task(catalog, seed=1)
    parts = [(split, zip(part.ids, part.groups.tolist(), strict=True)) for split, part in task.splits.items()]
    where = {name: (split, group) for split, members in parts for name, group in members}
    assert all(where[f"p{at}"] == where[f"copy{at}"] == where[f"named{at}"] for at in range(40))
    assert len({group for _, group in where.values()}) == 40


def test_groups_keep_their_splits_beside_pictures_of_none(catalog: Catalog) -> None:
    for at in range(30):
        show(catalog, f"p{at}", phash=far(at))
    splits = ("train", "dev", "test")
    with catalog.transaction():
        images.set_groups(catalog, [(f"p{at}", f"g{at // 2}", "", splits[at // 2 % 3]) for at in range(24)])
    grouped, every = load_image_task(catalog, seed=1), load_caption_task(catalog, seed=1)
    for split, part in grouped.splits.items():
        assert set(part.ids) <= set(every.splits[split].ids)
    assert sum(len(part) for part in every.splits.values()) == 30
    for part in every.splits.values():
        members = [group for name, group in zip(part.ids, part.groups.tolist(), strict=True) if int(name[1:]) < 24]
        assert all(members.count(group) == 2 for group in members)


def test_a_near_copy_of_a_held_out_picture_is_not_learned_from(catalog: Catalog) -> None:
    """Two states with one flag: the drawing is learned in train, or asked for in test, never both."""
    for at in range(30):
        show(catalog, f"p{at}", phash=far(at))
    show(catalog, "copy of p1", phash=far(1) ^ 0b1001)
    show(catalog, "much like p2", phash=far(2) ^ 0b111111111)
    splits = ("train", "dev", "test")
    members = [(f"p{at}", f"g{at}", "", splits[at % 3]) for at in range(30)]
    with catalog.transaction():
        images.set_groups(catalog, [*members, ("copy of p1", "g0", "", "train"), ("much like p2", "g0", "", "train")])
    for task in (load_image_task(catalog, seed=1), load_caption_task(catalog, seed=1)):
        assert "p1" in task.splits["dev"].ids
        assert "copy of p1" not in task.splits["train"].ids
        assert "much like p2" in task.splits["train"].ids
        assert any(note.startswith("1 train pictures are nearly the same") for note in task.notes)


# -- splits over time --------------------------------------------------------------------------------------------------


def test_pictures_that_come_later_move_none(catalog: Catalog) -> None:
    """Near-copies and equal titles, under names that sort earlier."""
    for at in range(300):
        show(catalog, f"m{at:03d}", phash=far(at))
    fix_picture_splits(catalog, seed=13)
    before = where(load_caption_task(catalog, seed=13))
    assert set(before.values()) == set(SPLITS)
    for at in range(100):
        show(catalog, f"a{at:03d}", phash=far(at) ^ 1)
        show(catalog, f"b{at:03d}", phash=far(1000 + at), title=f"title of m{200 + at:03d}")
    fix_picture_splits(catalog, seed=13)
    after = where(load_caption_task(catalog, seed=13))
    assert after.items() >= before.items()
    assert all(after[f"a{at:03d}"] == before[f"m{at:03d}"] for at in range(100))
    assert all(after[f"b{at:03d}"] == before[f"m{200 + at:03d}"] for at in range(100))


def test_a_picture_that_links_two_clusters_moves_none_and_takes_one_from_train(catalog: Catalog) -> None:
    for at in range(60):
        show(catalog, f"p{at}", phash=far(at))
    fix_picture_splits(catalog, seed=1)
    before = where(load_caption_task(catalog, seed=1))
    learned = next(name for name, split in before.items() if split == "train")
    tested = next(name for name, split in before.items() if split == "test")
    show(catalog, "a link", phash=far(int(tested[1:])) ^ 1, title=f"title of {learned}")
    notes = fix_picture_splits(catalog, seed=1)
    task = load_caption_task(catalog, seed=1)
    after = where(task)
    assert after["a link"] == "test" and learned not in after
    assert {name: split for name, split in before.items() if name != learned}.items() <= after.items()
    assert notes == task.notes
    assert "1 cluster stands in more than one split: 1 of" in notes[0]


def test_what_a_run_has_taken_stays_whatever_group_it_comes_into(catalog: Catalog) -> None:
    """Also under another name, and after it was away. What no run has taken follows its group."""
    for at in range(40):
        show(catalog, f"p{at}", phash=far(at))
        show(catalog, f"bare{at}", phash=far(100 + at))
    fix_picture_splits(catalog, seed=1)
    task = load_caption_task(catalog, seed=1)
    before = where(task)
    taken = {name: split for name, split in before.items() if name.startswith("p")}
    splits.finish(catalog, "picture", taken)
    with catalog.transaction():
        images.set_groups(catalog, [(name, f"g{name[-1]}", "", "test") for name in before])
        images.set_groups(catalog, [("bare1", "all train", "", "train"), ("bare2", "all dev", "", "dev")])
    drop(catalog, "p0", "p1")
    fix_picture_splits(catalog, seed=1)
    show(catalog, "p0", phash=far(0))
    fix_picture_splits(catalog, seed=1)
    grouped = {member.external_id: member.split for member in images.groups(catalog)}
    assert {name: split for name, split in taken.items() if name != "p1"}.items() <= grouped.items()
    assert (grouped["bare1"], grouped["bare2"]) == ("train", "dev")
    assert "test" in {grouped[f"bare{at}"] for at in range(3, 40)}


def test_the_same_pixels_under_another_name_keep_their_split(catalog: Catalog) -> None:
    for at in range(40):
        show(catalog, f"p{at}", phash=far(at))
    fix_picture_splits(catalog, seed=1)
    before = where(load_caption_task(catalog, seed=1))
    stored = splits.stored(catalog, "picture")
    with catalog.transaction():
        catalog.execute("UPDATE documents SET external_id = 'moved ' || external_id")
    fix_picture_splits(catalog, seed=99)
    assert where(load_caption_task(catalog, seed=99)) == {f"moved {name}": split for name, split in before.items()}
    assert stored.names.items() <= splits.stored(catalog, "picture").names.items()


def test_taking_a_task_makes_its_splits_final(catalog: Catalog) -> None:
    for at in range(20):
        show(catalog, f"p{at}", phash=far(at))
    fix_picture_splits(catalog, seed=1)
    task = load_caption_task(catalog, seed=1)
    take(catalog, task)
    with catalog.transaction():
        splits.drop_unused(catalog, "picture", where(task))
    assert splits.stored(catalog, "picture").names == where(task)
