from __future__ import annotations

import numpy as np
import pytest

from honed.models.vision.head import unit
from honed.models.vision.levers import expanded, hub_offsets

RANDOM = np.random.default_rng(0)


def vectors(count: int, width: int = 8) -> np.ndarray:
    return unit(RANDOM.standard_normal((count, width)).astype(np.float32))


def test_expansion_moves_a_query_to_what_it_found() -> None:
    queries, gallery = vectors(3), vectors(20)
    scores = queries @ gallery.T
    best = np.argsort(-scores, axis=1)[:, :2]
    near, strength = gallery[best], np.take_along_axis(scores, best, axis=1)
    found = expanded(queries, near, strength, alpha=1.0)
    for row in range(3):
        expected = queries[row] + strength[row, 0] * near[row, 0] + strength[row, 1] * near[row, 1]
        np.testing.assert_allclose(found[row], expected / np.linalg.norm(expected), atol=1e-6)
    assert (np.einsum("nm,nkm->nk", found, near) > strength).all()


@pytest.mark.parametrize("alpha", [0.0, 0.5, 3.0])
def test_missing_and_opposite_neighbours_change_nothing(alpha: float) -> None:
    queries = vectors(2)
    near = np.stack([np.zeros_like(queries), -queries], axis=1)
    scores = np.array([[-np.inf, -1.0], [np.nan, -1.0]], np.float32)
    np.testing.assert_allclose(expanded(queries, near, scores, alpha=alpha), queries, atol=1e-6)


def test_offsets_are_half_the_mean_of_the_nearest_others() -> None:
    given = vectors(50)
    scores = given @ given.T
    np.fill_diagonal(scores, -np.inf)
    expected = np.sort(scores, axis=1)[:, -5:].mean(axis=1) / 2
    np.testing.assert_allclose(hub_offsets(given, k=5), expected, atol=1e-6)


def test_a_hub_stops_winning() -> None:
    """Two noisy drawings each of 30 things, and their common centre, which is nearer to most than the other drawing."""
    things = np.concatenate([np.eye(31, dtype=np.float32)[1:]] * 2)
    things[:, 0] = 1.8
    random = np.random.default_rng(1)
    drawings = unit(things + 0.25 * random.standard_normal(things.shape).astype(np.float32))
    gallery = np.concatenate([np.eye(1, 31, dtype=np.float32), drawings])
    scores = drawings @ gallery.T
    scores[np.arange(60), np.arange(1, 61)] = -np.inf
    plain = (scores.argmax(axis=1) == 0).sum()
    levelled = ((scores - hub_offsets(gallery, k=10)).argmax(axis=1) == 0).sum()
    assert plain > 20 and levelled < plain / 3


def test_a_sample_is_enough_and_few_vectors_have_no_offsets() -> None:
    given = vectors(600, 4)
    whole, part = hub_offsets(given, k=10), hub_offsets(given, k=10, sample=300)
    assert np.corrcoef(whole, part)[0, 1] > 0.5
    np.testing.assert_array_equal(part, hub_offsets(given, k=10, sample=300))
    assert hub_offsets(given[:1]).tolist() == [0.0] and hub_offsets(given[:0]).shape == (0,)
    assert hub_offsets(given[:2], k=20)[0] == pytest.approx(float(given[0] @ given[1]) / 2, abs=1e-6)
