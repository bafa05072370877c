"""Which pictures go into which step: several of each group, a pure function of seed and epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def group_batches(
    groups: NDArray[np.int64], *, batch: int, each: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Batches of about `batch` pictures in which every group that occurs has at least two.

    A group of more than `each` pictures is cut at random into hands of about `each`, which are dealt one after another: all
    pictures come once an epoch, and a small group weighs as much in a step as a large one. Pictures that are alone in their
    group, or in none (-1), have nothing to learn from and are left out.
    """
    random = np.random.default_rng((seed, epoch))
    kept = np.flatnonzero(groups >= 0)
    order = kept[random.permutation(len(kept))]
    order = order[np.argsort(groups[order], kind="stable")]
    edges = np.flatnonzero(np.diff(groups[order])) + 1
    hands = [
        hand
        for members in np.split(order, edges)
        if len(members) > 1
        for hand in np.array_split(members, max(1, min(round(len(members) / each), len(members) // 2)))
    ]
    batches: list[list[NDArray[np.int64]]] = [[]]
    for at in random.permutation(len(hands)):
        if sum(map(len, batches[-1])) >= batch:
            batches.append([])
        batches[-1].append(hands[at])
    return [np.concatenate(hands_) for hands_ in batches if len(hands_) > 1]
