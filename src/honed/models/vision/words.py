"""Vectors of texts that search pictures: from the release's text tower, and from the image encoder's own if it has one.

A CLIP or SigLIP brings a text tower that was trained with its image encoder. Both vectors stand side by side, and one text
matrix brings them into the space of the image head; it starts as the projection of the encoder's own tower, and is tuned
away from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from honed.models.vision.head import ImageHead
from honed.protocols import Embedder, ImageEncoder
from honed.types import Vectors


class ReadingEncoder(Protocol):
    """An image encoder with a text tower of its own."""

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Encode texts; returns [len(texts), dimension], unit length, comparable with unit descriptors."""


def reads(encoder: object) -> TypeGuard[ReadingEncoder]:
    """Whether an image encoder has a text tower: a CLIP or SigLIP has, an EfficientNet or DINOv2 has not."""
    return bool(getattr(encoder, "has_text", False))


def text_vectors(embedder: Embedder, encoder: ImageEncoder, texts: Sequence[str]) -> Vectors:
    """Texts as the text matrix takes them, [n, t] by the document tower, or [n, t + d] where the encoder reads too."""
    vectors = embedder.encode_document(texts)
    return np.hstack([vectors, encoder.encode_text(texts)]) if reads(encoder) else vectors


def own_matrix(embedder: Embedder, encoder: ImageEncoder, head: ImageHead) -> NDArray[np.float32] | None:
    """The text matrix [t + d, m] under which the encoder's own tower alone speaks, untuned; None if it has none."""
    if not reads(encoder):
        return None
    nothing = np.zeros((embedder.dimension, head.dimension), np.float32)
    return np.ascontiguousarray(np.vstack([nothing, head.matrix]), np.float32)
