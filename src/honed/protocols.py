"""The verbs that others may implement. Method names follow sentence-transformers, so its models fit without a wrapper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from honed.types import Context, Vectors

if TYPE_CHECKING:
    from PIL import Image


@runtime_checkable
class Embedder(Protocol):
    """Text to unit vectors. Two towers are allowed: queries and documents may be encoded by different weights."""

    @property
    def space(self) -> str:
        """Fingerprint of the document tower: weights, pooling, prefix, dimension. Vectors of two spaces never mix."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def encode_query(self, texts: Sequence[str]) -> Vectors:
        """Encode queries; returns [len(texts), dimension], unit length."""

    def encode_document(self, texts: Sequence[str]) -> Vectors:
        """Encode passages; returns [len(texts), dimension], unit length."""


@runtime_checkable
class Reranker(Protocol):
    """Scores pairs of query and passage."""

    def predict(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """One score a pair, higher is better."""


@runtime_checkable
class Generator(Protocol):
    """Writes text from a prompt."""

    @property
    def name(self) -> str:
        """What is shown to a user and written to a trace."""

    def generate(self, question: str, contexts: Sequence[Context], *, max_tokens: int = 160) -> Iterator[str]:
        """Stream the pieces of an answer that uses nothing but the contexts."""


@runtime_checkable
class ImageEncoder(Protocol):
    """Pictures to descriptors. What a release tunes is a head over these, so they are kept raw and cached."""

    @property
    def space(self) -> str:
        """Fingerprint of weights and preprocessing. Descriptors of two spaces never mix."""

    @property
    def dimension(self) -> int:
        """Length of a descriptor."""

    def encode_image(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Encode decoded pictures; returns the raw pooled features [len(images), dimension], not unit length.

        Pictures are RGB; where there is an alpha channel the encoder composes it on white.
        """


@runtime_checkable
class ImageGenerator(Protocol):
    """Draws pictures from a text and from the pictures that were retrieved for it."""

    @property
    def name(self) -> str:
        """What is shown to a user and written into the metadata of a picture."""

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that it was trained on; empty where a style is told in words."""

    @property
    def references(self) -> int:
        """How many pictures are worth retrieving for it."""

    def generate(
        self, text: str, references: Sequence[Image.Image], *, n: int, seed: int, style: str = ""
    ) -> list[Image.Image]:
        """Draw n RGB pictures.

        Args:
            text: What to draw; may be empty.
            references: Decoded pictures to draw from, best first; may be empty.
            n: How many pictures.
            seed: The same seed, text, style and references give the same pictures on the same machine.
            style: One of `styles`, or words where there are none; empty for any.
        """
