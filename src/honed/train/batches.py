"""Which examples go into which step: a pure function of seed and epoch, so that a resumed run repeats nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BUCKET = 16
"""Batches that are drawn together and sorted by length: mostly equal lengths inside a batch, random ones between."""


def epoch_batches(lengths: Sequence[int], size: int, *, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Index arrays that cover 0..n-1 once; texts of like length share a batch, which saves padding."""
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(lengths))
    by_length = np.asarray(lengths)
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), size * BUCKET):
        bucket = order[start : start + size * BUCKET]
        bucket = bucket[np.argsort(by_length[bucket], kind="stable")]
        batches += [bucket[at : at + size] for at in range(0, len(bucket), size)]
    return [batches[at] for at in rng.permutation(len(batches))]
