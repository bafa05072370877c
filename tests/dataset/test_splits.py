from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from honed.dataset.splits import join, torn, torn_note
from honed.types import SPLITS, Split

SPLIT = st.sampled_from(SPLITS)
LABELS = st.lists(st.integers(0, 12), min_size=1, max_size=60)


def names(count: int) -> list[str]:
    return [f"q{number}" for number in range(count)]


def nothing(count: int) -> list[Split | None]:
    return [None] * count


def stands_in_two(splits: tuple[Split, ...], labels: list[int]) -> bool:
    places = defaultdict(set)
    for split, label in zip(splits, labels, strict=True):
        places[label].add(split)
    return any(len(some) > 1 for some in places.values())


@given(labels=LABELS, seed=st.integers(0, 99))
def test_no_cluster_is_torn(labels: list[int], seed: int) -> None:
    first = join(names(len(labels)), nothing(len(labels)), np.array(labels), seed=seed)
    assert not stands_in_two(first.splits, labels)
    assert first == join(names(len(labels)), nothing(len(labels)), np.array(labels), seed=seed)


@given(pairs=st.lists(st.tuples(SPLIT, st.integers(0, 5)), min_size=3, max_size=40))
def test_splits_that_a_user_brings_are_kept_and_shared_clusters_are_told(pairs: list[tuple[Split, int]]) -> None:
    brought, labels = [split for split, _ in pairs], [label for _, label in pairs]
    assume(set(brought) == set(SPLITS))
    done = join(names(len(pairs)), nothing(len(pairs)), np.array(labels), seed=1, brought=brought)
    assert list(done.splits) == brought
    assert any("more than one split" in note for note in done.notes) == stands_in_two(done.splits, labels)


def test_brought_splits_that_share_a_cluster_are_told_and_their_train_part_is_left_out() -> None:
    brought: list[Split | None] = ["train", "test", "dev", "train"]
    clusters = np.array([0, 0, 1, 2])
    done = join(list("abcd"), nothing(4), clusters, seed=1, brought=brought)
    assert done.splits == tuple(brought)
    assert done.notes == torn_note(done.splits, clusters)
    assert "1 cluster stands in more than one split: 1 of 2 in train" in done.notes[0]
    assert torn(done.splits, clusters).tolist() == [True, False, False, False]


def test_a_missing_split_is_taken_from_train_and_said_so() -> None:
    count = 400
    clusters = np.arange(count) // 4
    for present, missing, share in (("test", "dev", 0.15), ("dev", "test", 0.25)):
        brought: list[Split | None] = ["train" if cluster % 2 else present for cluster in clusters]  # type: ignore[misc]
        done = join(names(count), nothing(count), clusters, seed=13, brought=brought)
        assert not stands_in_two(done.splits, clusters.tolist())
        moved = [new for old, new in zip(brought, done.splits, strict=True) if old == "train"].count(missing)  # type: ignore[arg-type]
        assert abs(moved / 200 - share) < 0.12
        assert all(new == old for old, new in zip(brought, done.splits, strict=True) if old == present)
        assert f"no {missing} split" in done.notes[0]
        again = join(names(count), done.splits, clusters, seed=14, brought=brought)
        assert (again.splits, again.notes) == (done.splits, ()), "importing again takes no second share"


def test_one_split_alone_is_split_anew() -> None:
    done = join(names(300), nothing(300), np.arange(300), seed=13, brought=["test"] * 300)
    shares = [done.splits.count(split) / 300 for split in SPLITS]
    assert np.allclose(shares, [0.6, 0.2, 0.2], atol=0.08)
    assert "Only test was given" in done.notes[0]
    assert join([], [], np.empty(0, np.int64), seed=1).splits == ()


