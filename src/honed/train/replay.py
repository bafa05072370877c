"""Replay without data: keep a tuned tower where it was on language that has nothing to do with the domain.

Sequences of random words from the model's own vocabulary are encoded once before training; while it learns, the tower is held to
those vectors. It costs a few short texts a step and needs no text from outside (in the spirit of data-free distillation, and of
learning without forgetting, Li and Hoiem 2016, arXiv:1606.09282).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from honed.train.tower import LearningTower

POOL = 1024
"""Sequences that are drawn from."""

_WORDS = (4, 12)


class Replay:
    """Random word sequences and the vectors that the untrained tower gives them."""

    def __init__(self, tower: LearningTower, *, size: int, seed: int) -> None:
        """Encode the pool with the tower as it is now; `size` sequences are replayed a step."""
        self._tower, self._size, self._seed = tower, size, seed
        rng = np.random.default_rng(seed)
        words = tower.words()
        texts = [" ".join(rng.choice(words, rng.integers(*_WORDS))) for _ in range(POOL)]
        self._tokens = sorted(tower.tokens(texts), key=len)
        self._vectors = torch.from_numpy(self._encoded(self._tokens)).to(tower.device)

    def loss(self, step: int) -> torch.Tensor:
        """Mean cosine distance of this step's sequences to where they were; a pure function of step and weights."""
        start = int(np.random.default_rng((self._seed, step)).integers(0, len(self._tokens) - self._size + 1))
        rows = slice(start, start + self._size)
        return 1.0 - (self._tower(self._tokens[rows]) * self._vectors[rows]).sum(1).mean()

    def _encoded(self, tokens: Sequence[Sequence[int]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        parts = []
        with torch.no_grad():
            for start in range(0, len(tokens), 64):
                parts.append(self._tower(tokens[start : start + 64]).cpu().numpy())
        return np.concatenate(parts)
