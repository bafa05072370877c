from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from honed.answer.fusion import WEIGHTS, Bounds, FusionSettings, Normalisation, Pool, pooled
from honed.answer.settings import RetrievalSettings
from honed.index.lexical import LexicalSettings

cosines = st.floats(0, 1, width=32)
bm25 = st.floats(0, 40, width=32).filter(lambda score: score == 0 or score > 1e-3)
pools = st.lists(st.tuples(cosines, bm25), min_size=1, max_size=12).map(
    lambda rows: Pool(
        np.arange(10, 10 + len(rows)),
        np.array([row[0] for row in rows], np.float32),
        np.array([row[1] for row in rows], np.float32),
        Bounds(np.array([row[1] for row in rows], np.float32), 50.0, 0.0),
    )
)
KINDS: tuple[Normalisation, ...] = ("absolute", "z", "min-max", "best", "ranks")
settings = st.builds(
    FusionSettings, st.sampled_from(KINDS), st.sampled_from(WEIGHTS.tolist()), st.sampled_from([1, 3, 100])
)
NOTHING = np.empty(0, np.int64), np.empty(0, np.float32)


def pool_of(dense: list[float], lexical: list[float]) -> Pool:
    return Pool(np.arange(len(dense)), np.array(dense, np.float32), np.array(lexical, np.float32))


def order(pool: Pool, normalisation: Normalisation, weight: float = 0.5, depth: int = 100) -> list[int]:
    return pool.ranked(FusionSettings(normalisation, weight, depth))[0].tolist()


@given(pool=pools, fusion=settings)
def test_scores_fall_and_nothing_is_lost(pool: Pool, fusion: FusionSettings) -> None:
    rowids, scores = pool.ranked(fusion)
    assert (np.diff(scores) <= 0).all() and (scores >= 0).all()
    expected = set(pool.rowids.tolist()) if fusion.weight else set(pool.rowids[pool.lexical > 0].tolist())
    assert set(rowids.tolist()) == expected and len(rowids) == len(expected)
    np.testing.assert_array_equal(pool.ranked(fusion)[0], rowids)


@given(pool=pools, fusion=settings.filter(lambda fusion: fusion.depth == 100))
def test_what_both_sides_prefer_comes_first(pool: Pool, fusion: FusionSettings) -> None:
    """What is at least as good on both sides, and clearly better on one, is never ranked lower."""
    place = {rowid: rank for rank, rowid in enumerate(pool.ranked(fusion)[0].tolist())}
    for left, right in itertools.permutations(range(len(pool.rowids)), 2):
        gains = pool.dense[left] - pool.dense[right], pool.lexical[left] - pool.lexical[right]
        both = {int(pool.rowids[left]), int(pool.rowids[right])} <= set(place)
        if both and min(gains) >= 0.05:
            assert place[int(pool.rowids[left])] < place[int(pool.rowids[right])]


@given(pool=pools, kind=st.sampled_from(KINDS))
def test_the_ends_of_the_scale_are_one_side_alone(pool: Pool, kind: Normalisation) -> None:
    by_words = sorted(np.flatnonzero(pool.lexical > 0), key=lambda at: (-pool.lexical[at], at))
    assert order(pool, kind, 0.0) == pool.rowids[by_words].tolist()
    by_meaning = sorted(range(len(pool.rowids)), key=lambda at: (-pool.dense[at], at))
    assert order(pool, kind, 1.0) == pool.rowids[by_meaning].tolist()


def test_z_scores_at_equal_weight_by_hand() -> None:
    """Each side's z over its own best three; what a side does not have among them counts as its lowest."""
    dense, words = [0.9, 0.5, 0.4, 0.1], [1.0, 0.0, 4.0, 7.0]
    side = {name: np.array(sorted(values)[-3:]) for name, values in (("dense", dense), ("words", words))}
    z = [
        0.5 * (max(cosine, 0.4) - side["dense"].mean()) / side["dense"].std()
        + 0.5 * (max(score, 1.0) - side["words"].mean()) / side["words"].std()
        for cosine, score in zip(dense, words, strict=True)
    ]
    rowids, scores = pool_of(dense, words).ranked(FusionSettings("z", depth=3))
    assert rowids.tolist() == np.argsort([-value for value in z]).tolist()
    np.testing.assert_allclose(np.diff(scores), np.diff(sorted(z)[::-1]), rtol=1e-5)


def test_absolute_scores_by_hand() -> None:
    """BM25 of what only vectors found is asked for; a cosine counts from that of chance upwards."""
    bounds = Bounds(np.array([5.0, 2.5, 1.0], np.float32), ceiling=10.0, chance=0.2)
    pool = Pool(np.arange(3), np.array([0.2, 0.6, 1.0], np.float32), np.array([5.0, 2.5, 0.0], np.float32), bounds)
    rowids, scores = pool.ranked(FusionSettings("absolute", 0.25))
    assert rowids.tolist() == [0, 2, 1]
    assert scores.tolist() == pytest.approx([0.75 * 0.5, 0.25 + 0.75 * 0.1, 0.25 * 0.5 + 0.75 * 0.25])


