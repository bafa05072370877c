"""The verbs that others may implement. Method names follow sentence-transformers, so its models fit without a wrapper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from honed.types import Context, Vectors


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
