"""The image head of a release: what turns raw descriptors into the unit vectors that are searched. Plain arithmetic.

    vector = unit((descriptor - centre) @ matrix)        text vector -> the same space: unit(text @ text_matrix)

A head of a release is one safetensors file, so a tuned head needs neither torch nor the pictures again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from honed.errors import InputError, IntegrityError, UsageError
from honed.models.weights import Weights, write_weights
from honed.types import Vectors

Array = NDArray[np.float32]

RIDGE = 1.0
"""What is added to each variance before whitening, in mean variances; less favours the first hit over the rest of the group."""


@dataclass(frozen=True, eq=False, slots=True)
class ImageHead:
    """Centre [d], matrix [d, m] and, where text and pictures share a space, a text matrix [t, m].

    Raises:
        InputError: The shapes do not fit each other, or a number is none.
    """

    centre: Array
    matrix: Array
    text_matrix: Array | None = None

    def __post_init__(self) -> None:
        parts = [self.centre, self.matrix] + ([] if self.text_matrix is None else [self.text_matrix])
        if [part.ndim for part in parts] != [1, 2, 2][: len(parts)] or len(self.centre) != len(self.matrix):
            raise InputError(f"An image head cannot have the shapes {[part.shape for part in parts]}.")
        if self.text_matrix is not None and self.text_matrix.shape[1] != self.dimension:
            raise InputError("The two matrices of an image head lead to different dimensions.")
        if not all(part.dtype == np.float32 and np.isfinite(part).all() for part in parts):
            raise InputError("An image head holds NaN, infinity, or numbers that are not float32.")

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.matrix.shape[1])

    @property
    def inputs(self) -> int:
        """Length of a descriptor."""
        return len(self.centre)

    @property
    def key(self) -> str:
        """Fingerprint of what pictures pass through, 32 hex digits. The text matrix moves queries only."""
        digest = hashlib.sha256(b"image-head")
        for part in (self.centre, self.matrix):
            digest.update(repr(part.shape).encode() + np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:32]

    def apply(self, descriptors: Array) -> Vectors:
        """Raw descriptors [n, d] to unit vectors [n, m].

        Raises:
            UsageError: The descriptors belong to another encoder.
        """
        moved = _fitting(descriptors, self.inputs) - self.centre
        return unit(np.asarray(moved @ self.matrix, np.float32))

    def apply_text(self, vectors: Vectors) -> Vectors:
        """Text vectors [n, t] to unit vectors [n, m] in the space of the pictures.

        Raises:
            UsageError: This head was not tuned for text, or the vectors belong to another embedder.
        """
        if self.text_matrix is None:
            raise UsageError("This image head was not tuned for text.", hint="honed tune --role text-to-image")
        return unit(np.asarray(_fitting(vectors, len(self.text_matrix)) @ self.text_matrix, np.float32))

    def write(self, path: Path) -> None:
        """Write one safetensors file; whoever calls makes it atomic."""
        tensors = {"centre": self.centre, "matrix": self.matrix}
        write_weights(path, tensors if self.text_matrix is None else tensors | {"text_matrix": self.text_matrix})

    @classmethod
    def read(cls, path: Path) -> ImageHead:
        """Read what `write` wrote.

        Raises:
            IntegrityError: The file is damaged or is no image head.
        """
        weights = Weights(path)
        try:
            centre, matrix = (np.array(weights[name]) for name in ("centre", "matrix"))
            return cls(centre, matrix, np.array(weights["text_matrix"]) if "text_matrix" in weights else None)
        except (KeyError, InputError) as error:
            raise IntegrityError(f"{path} is not an image head: {error}", hint="honed doctor --repair") from error


def plain_head(dimension: int, *, first: int = 0) -> ImageHead:
    """The head that leaves descriptors as they are, but for their length: what a release without a tuned head has.

    Args:
        dimension: Length of a descriptor.
        first: Keep only so many numbers, the last feature map; 0 keeps all.
    """
    return ImageHead(np.zeros(dimension, np.float32), np.eye(dimension, first or dimension, dtype=np.float32))


def whitening(descriptors: Array, dimension: int, *, ridge: float = RIDGE) -> ImageHead:
    """A head that centres and whitens: the strongest directions of the given descriptors, all about equally strong.

    Jegou and Chum 2012 (https://inria.hal.science/hal-00722622). No labels are needed.

    Args:
        descriptors: What to fit on [n, d], raw, usually those of the train split.
        dimension: Directions to keep, at most d and n - 1.
        ridge: Added to each variance, in mean variances: more keeps weak directions, which are noise, weak.

    Raises:
        UsageError: There are too few descriptors for so many directions.
    """
    count, width = descriptors.shape
    if not 1 <= dimension <= min(count - 1, width):
        raise UsageError(f"{count} pictures of {width} numbers do not give {dimension} directions.")
    centre = descriptors.mean(axis=0, dtype=np.float64)
    moved = descriptors - centre
    variances, directions = np.linalg.eigh(moved.T @ moved / (count - 1))
    strongest = np.argsort(-variances, kind="stable")[:dimension]
    scale = 1 / np.sqrt(variances[strongest].clip(0) + ridge * variances.mean() + 1e-12)
    matrix = directions[:, strongest] * scale
    return ImageHead(centre.astype(np.float32), np.ascontiguousarray(matrix, np.float32))


def unit(vectors: Array) -> Vectors:
    """Rows of length one, [n, d] float32; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / lengths.clip(1e-12), np.float32)


def _fitting(vectors: Array, width: int) -> Array:
    if vectors.ndim != 2 or vectors.shape[1] != width:
        raise UsageError(
            f"Descriptors of shape {vectors.shape} do not fit an image head that takes {width} numbers.",
            hint="the head belongs to another encoder",
        )
    return vectors
