from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from honed.roles.image_retriever.groups import group_batches


@pytest.mark.parametrize("seed", range(4))
def test_every_grouped_picture_comes_once_and_never_alone(seed: int) -> None:
    groups = np.random.default_rng(seed).integers(-1, 30, 300)
    groups[:40] = 31  # a large group
    groups[-1] = 32  # and one of one
    batches = group_batches(groups, batch=32, each=4, seed=seed, epoch=0)
    seen = np.concatenate(batches)
    sizes = Counter(groups.tolist())
    wanted = [at for at, group in enumerate(groups.tolist()) if group >= 0 and sizes[group] > 1]
    assert sorted(seen.tolist()) == wanted
    for batch in batches:
        assert min(Counter(groups[batch].tolist()).values()) >= 2
        assert len(np.unique(groups[batch])) > 1


def test_order_is_a_function_of_seed_and_epoch() -> None:
    groups = np.repeat(np.arange(20), 4)

    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(group_batches(groups, batch=16, each=4, seed=seed, epoch=epoch)).tolist()

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)
