"""Hard negatives: passages that the present system ranks high and that are not, or not likely, answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from honed.dataset.examples import Examples
from honed.types import Vectors

DEPTH = 50
"""Ranks that are looked at."""

MARGIN = 0.95
"""A negative scores at most this share of the weakest positive: the positive-aware filter that halves false negatives
(NV-Retriever, Moreira et al. 2024, arXiv:2407.15831, "TopK-PercPos")."""

_BLOCK = 256


def mine(queries: Vectors, passages: Vectors, examples: Examples) -> list[NDArray[np.int64]]:
    """For each question the columns of its hard negatives, hardest first; may be empty.

    Args:
        queries: [n, d] vectors of the questions in `examples`.
        passages: [m, d] vectors of `examples.columns`.
    """
    mined = []
    depth = min(DEPTH, len(passages))
    for start in range(0, len(queries), _BLOCK):
        scores = queries[start : start + _BLOCK] @ passages.T
        for row, own in enumerate(scores):
            example = start + row
            positives, ignored = examples.positives[example], examples.ignored[example]
            limit = MARGIN * float(own[positives].min())
            own[positives] = own[ignored] = -np.inf
            top = np.argpartition(-own, depth - 1)[:depth]
            top = top[np.argsort(-own[top], kind="stable")]
            mined.append(top[(own[top] < limit) & np.isfinite(own[top])])
    return mined
