"""An embedder whose query vectors pass through a tuned matrix: `q + q W`, unit length again. Passages are not touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from honed.models.weights import Weights
from honed.protocols import Embedder
from honed.types import Vectors


def read_adapter(path: Path) -> np.ndarray[Any, Any]:
    """The matrix [d, d] in an adapter file."""
    return np.array(Weights(path)["adapter"], np.float32)


def adapted(queries: Vectors, matrix: np.ndarray[Any, Any]) -> Vectors:
    """Query vectors after the matrix, [n, d], unit length."""
    moved = queries + queries @ matrix
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True).clip(1e-12), np.float32)


class AdaptedEmbedder:
    """Wraps an embedder; the space stays the wrapped one's, so the index stays valid."""

    def __init__(self, inner: Embedder, matrix: np.ndarray[Any, Any]) -> None:
        self.inner = inner
        self.matrix = matrix

    @property
    def space(self) -> str:
        """Fingerprint of the document tower."""
        return self.inner.space

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.inner.dimension

    def encode_query(self, texts: Sequence[str]) -> Vectors:
        """Encode queries and move them; returns [len(texts), dimension], unit length."""
        return adapted(self.inner.encode_query(texts), self.matrix)

    def encode_document(self, texts: Sequence[str]) -> Vectors:
        """Encode passages; returns [len(texts), dimension], unit length."""
        return self.inner.encode_document(texts)
