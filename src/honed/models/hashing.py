"""An embedder without a model: words and pieces of words, hashed into a vector. A baseline, and what tests use.

It knows no meaning, only spelling: texts that share words or stems are near each other. The method is feature
hashing with a sign (Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning") over words and
character trigrams, each weighed by the logarithm of its count.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from honed.errors import UsageError
from honed.models.registry import Spec
from honed.types import Vectors

DIMENSION = 256
TRIGRAM_WEIGHT = 0.3
"""Against 1 for a whole word: pieces connect inflected forms, and must not outvote exact matches."""

_WORD = re.compile(r"\w+")


class HashEmbedder:
    """Feature hashing as an embedder: deterministic, fast, and the same on every machine."""

    max_tokens = 1_000_000

    def __init__(self, dimension: int = DIMENSION) -> None:
        if not 8 <= dimension <= 65536:
            raise UsageError(f"hash:{dimension} is not possible.", hint="a dimension of 8 to 65536, such as hash:256")
        self._dimension = dimension

    @classmethod
    def from_spec(cls, spec: Spec, **_options: object) -> HashEmbedder:
        """`hash` or `hash:DIMENSION`; the options of other embedders (a cache, threads) mean nothing here."""
        if spec.name and not spec.name.isdecimal():
            raise UsageError(f"'{spec}' names no dimension.", hint="hash:256")
        return cls(int(spec.name or DIMENSION))

    @property
    def space(self) -> str:
        """Fingerprint of the method and its dimension."""
        return f"hash-1-{self._dimension}"

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._dimension

    def encode_query(self, texts: Sequence[str]) -> Vectors:
        """Encode queries; returns [len(texts), dimension], unit length."""
        return self.encode_document(texts)

    def encode_document(self, texts: Sequence[str]) -> Vectors:
        """Encode passages; returns [len(texts), dimension], unit length."""
        vectors = np.zeros((len(texts), self._dimension), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for feature, count in _features(text).items():
                place, sign = _place(feature, self._dimension)
                row[place] += sign * _weight(feature) * math.log1p(count)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        empty = lengths[:, 0] < 1e-6  # no words, or their signs cancel: any fixed direction has unit length
        vectors[empty], lengths[empty] = np.eye(1, self._dimension, dtype=np.float32), 1
        unit: Vectors = vectors / lengths
        return unit


def _features(text: str) -> Counter[str]:
    """Words, and trigrams of words with their ends marked."""
    counts: Counter[str] = Counter()
    for word in _WORD.findall(text.lower()):
        counts[word] += 1
        marked = f"<{word}>"
        counts.update(f"#{marked[start : start + 3]}" for start in range(len(marked) - 2))
    return counts


def _weight(feature: str) -> float:
    return TRIGRAM_WEIGHT if feature.startswith("#") else 1.0


@lru_cache(maxsize=1 << 16)
def _place(feature: str, dimension: int) -> tuple[int, int]:
    """Where a feature goes, and its sign. Not `hash()`, which differs from process to process."""
    number = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "little")
    return (number >> 1) % dimension, 1 if number & 1 else -1