def test_questions_with_earlier_ids_move_nothing() -> None:
    """A folder with test.tsv alone, imported again with a question more in each cluster, whose id sorts first."""
    older, clusters = [f"m{number:03d}" for number in range(300)], np.arange(300) // 3
    first = join(older, nothing(300), clusters, seed=13, brought=["test"] * 300).splits
    both = [*older, *(f"a{number:03d}" for number in range(100))]
    after = join(
        both, [*first, *nothing(100)], np.concatenate([clusters, np.arange(100)]), seed=13, brought=["test"] * 400
    ).splits
    assert after[:300] == first
    assert after[300:] == first[::3]


def test_a_giant_cluster_is_train_and_said_so() -> None:
    clusters = np.array([0] * 60 + list(range(1, 41)))
    for seed in range(20):
        done = join(names(100), nothing(100), clusters, seed=seed)
        assert set(done.splits[:60]) == {"train"}
        assert "holds 60% of all" in done.notes[0]
    stored: list[Split | None] = ["test", *nothing(99)]
    assert set(join(names(100), stored, clusters, seed=1).splits[:60]) == {"test"}, "what is stored stays where it is"


@given(
    pairs=st.lists(st.tuples(st.none() | SPLIT, st.integers(0, 12)), min_size=1, max_size=60), seed=st.integers(0, 99)
)
def test_new_queries_join_their_cluster_and_move_no_older_one(pairs: list[tuple[Split | None, int]], seed: int) -> None:
    stored, labels = [split for split, _ in pairs], [label for _, label in pairs]
    done = join(names(len(pairs)), stored, np.array(labels), seed=seed)
    older = defaultdict(set)
    for split, label in pairs:
        if split:
            older[label].add(split)
    drawn: dict[int, Split] = {}
    for (split, label), new in zip(pairs, done.splits, strict=True):
        if split:
            assert new == split
        elif older[label]:
            assert new == max(older[label], key=SPLITS.index)
        else:
            assert new == drawn.setdefault(label, new)


@given(
    rounds=st.lists(
        st.tuples(
            st.lists(st.tuples(st.none() | SPLIT, st.integers(0, 9)), max_size=8),
            st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3),
        ),
        max_size=6,
    ),
    seed=st.integers(0, 99),
)
def test_nothing_stored_moves_and_nothing_learned_is_tested_whatever_comes(
    rounds: list[tuple[list[tuple[Split | None, int]], list[tuple[int, int]]]], seed: int
) -> None:
    """Batches with and without splits, under ids that sort before and after, while clusters grow together."""
    root = np.arange(10)
    queries: list[str] = []
    topics: list[int] = []
    stored: list[Split | None] = []
    learned: set[str] = set()
    for number, (batch, links) in enumerate(rounds):
        queries += [f"{'az'[number % 2]}{number}-{place}" for place in range(len(batch))]
        topics += [topic for _, topic in batch]
        for left, right in links:
            root[root == root[left]] = root[right]
        clusters = root[np.array(topics, np.int64)]
        brought = [*stored, *(split for split, _ in batch)]
        done = join(queries, [*stored, *nothing(len(batch))], clusters, seed=seed, brought=brought)
        assert done.splits[: len(stored)] == tuple(stored)
        stored = list(done.splits)
        left_out = torn(done.splits, clusters)
        held_out = {cluster for cluster, split in zip(clusters.tolist(), done.splits, strict=True) if split != "train"}
        for name, split, cluster, out in zip(queries, done.splits, clusters.tolist(), left_out, strict=True):
            if split == "train":
                assert out == (cluster in held_out)
            if split == "train" and not out:
                learned.add(name)
        assert not learned & {name for name, split in zip(queries, done.splits, strict=True) if split != "train"}


@given(labels=LABELS, cut=st.integers(0, 60))
def test_labelling_in_two_sittings_tears_nothing(labels: list[int], cut: int) -> None:
    cut = min(cut, len(labels))
    first = join(names(cut), nothing(cut), np.array(labels[:cut], np.int64), seed=1).splits
    both = join(names(len(labels)), [*first, *nothing(len(labels) - cut)], np.array(labels), seed=1).splits
    assert both[:cut] == first
    assert not stands_in_two(both, labels)
