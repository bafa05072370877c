from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from honed.train.batches import epoch_batches


@given(st.lists(st.integers(1, 128), min_size=1, max_size=200), st.integers(1, 16), st.integers(0, 3))
def test_every_example_comes_once_an_epoch(lengths: list[int], size: int, epoch: int) -> None:
    batches = epoch_batches(lengths, size, seed=3, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= size for batch in batches)


def test_is_a_pure_function_of_seed_and_epoch() -> None:
    def flat(seed: int, epoch: int) -> list[int]:
        return np.concatenate(epoch_batches([5] * 100, 8, seed=seed, epoch=epoch)).tolist()

    assert flat(1, 0) == flat(1, 0)
    assert flat(1, 0) != flat(1, 1)
    assert flat(1, 0) != flat(2, 0)


def test_like_lengths_share_a_batch() -> None:
    lengths = np.random.default_rng(0).integers(1, 128, 512)
    padded = sum(
        int(lengths[batch].max()) * len(batch) for batch in epoch_batches(lengths.tolist(), 16, seed=0, epoch=0)
    )
    assert padded < 1.2 * lengths.sum()
