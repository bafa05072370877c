"""Near-duplicates by MinHash: banded candidates, checked by estimated Jaccard, joined by union-find.

A. Z. Broder, "On the resemblance and containment of documents", 1997; banding as in Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", chapter 3.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_PERMUTATIONS = 128
_SEED = 20
_PORTION = 4096
_MOST_ROUNDS = 32
"""Texts of one bucket that resemble none of this many others in it are left alone in it."""
_MIX = np.uint64(0x9E3779B97F4A7C15)
_WORD = re.compile(r"\w+")

Signatures = NDArray[np.uint32]


def near_duplicates(texts: Sequence[str], *, threshold: float = 0.8) -> list[int]:
    """One cluster label a text: the smallest index of its cluster, its own index if it is alone.

    Two texts are joined when the Jaccard similarity of their word 5-grams (3-grams or single words for short texts),
    estimated from 128 hashes, is at least `threshold`. Joining is transitive. Equal inputs give equal labels.

    Args:
        texts: Any texts; those without a word are never joined.
        threshold: Between 0.5 and 1.
    """
    labels = list(range(len(texts)))
    first: dict[bytes, int] = {}
    unique: list[int] = []
    for index, text in enumerate(texts):
        words = _words(text)
        if words:
            key = hashlib.blake2b(" ".join(words).encode("utf-8", "replace"), digest_size=16).digest()
            labels[index] = first.setdefault(key, index)
            if labels[index] == index:
                unique.append(index)
    if len(unique) > 1:
        joined = _join(_signatures([texts[index] for index in unique]), threshold)
        root = {index: unique[label] for index, label in zip(unique, joined, strict=True)}
        labels = [root.get(label, label) for label in labels]
    return labels


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _signatures(texts: Sequence[str]) -> Signatures:
    """MinHash signatures, shape [len(texts), 128]. Made in portions: the library hands them over as Python numbers."""
    from rensa import RMinHash

    vocabulary: dict[str, int] = {}
    signatures = np.empty((len(texts), _PERMUTATIONS), np.uint32)
    for start in range(0, len(texts), _PORTION):
        rows = [_shingles(_hashed(_words(text), vocabulary)) for text in texts[start : start + _PORTION]]
        offsets = np.zeros(len(rows) + 1, np.uint64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(np.concatenate(rows), offsets, _PERMUTATIONS, _SEED)
        signatures[start : start + len(rows)] = matrix.to_rows()
    return signatures


def _hashed(words: Sequence[str], vocabulary: dict[str, int]) -> NDArray[np.uint64]:
    return np.fromiter((_hash(word, vocabulary) for word in words), np.uint64, len(words))


def _hash(word: str, vocabulary: dict[str, int]) -> int:
    number = vocabulary.get(word)
    if number is None:
        digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
        number = vocabulary[word] = int.from_bytes(digest, "little")
    return number


def _shingles(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hashes of all runs of 5, 3 or 1 words."""
    length = 5 if len(words) >= 20 else 3 if len(words) >= 6 else 1
    runs = words[: len(words) - length + 1].copy()
    for step in range(1, length):
        runs = (runs ^ (runs >> np.uint64(29))) * _MIX + words[step : len(words) - length + 1 + step]
    return runs


def _join(signatures: Signatures, threshold: float) -> list[int]:
    parents = list(range(len(signatures)))
    for bucket in _buckets(signatures, _rows_per_band(threshold)):
        rest = bucket
        for _ in range(_MOST_ROUNDS):
            head, others = rest[0], rest[1:]
            alike = (signatures[others] == signatures[head]).mean(axis=1) >= threshold
            for member in others[alike]:
                _union(parents, int(head), int(member))
            rest = others[~alike]
            if len(rest) < 2:
                break
    return [_root(parents, index) for index in range(len(parents))]


def _rows_per_band(threshold: float) -> int:
    """The widest bands with which a pair at the threshold still shares one with probability .99.

    Pairs further apart then meet less often. At .8 this is 5 rows in 25 bands: a pair at .8 is missed once in 20,000.
    """
    for rows in range(32, 1, -1):
        if (1 - threshold**rows) ** (_PERMUTATIONS // rows) < 0.01:
            return rows
    return 2


def _buckets(signatures: Signatures, rows: int) -> Iterator[NDArray[np.int64]]:
    """Indices, ascending, of texts that agree in all hashes of some band."""
    for start in range(0, _PERMUTATIONS - rows + 1, rows):
        band = np.ascontiguousarray(signatures[:, start : start + rows])
        keys = band.view(np.dtype((np.void, band.dtype.itemsize * rows))).ravel()
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.concatenate(([True], keys[order][1:] != keys[order][:-1])))
        for begin, end in zip(starts, [*starts[1:], len(order)], strict=True):
            if end - begin > 1:
                yield order[begin:end]


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index


def _union(parents: list[int], first: int, second: int) -> None:
    first, second = sorted((_root(parents, first), _root(parents, second)))
    parents[second] = first
