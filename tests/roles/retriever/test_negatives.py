from __future__ import annotations

import numpy as np

from honed.dataset.examples import Examples
from honed.roles.retriever.negatives import MARGIN, mine


def test_hard_negatives_are_near_but_clearly_below_the_positive() -> None:
    rng = np.random.default_rng(0)
    passages = rng.standard_normal((200, 16)).astype(np.float32)
    passages /= np.linalg.norm(passages, axis=1, keepdims=True)
    queries = passages[:5] + 0.05 * rng.standard_normal((5, 16)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    positives = [np.array([row]) for row in range(5)]
    ignored = [np.array([150 + row]) for row in range(5)]
    examples = Examples([""] * 5, np.arange(5), np.arange(200), positives, ignored)
    mined = mine(queries, passages, examples)
    for row, found in enumerate(mined):
        scores = passages @ queries[row]
        assert len(found)
        assert row not in found and 150 + row not in found
        assert (scores[found] < MARGIN * scores[row]).all()
        assert (np.diff(scores[found]) <= 1e-6).all()
