"""Train, dev and test: split by cluster, fixed before anything is learned. Splits that a user brings are kept."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from honed.types import Split

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
        names: list[Split] = ["train" if draw < 0.6 else "dev" if draw < 0.8 else "test" for draw in draws]
        return Assignment(tuple(names), tuple(notes))
    missing: Split = "dev" if "dev" not in present else "test"
    share = 0.15 if missing == "dev" else 0.25
    notes.append(f"There was no {missing} split: {share:.0%} of the clusters of train became {missing}.")
    filled: list[Split] = [
        missing if split == "train" and draw < share else (split or "train")
        for split, draw in zip(given, draws, strict=True)
    ]
    return Assignment(tuple(filled), tuple(notes))


def _cluster_keys(queries: Sequence[str], clusters: NDArray[np.int64]) -> tuple[list[str], list[str]]:
    """What is hashed for each query: its cluster, or itself where one cluster would swallow the data."""
    sizes = Counter(clusters.tolist())
    if sizes and max(sizes.values()) > GIANT * len(queries):
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
