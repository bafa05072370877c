"""A text that looks for pictures is led by the captions that match it: towards what the captioned pictures look like.

Half of a real collection has no caption. A caption finds one picture of a thing, and that picture finds the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from honed.models.vision.head import unit
from honed.types import Vectors

ALPHA = 3.0
"""Power of a caption's score: the best captions lead, the fifth best hardly."""


def led(queries: Vectors, vectors: Vectors, scores: NDArray[np.float32], *, alpha: float = ALPHA) -> Vectors:
    """Queries moved towards the pictures whose captions match best, unit length, [n, m].

    Args:
        queries: Unit vectors [n, m] of texts in the space of the pictures; zeros where there is no such space.
        vectors: Of the captioned pictures of each query [n, k, m]; rows of zeros where there are fewer.
        scores: How well each caption matches [n, k]; what is not above 0 does not lead.
        alpha: How much a better caption counts for more; 0 weighs all alike.
    """
    matching = scores > 0
    weights = np.where(matching, np.where(matching, scores, 1.0) ** np.float32(alpha), 0.0)
    weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    return unit(queries + np.einsum("nk,nkm->nm", weights.astype(np.float32), vectors))