def test_min_max_by_hand() -> None:
    rowids, scores = pool_of([0.9, 0.5, 0.1], [0.0, 2.0, 4.0]).ranked(FusionSettings("min-max", 0.25))
    assert rowids.tolist() == [2, 1, 0]
    assert scores.tolist() == pytest.approx([0.75, 0.5, 0.25])


def test_reciprocal_ranks_by_hand() -> None:
    rowids, scores = pool_of([0.9, 0.5, 0.1], [0.0, 2.0, 4.0]).ranked(FusionSettings("ranks", 0.5, 2))
    assert rowids.tolist() == [1, 2, 0], (
        "rows 0 and 2 are on one list each; beyond its depth the other still knows row 2"
    )
    assert scores.tolist() == pytest.approx([0.5 / 62 + 0.5 / 62, 0.5 / 61, 0.5 / 61])


def test_a_share_of_the_best_by_hand() -> None:
    rowids, scores = pool_of([0.9, 0.45, 0.0], [0.0, 2.0, 4.0]).ranked(FusionSettings("best", 0.8, 1))
    assert rowids.tolist() == [0, 1, 2]
    assert scores.tolist() == pytest.approx([0.8, 0.8 * 0.5 + 0.2 * 0.5, 0.2]), "nothing is cut off at a depth"


def test_what_lies_beyond_the_depth_keeps_its_order_behind_the_rest() -> None:
    pool = pool_of([0.9, 0.3, 0.1, 0.2], [9.0, 1.0, 1.5, 3.0])
    for kind in ("z", "min-max", "ranks"):
        assert order(pool, kind, depth=1)[0] == 0
        assert order(pool, kind, depth=1)[-1] != 3, kind
    assert pool.ranked(FusionSettings("z", depth=1))[1].tolist()[1:] == [0.0, 0.0, 0.0]


def test_a_lone_hit_of_words_stands_out_among_passages_without_the_word() -> None:
    """Fewer hits than the depth are filled up with zeros, which is what the others score; alone it would have no z."""
    dense = np.linspace(0.6, 0.5, 50)
    words = np.zeros(50)
    words[40] = 3.0
    assert order(pool_of(dense.tolist(), words.tolist()), "z")[0] == 40


def test_pooling_joins_both_sides() -> None:
    pool = pooled(
        (np.array([7, 3]), np.array([0.9, 0.5], np.float32)),
        (np.array([3, 5]), np.array([4.0, 2.0], np.float32)),
        (np.array([5]), np.array([-0.1], np.float32)),
    )
    assert pool.rowids.tolist() == [3, 5, 7]
    assert pool.dense.tolist() == pytest.approx([0.5, -0.1, 0.9])
    assert pool.lexical.tolist() == [4.0, 2.0, 0.0]
    assert order(pool, "best") == [3, 7, 5]


def test_a_passage_without_a_vector_has_a_finite_score() -> None:
    missing = np.array([5]), np.array([-np.inf], np.float32)
    pool = pooled(NOTHING, (np.array([5]), np.array([2.0], np.float32)), missing)
    for kind in KINDS[1:]:
        rowids, scores = pool.ranked(FusionSettings(kind))
        assert rowids.tolist() == [5] and np.isfinite(scores).all()
    assert pool.ranked(FusionSettings("best", 0.8))[1].tolist() == pytest.approx([0.2])


def test_nothing_fused_with_nothing_is_nothing() -> None:
    for kind in KINDS[1:]:
        for weight in (0.0, 0.5, 1.0):
            rowids, scores = pooled(NOTHING, NOTHING, NOTHING).ranked(FusionSettings(kind, weight))
            assert (rowids.size, scores.size) == (0, 0)


def test_settings_survive_json_and_say_what_they_are() -> None:
    tuned = RetrievalSettings(LexicalSettings(0.5, False, 1.0, 0.5, 2.0, 32), FusionSettings("min-max", 0.35))
    assert RetrievalSettings.from_dict(tuned.as_dict()) == tuned
    assert str(tuned) == (
        "BM25 (title 0.5, stop words, too, stems 1, words as written 0.5, presence 2, 32 rarest words), "
        "min-max scores fused at 0.35 for vectors"
    )
    assert str(RetrievalSettings()) == "BM25 (plain), absolute scores fused at 0.50 for vectors"
    assert str(RetrievalSettings(fusion=FusionSettings(weight=0.0))) == "BM25 (plain)"
    assert str(RetrievalSettings(fusion=FusionSettings(weight=1.0))) == "vectors alone"
