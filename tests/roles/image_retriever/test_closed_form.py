from __future__ import annotations

import numpy as np
import pytest

from honed.errors import UsageError
from honed.models.vision.head import whitening
from honed.roles.image_retriever.closed_form import Scaling, discriminants, whitenings


def clouds(seed: int = 0, width: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups that differ in four directions, hidden under a strong one in which they do not."""
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(20), 4)
    means = random.normal(size=(20, 4))
    inner = np.concatenate(
        [means[groups] + 0.1 * random.normal(size=(80, 4)), 20 * random.normal(size=(80, 1))], axis=1
    )
    mix = random.normal(size=(5, width))
    return (inner @ mix + 0.01 * random.normal(size=(80, width))).astype(np.float32), groups, mix


def hits(vectors: np.ndarray, groups: np.ndarray) -> float:
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -9)
    return float((groups[similarity.argmax(axis=1)] == groups).mean())


def test_a_discriminant_finds_what_tells_groups_apart() -> None:
    rows, groups, _ = clouds()
    (found,) = discriminants(rows, groups, (), [1e-4])
    before = hits(rows / np.linalg.norm(rows, axis=1, keepdims=True), groups)
    assert hits(found.head(4).apply(rows), groups) > max(0.9, before + 0.3)
    assert (np.diff(found.spread) <= 0).all()


def test_it_is_fishers_criterion() -> None:
    """Along the first direction the ratio of variance between groups to that within is the largest there is."""
    rows, groups, _ = clouds()
    (found,) = discriminants(rows, groups, (), [1e-6])

    def ratio(direction: np.ndarray) -> float:
        along = (rows - rows.mean(axis=0)).astype(np.float64) @ direction
        means = np.array([along[groups == group].mean() for group in range(20)])
        return float(means.var() / ((along - means[groups]) ** 2).mean())

    best = ratio(found.full.matrix[:, 0].astype(np.float64))
    random = np.random.default_rng(1)
    assert best > 10
    assert all(ratio(random.normal(size=12)) <= best * 1.01 for _ in range(200))


def test_the_scale_of_a_part_does_not_matter() -> None:
    rows, groups, _ = clouds()
    louder = rows * np.repeat([1, 100], 6).astype(np.float32)
    (one,), (two,) = discriminants(rows, groups, (6, 6), [0.1]), discriminants(louder, groups, (6, 6), [0.1])
    np.testing.assert_allclose(one.head(4).apply(rows), two.head(4).apply(louder), atol=1e-3)
    (one_,), (two_,) = whitenings(rows, (6, 6), 4, [1.0]), whitenings(louder, (6, 6), 4, [1.0])
    np.testing.assert_allclose(np.abs(one_.apply(rows)), np.abs(two_.apply(louder)), atol=1e-3)


def test_whitening_is_that_of_the_other_room() -> None:
    rows, _, _ = clouds()
    rows -= rows.mean(axis=0)
    rows /= np.sqrt(rows.var(axis=0).sum())  # one part of a total variance of one needs no scaling
    for ridge, found in zip((0.1, 1.0), whitenings(rows, (), 5, (0.1, 1.0)), strict=True):
        expected = whitening(rows, 5, ridge=ridge).apply(rows)
        np.testing.assert_allclose(np.abs(found.apply(rows)), np.abs(expected), atol=1e-3)
    with pytest.raises(UsageError, match="directions"):
        list(whitenings(rows, (), 13, [1.0]))


def test_pictures_without_company_change_nothing() -> None:
    rows, groups, _ = clouds()
    alone = np.concatenate([rows, 50 * np.ones((2, 12), np.float32)])
    (one,) = discriminants(rows, groups, (), [0.1])
    (two,) = discriminants(alone, np.concatenate([groups, [99, -1]]), (), [0.1])
    np.testing.assert_array_equal(one.full.matrix, two.full.matrix)


def test_what_cannot_be_learned_from_is_refused() -> None:
    with pytest.raises(UsageError, match="two groups"):
        list(discriminants(np.ones((4, 3), np.float32), np.array([0, 0, 1, 2]), (), [0.1]))
    with pytest.raises(UsageError, match="Parts"):
        Scaling.of(np.ones((4, 3), np.float32), (2, 2))


def test_a_constant_number_stays_finite() -> None:
    rows, groups, _ = clouds()
    rows[:, 3] = 7
    (found,) = discriminants(rows, groups, (3, 1, 8), [0.1])
    assert np.isfinite(found.full.matrix).all()


@pytest.mark.parametrize("seed", range(3))
def test_numbers_that_are_nought_for_all_pictures_leave_the_directions_finite(seed: int) -> None:
    """As behind a ReLU: few pictures of many numbers, more than half of which never fire."""
    random = np.random.default_rng(seed)
    descriptors = np.clip(
        random.normal(size=(60, 8)) @ random.normal(size=(8, 640)) * np.exp(2 * random.normal(size=640)), 0, 6
    )
    descriptors[:, random.random(640) < 0.6] = 0
    pictures, groups = descriptors.astype(np.float32), np.repeat(np.arange(20), 3)
    heads = [
        *whitenings(pictures, (), 40, (0.03, 1.0)),
        *(found.head(40) for found in discriminants(pictures, groups, (), (0.03, 1.0))),
    ]
    for head in heads:
        vectors = head.apply(pictures)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
