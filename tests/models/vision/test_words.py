from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from honed.models.hashing import HashEmbedder
from honed.models.vision.head import ImageHead, plain_head, unit
from honed.models.vision.thumbnail import ThumbnailEncoder
from honed.models.vision.words import own_matrix, reads, text_vectors


class Reading(ThumbnailEncoder):
    """An eye that reads: a text is the picture of its letters' codes."""

    has_text = True

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        rows = [np.resize([ord(letter) for letter in text], self.dimension) for text in texts]
        return unit(np.array(rows, np.float32))


def test_an_eye_that_does_not_read_leaves_texts_to_the_tower() -> None:
    embedder, eye = HashEmbedder(32), ThumbnailEncoder(4)
    assert not reads(eye)
    np.testing.assert_array_equal(text_vectors(embedder, eye, ["a", "b"]), embedder.encode_document(["a", "b"]))
    assert own_matrix(embedder, eye, plain_head(eye.dimension)) is None


def test_an_eye_that_reads_is_asked_too() -> None:
    embedder, eye = HashEmbedder(32), Reading(4)
    assert reads(eye)
    texts = ["red apple", "ship"]
    vectors = text_vectors(embedder, eye, texts)
    assert vectors.shape == (2, 32 + eye.dimension)
    matrix = own_matrix(embedder, eye, plain_head(eye.dimension))
    assert matrix is not None
    plain = plain_head(eye.dimension)
    head = ImageHead(plain.centre, plain.matrix, matrix)
    np.testing.assert_allclose(head.apply_text(vectors), eye.encode_text(texts), atol=1e-6)
