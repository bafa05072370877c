from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from honed.dataset.splits import GIANT, assign, join
from honed.types import SPLITS, Split

SPLIT = st.sampled_from(SPLITS)


def names(count: int) -> list[str]:
    return [f"q{number}" for number in range(count)]


def small_clusters(labels: list[int]) -> bool:
    """Whether no cluster is so large that it has to be split by query."""
    return max(np.bincount(labels)) <= GIANT * len(labels)


def torn(splits: tuple[Split, ...], labels: list[int]) -> bool:
    found = defaultdict(set)
    for split, label in zip(splits, labels, strict=True):
        found[label].add(split)
    return any(len(some) > 1 for some in found.values())


@given(labels=st.lists(st.integers(0, 12), min_size=3, max_size=60), seed=st.integers(0, 99))
def test_no_cluster_is_torn(labels: list[int], seed: int) -> None:
    assume(small_clusters(labels))
    first = assign(names(len(labels)), [None] * len(labels), np.array(labels), seed=seed)
    assert not torn(first.splits, labels)
    assert first == assign(names(len(labels)), [None] * len(labels), np.array(labels), seed=seed)


@given(pairs=st.lists(st.tuples(SPLIT, st.integers(0, 5)), min_size=3, max_size=40))
def test_splits_that_a_user_brings_are_kept(pairs: list[tuple[Split, int]]) -> None:
    splits = [split for split, _ in pairs]
    assume(set(splits) == set(SPLITS))
    done = assign(names(len(pairs)), splits, np.array([label for _, label in pairs]), seed=1)
    assert (list(done.splits), done.notes) == (splits, ())


def test_a_missing_split_is_taken_from_train_and_said_so() -> None:
    count = 400
    clusters = np.arange(count) // 4
    for present, missing, share in (("test", "dev", 0.15), ("dev", "test", 0.25)):
        brought: list[Split | None] = ["train" if cluster % 2 else present for cluster in clusters]  # type: ignore[misc]
        done = assign(names(count), brought, clusters, seed=13)
        assert not torn(done.splits, clusters.tolist())
        moved = [new for old, new in zip(brought, done.splits, strict=True) if old == "train"].count(missing)  # type: ignore[arg-type]
        assert abs(moved / 200 - share) < 0.12
        assert all(new == old for old, new in zip(brought, done.splits, strict=True) if old == present)
        assert f"no {missing} split" in done.notes[0]


def test_one_split_alone_is_split_anew() -> None:
    done = assign(names(300), ["test"] * 300, np.arange(300), seed=13)
    shares = [done.splits.count(split) / 300 for split in SPLITS]
    assert np.allclose(shares, [0.6, 0.2, 0.2], atol=0.08)
    assert "Only test was given" in done.notes[0]
    assert assign([], [], np.empty(0, np.int64), seed=1).splits == ()


def test_a_giant_cluster_is_split_by_query_and_said_so() -> None:
    done = assign(names(100), [None] * 100, np.zeros(100, np.int64), seed=13)
    assert set(done.splits) == set(SPLITS)
    assert "share documents" in done.notes[0]


@given(
    pairs=st.lists(st.tuples(st.none() | SPLIT, st.integers(0, 12)), min_size=3, max_size=60), seed=st.integers(0, 99)
)
def test_new_queries_join_their_cluster_and_move_no_older_one(pairs: list[tuple[Split | None, int]], seed: int) -> None:
    fixed, labels = [split for split, _ in pairs], [label for _, label in pairs]
    assume(small_clusters(labels))
    done = join(names(len(pairs)), fixed, np.array(labels), seed=seed)
    older = defaultdict(set)
    for split, label in pairs:
        if split:
            older[label].add(split)
    drawn: dict[int, Split] = {}
    for (split, label), new in zip(pairs, done.splits, strict=True):
        if split:
            assert new == split
        elif older[label]:
            assert new in older[label]
        else:
            assert new == drawn.setdefault(label, new)


@given(labels=st.lists(st.integers(0, 12), min_size=3, max_size=40), cut=st.integers(0, 40))
def test_labelling_in_two_sittings_tears_nothing(labels: list[int], cut: int) -> None:
    cut = min(cut, len(labels))
    assume(small_clusters(labels) and (cut < 3 or small_clusters(labels[:cut])))
    first = join(names(cut), [None] * cut, np.array(labels[:cut], np.int64), seed=1).splits
    both = join(names(len(labels)), [*first, *[None] * (len(labels) - cut)], np.array(labels), seed=1).splits
    assert both[:cut] == first
    if cut >= 3:
        assert not torn(both, labels)
