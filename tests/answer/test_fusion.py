from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from honed.answer.fusion import DEFAULT_WEIGHT, WEIGHTS, Pool, pooled

cosines = st.floats(0, 1, width=32)
bm25 = st.floats(0, 40, width=32)
pools = st.lists(st.tuples(cosines, bm25), min_size=1, max_size=12).map(
    lambda rows: Pool(
        np.arange(10, 10 + len(rows)),
        np.array([row[0] for row in rows], np.float32),
        np.array([row[1] for row in rows], np.float32),
    )
)
weights = st.sampled_from(WEIGHTS.tolist())


@given(pool=pools, weight=weights)
def test_scores_fall_ties_keep_their_order_and_nothing_is_lost(pool: Pool, weight: float) -> None:
    rowids, scores = pool.ranked(weight)
    pairs = list(zip((-scores).tolist(), rowids.tolist(), strict=True))
    assert pairs == sorted(pairs)
    assert scores.size == 0 or scores[0] <= 1 + 1e-6
    expected = set(pool.rowids.tolist()) if weight else set(pool.rowids[pool.lexical > 0].tolist())
    assert set(rowids.tolist()) == expected


@given(pool=pools, weight=weights, data=st.data(), gain=st.floats(0.0625, 5, width=32))
def test_a_better_score_never_lowers_a_passage(pool: Pool, weight: float, data: st.DataObject, gain: float) -> None:
    at = data.draw(st.integers(0, len(pool.rowids) - 1))
    for side in ("dense", "lexical"):
        raised = {"dense": pool.dense.copy(), "lexical": pool.lexical.copy()}
        raised[side][at] += gain
        before, after = pool.scores(weight), Pool(pool.rowids, raised["dense"], raised["lexical"]).scores(weight)
        below = before[at] - before > 1e-4
        assert (after[at] >= after[below] - 1e-5).all()


@given(pool=pools)
def test_the_ends_of_the_scale_are_one_side_alone(pool: Pool) -> None:
    by_words = sorted(np.flatnonzero(pool.lexical > 0), key=lambda at: (-pool.lexical[at], at))
    if pool.lexical.max() > 1e-30:
        assert pool.ranked(0.0)[0].tolist()[:1] == pool.rowids[by_words].tolist()[:1]
    by_meaning = sorted(range(len(pool.rowids)), key=lambda at: (-pool.dense[at], at))
    assert pool.ranked(1.0)[0].tolist()[0] == pool.rowids[by_meaning[0]]


def test_pooling_joins_both_sides() -> None:
    pool = pooled(
        (np.array([7, 3]), np.array([0.9, 0.5], np.float32)),
        (np.array([3, 5]), np.array([4.0, 2.0], np.float32)),
        (np.array([5]), np.array([-0.1], np.float32)),
    )
    assert pool.rowids.tolist() == [3, 5, 7]
    assert pool.dense.tolist() == pytest.approx([0.5, -0.1, 0.9])
    assert pool.lexical.tolist() == [4.0, 2.0, 0.0]
    assert pool.ranked(0.5)[0].tolist() == [3, 7, 5]


def test_a_passage_without_a_vector_has_a_finite_score() -> None:
    nothing = np.empty(0, np.int64), np.empty(0, np.float32)
    pool = pooled(
        nothing, (np.array([5]), np.array([2.0], np.float32)), (np.array([5]), np.array([-np.inf], np.float32))
    )
    rowids, scores = pool.ranked(DEFAULT_WEIGHT)
    assert (rowids.tolist(), scores.tolist()) == ([5], pytest.approx([1 - DEFAULT_WEIGHT]))


def test_nothing_fused_with_nothing_is_nothing() -> None:
    nothing = np.empty(0, np.int64), np.empty(0, np.float32)
    for weight in (0.0, 0.5, 1.0):
        rowids, scores = pooled(nothing, nothing, nothing).ranked(weight)
        assert (rowids.size, scores.size) == (0, 0)
