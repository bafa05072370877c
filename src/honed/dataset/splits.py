"""Train, dev and test: split by cluster, written once and never redrawn. Splits that a user brings are kept."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from honed.types import SPLITS, Split

GIANT = 0.4
"""A cluster with more than this share of the queries leaves too little for the other splits if dev or test draws it."""

_MISSING_SHARE: dict[Split, float] = {"dev": 0.15, "test": 0.25}


@dataclass(frozen=True, slots=True)
class Assignment:
    """A split for each query, and what had to be said about it."""

    splits: tuple[Split, ...]
    notes: tuple[str, ...] = ()


def join(
    names: Sequence[str],
    stored: Sequence[Split | None],
    clusters: NDArray[np.int64],
    *,
    seed: int,
    brought: Sequence[Split | None] = (),
) -> Assignment:
    """Splits for what is new beside what is older: what has a stored split keeps it, whatever comes later.

    - train, dev and test brought: kept, also where a cluster then stands in two of them.
    - dev missing: 15 % of the clusters of train become dev. test missing: 25 % of them become test.
    - one split only, or none: a cluster that has a split keeps it, in the strictest of its splits (test before dev before
      train); one that is wholly new is drawn, 60/20/20, by a hash of seed and its first name.

    Args:
        names: Ids of all queries of the workspace, old and new.
        stored: The split of each that has one.
        clusters: [len(names)] label of each one's cluster.
        seed: For the draw.
        brought: The split that the user gave for each, if any; of what is stored already it says what the user has.
    """
    present = {split for split in brought if split}
    honoured = "train" in present and len(present) > 1
    missing = next((split for split in _MISSING_SHARE if honoured and split not in present), None)
    giant, older, first = _giant(clusters), _strictest(clusters, stored), _first_names(names, clusters)

    def draw(cluster: int) -> float:
        return 0.0 if cluster == giant else _unit_hash(f"{seed}:{first[cluster]}")

    kept: list[Split | None] = []
    for cluster, old, new in zip(clusters.tolist(), stored, brought or [None] * len(names), strict=True):
        lends = (
            missing and new == "train" and cluster not in (giant, *older) and draw(cluster) < _MISSING_SHARE[missing]
        )
        kept.append(old or (missing if lends else new if honoured else None))
    older = _strictest(clusters, kept)
    splits = [
        split or older.get(cluster) or _drawn(draw(cluster))
        for cluster, split in zip(clusters.tolist(), kept, strict=True)
    ]
    notes = [] if all(stored) else _brought_note(present, missing)
    if giant is not None and giant not in older:
        share = np.mean(clusters == giant)
        notes.append(f"One cluster holds {share:.0%} of all: it is learned from, and never tested.")
    return Assignment(tuple(splits), (*notes, *torn_note(splits, clusters)))


def torn(splits: Sequence[Split], clusters: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[n] what is in train though dev or test holds some of its cluster: it must not be learned from."""
    train = np.array([split == "train" for split in splits], bool)
    return train & np.isin(clusters, clusters[~train])


def torn_note(splits: Sequence[Split], clusters: NDArray[np.int64]) -> tuple[str, ...]:
    """How many clusters stand in several splits and what is left out of training for it, as a sentence; () for none."""
    pairs = set(zip(clusters.tolist(), splits, strict=True))
    count = sum(number > 1 for number in Counter(cluster for cluster, _ in pairs).values())
    if not count:
        return ()
    left_out = int(torn(splits, clusters).sum())
    clusters_stand = "1 cluster stands" if count == 1 else f"{count:,} clusters stand"
    return (
        f"{clusters_stand} in more than one split: {left_out:,} of {splits.count('train'):,} in train belong to what dev "
        "or test ask about, and are not learned from.",
    )


def _first_names(names: Sequence[str], clusters: NDArray[np.int64]) -> dict[int, str]:
    """Cluster -> the first of its names in their order: what its draw is a hash of."""
    first: dict[int, str] = {}
    for name, cluster in zip(names, clusters.tolist(), strict=True):
        first[cluster] = min(name, first.get(cluster, name))
    return first


def _strictest(clusters: NDArray[np.int64], splits: Sequence[Split | None]) -> dict[int, Split]:
    """Cluster -> the last of train, dev, test in which it stands."""
    last: dict[int, Split] = {}
    for cluster, split in zip(clusters.tolist(), splits, strict=True):
        if split:
            last[cluster] = max(split, last.get(cluster, split), key=SPLITS.index)
    return last


def strictest(splits: Iterable[Split | None]) -> Split | None:
    """The last of train, dev, test among some splits: nothing that is held out is learned from."""
    return max((split for split in splits if split), key=SPLITS.index, default=None)


def _brought_note(present: set[Split], missing: Split | None) -> list[str]:
    """Notes for a user who brought only some of the splits: how the others were made; [] where all came."""
    if missing:
        return [
            f"There was no {missing} split: {_MISSING_SHARE[missing]:.0%} of the clusters of train became {missing}."
        ]
    if present and (len(present) < 2 or "train" not in present):
        return [f"Only {', '.join(sorted(present))} was given: what is new was split anew, 60/20/20 by cluster."]
    return []


def _drawn(draw: float) -> Split:
    return "train" if draw < 0.6 else "dev" if draw < 0.8 else "test"


def _giant(clusters: NDArray[np.int64]) -> int | None:
    """The largest cluster, if it would swallow the data."""
    labels, sizes = np.unique(clusters, return_counts=True)
    if not len(labels) or sizes.max() <= max(1.0, GIANT * len(clusters)):
        return None
    return int(labels[np.argmax(sizes)])


def _unit_hash(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
