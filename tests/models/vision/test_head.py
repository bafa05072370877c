from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from honed.errors import InputError, IntegrityError, UsageError
from honed.models.vision.head import ImageHead, plain_head, unit, whitening
from honed.models.weights import write_weights

RANDOM = np.random.default_rng(0)


def features(count: int = 200, width: int = 12) -> np.ndarray:
    """Far from the origin, with directions of very different strength, which are mixed."""
    scales = np.geomspace(10, 0.01, width)
    mixed = RANDOM.standard_normal((count, width)) * scales @ np.linalg.qr(RANDOM.standard_normal((width, width)))[0]
    return (mixed + 5).astype(np.float32)


def test_whitening_centres_and_levels() -> None:
    given = features()
    head = whitening(given, 12, ridge=0.0)
    moved = (given - head.centre) @ head.matrix
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(moved.T), np.eye(12), atol=0.05)
    found = head.apply(given)
    assert found.dtype == np.float32 and found.shape == (200, 12)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_a_ridge_keeps_weak_directions_weak() -> None:
    given = features()
    head = whitening(given, 12, ridge=1.0)
    strengths = np.var((given - head.centre) @ head.matrix, axis=0)
    assert (np.diff(strengths) < 1e-3).all() and strengths[0] > 0.7 and strengths[-1] < 1e-3
    assert whitening(given, 3).matrix.shape == (12, 3)


def test_whitening_of_alike_and_of_few_pictures() -> None:
    alike = np.ones((5, 8), np.float32)
    assert np.isfinite(whitening(alike, 4).apply(alike)).all()
    few = features(5)
    assert np.isfinite(whitening(few, 4).matrix).all()
    for dimension in (0, 5, 13):
        with pytest.raises(UsageError, match="directions"):
            whitening(few, dimension)


def test_the_plain_head_only_scales() -> None:
    given = features(4)
    np.testing.assert_allclose(plain_head(12).apply(given), unit(given), atol=1e-6)
    assert (unit(np.zeros((1, 3), np.float32)) == 0).all()


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    plain = whitening(features(), 6)
    joint = ImageHead(plain.centre, plain.matrix, RANDOM.standard_normal((7, 6)).astype(np.float32))
    for head in (plain, joint):
        head.write(tmp_path / "head.safetensors")
        found = ImageHead.read(tmp_path / "head.safetensors")
        np.testing.assert_array_equal(found.centre, head.centre)
        np.testing.assert_array_equal(found.matrix, head.matrix)
        assert found.key == head.key and (found.text_matrix is None) == (head.text_matrix is None)
    texts = found.apply_text(RANDOM.standard_normal((3, 7)).astype(np.float32))
    assert texts.shape == (3, 6)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    with pytest.raises(UsageError, match="not tuned for text"):
        plain.apply_text(texts)


def test_the_key_follows_what_pictures_pass_through() -> None:
    head = whitening(features(), 6)
    text = RANDOM.standard_normal((7, 6)).astype(np.float32)
    assert ImageHead(head.centre, head.matrix, text).key == head.key
    others = [ImageHead(head.centre + 1, head.matrix), ImageHead(head.centre, -head.matrix), plain_head(12)]
    assert len({head.key, *(other.key for other in others)}) == 4


def test_shapes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    vector, matrix = np.zeros(3, np.float32), np.zeros((3, 2), np.float32)
    for parts in (
        (np.zeros(4, np.float32), matrix),
        (vector, vector),
        (vector, matrix, np.zeros((5, 3), np.float32)),
        (vector, matrix, vector),
        (vector.astype(np.float64), matrix),
        (vector + np.float32(np.inf), matrix),
    ):
        with pytest.raises(InputError):
            ImageHead(*parts)
    with pytest.raises(UsageError, match="takes 3 numbers"):
        ImageHead(vector, matrix).apply(np.zeros((2, 4), np.float32))
    write_weights(tmp_path / "head", {"centre": vector})
    with pytest.raises(IntegrityError, match="not an image head"):
        ImageHead.read(tmp_path / "head")
    (tmp_path / "head").write_bytes(b"short")
    with pytest.raises(IntegrityError):
        ImageHead.read(tmp_path / "head")
