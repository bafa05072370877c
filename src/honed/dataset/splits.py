"""Train, dev and test: split by cluster, fixed before anything is learned. Splits that a user brings are kept."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from honed.types import SPLITS, Split

GIANT = 0.4
"""A cluster with more than this share of the queries leaves too little for the other splits."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A split for each query, and what had to be said about it."""

    splits: tuple[Split, ...]
    notes: tuple[str, ...] = ()


def assign(
    queries: Sequence[str], given: Sequence[Split | None], clusters: NDArray[np.int64], *, seed: int
) -> Assignment:
    """Fill in what the user did not bring; whatever the user did bring stays.

    - train, dev and test given: nothing changes.
    - dev missing: 15 % of the clusters of train become dev. test missing: 25 % of them become test.
    - one split only, or none: 60/20/20 by cluster.

    The assignment of a cluster is a hash of its first query, so that new queries do not move old ones.
    """
    present = {split for split in given if split is not None}
    if {"train", "dev", "test"} <= present:
        return Assignment(tuple(split or "train" for split in given))
    keys, notes = _cluster_keys(queries, clusters)
    draws = np.array([_unit_hash(f"{seed}:{key}") for key in keys])
    if "train" not in present or len(present) < 2:
        if present:
            notes.append(
                f"Only {', '.join(sorted(present))} was given: the queries were split anew, 60/20/20 by cluster."
            )
        return Assignment(tuple(_drawn(draw) for draw in draws), tuple(notes))
    missing: Split = "dev" if "dev" not in present else "test"
    share = 0.15 if missing == "dev" else 0.25
    notes.append(f"There was no {missing} split: {share:.0%} of the clusters of train became {missing}.")
    filled: list[Split] = [
        missing if split == "train" and draw < share else (split or "train")
        for split, draw in zip(given, draws, strict=True)
    ]
    return Assignment(tuple(filled), tuple(notes))


def join(
    queries: Sequence[str], fixed: Sequence[Split | None], clusters: NDArray[np.int64], *, seed: int
) -> Assignment:
    """Splits for new queries beside older ones, whose split is fixed: no cluster is torn by what comes later.

    A new query goes where its cluster's older ones are (to the first of test, dev, train that holds one); a cluster without
    older ones is drawn, 60/20/20.
    """
    keys, notes = _cluster_keys(queries, clusters)
    older: dict[str, set[Split]] = {}
    for key, split in zip(keys, fixed, strict=True):
        if split:
            older.setdefault(key, set()).add(split)
    names: list[Split] = []
    for key, split in zip(keys, fixed, strict=True):
        near = next((name for name in reversed(SPLITS) if name in older.get(key, ())), None)
        names.append(split or near or _drawn(_unit_hash(f"{seed}:{key}")))
    return Assignment(tuple(names), tuple(notes))


def _drawn(draw: float) -> Split:
    return "train" if draw < 0.6 else "dev" if draw < 0.8 else "test"


def _cluster_keys(queries: Sequence[str], clusters: NDArray[np.int64]) -> tuple[list[str], list[str]]:
    """What is hashed for each query: its cluster, or itself where one cluster would swallow the data."""
    sizes = Counter(clusters.tolist())
    if sizes and max(sizes.values()) > max(1.0, GIANT * len(queries)):
        share = max(sizes.values()) / len(queries)
        note = (
            f"One cluster holds {share:.0%} of the queries: split by query instead, so test and train share documents."
        )
        return list(queries), [note]
    first: dict[int, str] = {}
    for query, cluster in zip(queries, clusters.tolist(), strict=True):
        first[cluster] = min(query, first.get(cluster, query))
    return [first[cluster] for cluster in clusters.tolist()], []


def _unit_hash(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
