from __future__ import annotations

import numpy as np
import pytest

from honed.errors import UsageError
from honed.evaluate.comparison import Questions, compare
from honed.roles.image_generator.distance import (
    LIKENESS,
    Drawn,
    copy_threshold,
    kid,
    map_distance,
    near_copy_share,
    pixel_distance,
)


def unit_maps(count: int, seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    maps = [random.normal(size=(count, channels, side, side)) for channels, side in ((6, 4), (10, 2))]
    return [layer / np.linalg.norm(layer, axis=1, keepdims=True) for layer in maps]


def test_map_distance_is_one_minus_the_mean_cosine() -> None:
    one, other = unit_maps(70, 0), unit_maps(70, 1)
    assert np.allclose(map_distance(one, one), 0.0, atol=1e-6)
    assert np.allclose(map_distance(one, [-layer for layer in one]), 2.0, atol=1e-6)
    layers = [1 - (left * right).sum(1).mean((1, 2)) for left, right in zip(one, other, strict=True)]
    assert np.allclose(map_distance(one, other), np.mean(layers, axis=0), atol=1e-5)
    with pytest.raises(UsageError):
        map_distance(one, other[:1])
    with pytest.raises(UsageError):
        map_distance([], [])


def test_pixel_distance() -> None:
    black, white = np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4, 3), 255, np.uint8)
    assert pixel_distance(black, white).tolist() == [1.0, 1.0]
    assert pixel_distance(white, white).tolist() == [0.0, 0.0]
    with pytest.raises(UsageError):
        pixel_distance(black, white[:1])


def test_kid_is_unbiased_around_zero_for_one_distribution() -> None:
    random = np.random.default_rng(0)
    values = [kid(random.normal(size=(40, 16)), random.normal(size=(30, 16))) for _ in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / 200**0.5
    assert min(values) < 0 < max(values)


def test_kid_grows_with_the_difference() -> None:
    random = np.random.default_rng(0)
    base = random.normal(size=(100, 16))
    distances = [kid(base, random.normal(shift, size=(100, 16))) for shift in (0.0, 0.5, 1.0)]
    assert distances == sorted(distances) and distances[1] > 0.1


def test_kid_is_the_sum_that_its_paper_gives() -> None:
    random = np.random.default_rng(1)
    one, other = random.normal(size=(3, 4)), random.normal(size=(2, 4))

    def kernel(left: np.ndarray, right: np.ndarray) -> float:
        return float((left @ right / 4 + 1) ** 3)

    own = sum(kernel(one[i], one[j]) for i in range(3) for j in range(3) if i != j) / 6
    own += sum(kernel(other[i], other[j]) for i in range(2) for j in range(2) if i != j) / 2
    cross = sum(kernel(left, right) for left in one for right in other) / 6
    assert kid(one, other) == pytest.approx(own - 2 * cross)


def test_kid_needs_two_pictures_each() -> None:
    with pytest.raises(UsageError):
        kid(np.zeros((1, 4)), np.zeros((9, 4)))
    with pytest.raises(UsageError):
        kid(np.zeros((3, 4)), np.zeros((3, 5)))


def test_near_copies() -> None:
    real = np.linspace(0.0, 1.0, 101)
    threshold = copy_threshold(np.append(real, np.nan))
    assert threshold == pytest.approx(0.05)
    distances = np.array([[0.9, 0.01], [0.5, np.nan], [np.nan, np.nan], [0.049, 0.3]])
    assert near_copy_share(distances, threshold) == 0.5
    with pytest.raises(UsageError):
        copy_threshold(np.array([np.nan]))


def test_two_kinds_of_references_are_compared_in_pairs() -> None:
    random = np.random.default_rng(0)
    far = random.uniform(0.4, 0.9, 60)
    nothing = np.full((60, 3), np.nan)
    drawn = {
        "random": Drawn("random", far, far, nothing, 1.0),
        "retrieved": Drawn("retrieved", far - 0.2, far - 0.1, nothing, 0.5),
    }
    found = compare(
        drawn["random"].measured,
        drawn["retrieved"].measured,
        Questions([str(number) for number in range(60)], np.arange(60) // 4),
        metric=LIKENESS,
    )
    assert found.primary.delta == pytest.approx(0.2)
    assert found.primary.clusters == 15 and found.primary.p < 0.001
    assert found.others["pixel likeness"].delta == pytest.approx(0.1)
    assert drawn["retrieved"].nearer_than(drawn["random"]) == pytest.approx(0.2 / far.mean())
