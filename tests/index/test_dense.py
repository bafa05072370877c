"""Dense search against numpy: exact, inverted lists, filters, changes, files."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from honed.errors import InputError, UsageError
from honed.index import dense as dense_module
from honed.index.dense import DenseIndex
from honed.index.rows import RowIds
from honed.types import Vectors

RNG = np.random.default_rng(7)
DIMENSION = 48


def unit(rows: Vectors) -> Vectors:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clustered(count: int, clusters: int = 60) -> tuple[Vectors, RowIds]:
    centres = RNG.standard_normal((clusters, DIMENSION))
    topic = RNG.integers(0, clusters, count)
    return unit(centres[topic] + 0.7 * RNG.standard_normal((count, DIMENSION))), topic


def truth(rowids: RowIds, matrix: Vectors, queries: Vectors, k: int) -> RowIds:
    return rowids[np.argsort(-(queries @ matrix.T), axis=1, kind="stable")[:, :k]]


def recall(found: RowIds, wanted: RowIds) -> float:
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, wanted, strict=True)]))


MATRIX, TOPIC = clustered(12_000)
ROWIDS = np.arange(len(MATRIX), dtype=np.int64) * 3 + 10
QUERIES = unit(MATRIX[::200] + 0.1 * RNG.standard_normal((60, DIMENSION)))


@pytest.fixture(scope="module")
def lists() -> DenseIndex:
    index = DenseIndex.build(ROWIDS, MATRIX, exact_up_to=2_000)
    assert index.ivf is not None
    return index


def test_exact_search_is_what_numpy_says() -> None:
    index = DenseIndex.build(ROWIDS, MATRIX)
    scores, rowids = index.search(QUERIES, 10)
    assert index.ivf is None
    np.testing.assert_array_equal(rowids, truth(ROWIDS, MATRIX, QUERIES, 10))
    np.testing.assert_allclose(scores, index.scores_for(QUERIES, rowids), atol=1e-6)
    assert scores.dtype == np.float32 and rowids.dtype == np.int64


@pytest.mark.parametrize("share", [0.01, 0.2, 0.9])
def test_exact_filter_is_what_numpy_says(share: float) -> None:
    keep = np.flatnonzero(RNG.random(len(ROWIDS)) < share)
    allowed = RNG.permutation(np.concatenate([ROWIDS[keep], [1, 10**9]]))
    rowids = DenseIndex.build(ROWIDS, MATRIX).search(QUERIES, 10, allowed=allowed)[1]
    np.testing.assert_array_equal(rowids, truth(ROWIDS[keep], MATRIX[keep], QUERIES, 10))


def test_lists_find_nearly_everything_and_score_exactly(lists: DenseIndex) -> None:
    scores, rowids = lists.search(QUERIES, 10)
    assert recall(rowids, truth(ROWIDS, MATRIX, QUERIES, 10)) >= 0.95
    np.testing.assert_allclose(scores, lists.scores_for(QUERIES, rowids), atol=1e-6)
    assert np.all(np.diff(scores, axis=1) <= 0)


@pytest.mark.parametrize("share", [0.01, 0.3])
@pytest.mark.parametrize("exact", [True, False])
def test_filtered_lists_find_nearly_everything(
    lists: DenseIndex, monkeypatch: pytest.MonkeyPatch, share: float, exact: bool
) -> None:
    monkeypatch.setattr(dense_module, "FILTER_EXACT_UP_TO", 10_000 if exact else 0)
    keep = np.flatnonzero(RNG.random(len(ROWIDS)) < share)
    rowids = lists.search(QUERIES, 10, allowed=ROWIDS[keep])[1]
    assert np.isin(rowids, ROWIDS[keep]).all()
    assert recall(rowids, truth(ROWIDS[keep], MATRIX[keep], QUERIES, 10)) >= (1.0 if exact else 0.95)


def test_a_filter_far_from_the_query_still_finds(lists: DenseIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_module, "FILTER_EXACT_UP_TO", 0)
    query = MATRIX[:1]
    far = np.flatnonzero(np.isin(TOPIC, np.unique(TOPIC[np.argsort(MATRIX @ query[0])[:600]])[:3]))
    rowids = lists.search(query, 10, allowed=ROWIDS[far])[1]
    assert recall(rowids, truth(ROWIDS[far], MATRIX[far], query, 10)) >= 0.8
    assert lists.search(query, 300, allowed=ROWIDS[far[:100]])[1].min() == -1
    assert (lists.search(query, 300, allowed=ROWIDS[far[:100]])[1] >= 0).sum() == 100


def test_thin_row_numbers_are_filtered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_module, "FILTER_EXACT_UP_TO", 0)
    rowids = ROWIDS * 10**12
    index = DenseIndex.build(rowids, MATRIX, exact_up_to=100)
    found = index.search(QUERIES, 10, allowed=rowids[::4])[1]
    assert recall(found, truth(rowids[::4], MATRIX[::4], QUERIES, 10)) >= 0.95


def test_equal_scores_come_in_the_order_of_rows() -> None:
    same = np.tile(MATRIX[:1], (500, 1))
    rowids = RNG.permutation(500).astype(np.int64)
    assert DenseIndex.build(rowids, same).search(MATRIX[:1], 5)[1].tolist() == [[0, 1, 2, 3, 4]]


def test_what_is_not_there_is_padded() -> None:
    index = DenseIndex.build(ROWIDS[:3], MATRIX[:3])
    scores, rowids = index.search(QUERIES[:2], 5)
    assert (rowids[:, 3:] == -1).all() and np.isneginf(scores[:, 3:]).all() and (rowids[:, :3] >= 0).all()
    assert (index.search(QUERIES[:2], 5, allowed=np.empty(0, np.int64))[1] == -1).all()
    assert index.search(QUERIES[:0], 5)[1].shape == (0, 5)
    assert np.isneginf(index.scores_for(QUERIES[:1], np.array([[-1, 11, 10**9]]))).all()
    empty = DenseIndex.build(np.empty(0, np.int64), np.empty((0, 0), np.float32))
    assert (empty.search(QUERIES[:2], 5)[1] == -1).all()
    assert np.isneginf(empty.scores_for(QUERIES[:1], ROWIDS[None, :2])).all()


@pytest.mark.parametrize("exact_up_to", [50_000, 2_000])
def test_an_update_equals_a_build(exact_up_to: int) -> None:
    index = DenseIndex.build(ROWIDS[:11_000], MATRIX[:11_000], exact_up_to=exact_up_to)
    before = index.search(QUERIES, 10)[1]
    replaced, gone = ROWIDS[:50], ROWIDS[100:600]
    vectors = np.concatenate([MATRIX[11_000:], MATRIX[200:250]])
    changed = index.updated(np.concatenate([ROWIDS[11_000:], replaced]), vectors, np.append(gone, 10**9))
    np.testing.assert_array_equal(index.search(QUERIES, 10)[1], before)
    matrix = MATRIX.copy()
    matrix[:50] = MATRIX[200:250]
    keep = ~np.isin(ROWIDS, gone)
    assert len(changed) == keep.sum()
    found = changed.search(QUERIES, 10)[1]
    assert not np.isin(found, gone).any()
    assert recall(found, truth(ROWIDS[keep], matrix[keep], QUERIES, 10)) >= (1.0 if exact_up_to > 20_000 else 0.95)


def test_an_update_crosses_the_border_both_ways() -> None:
    index = DenseIndex.build(ROWIDS[:90], MATRIX[:90], exact_up_to=100)
    grown = index.updated(ROWIDS[90:200], MATRIX[90:200], ROWIDS[:0])
    assert index.ivf is None and grown.ivf is not None
    assert grown.updated(ROWIDS[:0], MATRIX[:0], ROWIDS[:150]).ivf is None
    empty = grown.updated(ROWIDS[:0], np.empty((0, 0), np.float32), ROWIDS)
    assert len(empty) == 0
    assert len(empty.updated(ROWIDS[:5], MATRIX[:5], ROWIDS[:0])) == 5


@pytest.mark.parametrize("count", [0, 500, 12_000])
def test_files_give_the_same_index(tmp_path: Path, count: int) -> None:
    index = DenseIndex.build(ROWIDS[:count], MATRIX[:count], exact_up_to=2_000)
    index.save(tmp_path)
    loaded = DenseIndex.load(tmp_path)
    for allowed in (None, ROWIDS[::2]):
        before, after = index.search(QUERIES, 10, allowed=allowed), loaded.search(QUERIES, 10, allowed=allowed)
        np.testing.assert_array_equal(before[1], after[1])
        np.testing.assert_array_equal(before[0], after[0])
    again = loaded.updated(ROWIDS[:0], MATRIX[:0], ROWIDS[:10])
    (tmp_path / "second").mkdir()
    again.save(tmp_path / "second")
    assert len(DenseIndex.load(tmp_path / "second")) == max(0, count - 10)


def test_opening_twenty_thousand_rows_is_fast(tmp_path: Path) -> None:  # CPU seconds: a busy machine must not fail it
    rows = RNG.standard_normal((20_000, 384), np.float32)
    DenseIndex.build(np.arange(20_000), rows).save(tmp_path)
    took = []
    for _ in range(3):
        start = time.process_time()
        DenseIndex.load(tmp_path).search(rows[:1], 10)
        took.append(time.process_time() - start)
    assert min(took) < 0.1


def test_unusable_input_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        DenseIndex.build(np.array([1, 1]), MATRIX[:2])
    with pytest.raises(UsageError, match="do not fit"):
        DenseIndex.build(ROWIDS[:3], MATRIX[:2])
    with pytest.raises(InputError, match="NaN"):
        DenseIndex.build(ROWIDS[:1], np.full((1, 4), np.nan, np.float32))
    with pytest.raises(UsageError, match="dimensions"):
        DenseIndex.build(ROWIDS[:3], MATRIX[:3]).search(MATRIX[:1, :5], 3)
