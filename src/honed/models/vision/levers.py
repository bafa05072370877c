"""Arithmetic that helps a search before anything is trained. Each lever is picked on dev, or left alone.

K-reciprocal re-ranking and diffusion are not among them: both find the rest of a group at the price of recall@10, and both
need the neighbours of neighbours at every search.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from honed.models.vision.head import unit
from honed.types import Vectors

SAMPLE = 4096
_BLOCK = 2048


def expanded(queries: Vectors, neighbours: Vectors, scores: NDArray[np.float32], *, alpha: float = 3.0) -> Vectors:
    """Queries moved towards what they found first, unit length, [n, m].

    Alpha query expansion (Radenovic et al. 2018, https://arxiv.org/abs/1711.02512): the query plus its neighbours, each
    weighed by its score to the power of alpha.

    Args:
        queries: Unit vectors [n, m].
        neighbours: Vectors of the first k hits of each query [n, k, m]; rows of zeros where there are fewer.
        scores: Their scores [n, k]; anything for rows of zeros.
        alpha: How much a better neighbour counts for more; 0 weighs all alike.
    """
    weights = np.where(scores > 0, np.abs(scores), 0) ** np.float32(alpha) * (scores > 0)
    return unit(queries + np.einsum("nk,nkm->nm", weights.astype(np.float32), neighbours))


def hub_offsets(vectors: Vectors, *, k: int = 20, sample: int = SAMPLE, seed: int = 0) -> NDArray[np.float32]:
    """What to subtract from the score of each vector so that those near to everything stop being found by everyone, [n].

    Half the mean score of its k nearest others, as in cross-domain similarity local scaling (Conneau et al. 2018,
    https://arxiv.org/abs/1710.04087), without the term of the query, which changes no order.

    Args:
        vectors: All that are searched [n, m], unit length.
        k: Neighbours.
        sample: Of so many vectors, when there are more: all pairs of 100,000 would take minutes.
        seed: Of the sample.
    """
    count = len(vectors)
    at = np.arange(count)
    if count > sample:
        at = np.sort(np.random.default_rng(seed).choice(count, sample, replace=False))
    others = vectors[at]
    near = min(k, len(at) - 1)
    if near < 1:
        return np.zeros(count, np.float32)
    offsets = np.empty(count, np.float32)
    own = np.full(count, -1)
    own[at] = np.arange(len(at))
    for start in range(0, count, _BLOCK):
        scores = vectors[start : start + _BLOCK] @ others.T
        mine = own[start : start + _BLOCK]
        scores[np.flatnonzero(mine >= 0), mine[mine >= 0]] = -np.inf  # not itself
        best = np.partition(scores, len(at) - near, axis=1)[:, len(at) - near :]
        offsets[start : start + _BLOCK] = best.mean(axis=1) / 2
    return offsets
