"""The systems that nobody tuned: BM25, dense, hybrid. A baseline is the strongest of them, never bare dense."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from honed.answer.fusion import DEFAULT_WEIGHT
from honed.dataset.task import Labelled, Task
from honed.evaluate.board import Board
from honed.index.dense import DenseIndex
from honed.types import Vectors

UNTUNED: dict[str, float] = {"hybrid": DEFAULT_WEIGHT, "dense": 1.0, "bm25": 0.0}
"""Name -> fusion weight; the first wins a tie."""


MOST_TRAIN = 1000
"""Train questions that help to choose: enough to tell systems apart that dev alone cannot, and encoded in seconds."""


@dataclass(frozen=True, slots=True)
class Untuned:
    """The strongest untuned system, and the mean of the primary metric of all of them."""

    name: str
    weight: float
    means: dict[str, float]


def questions(task: Task) -> Labelled:
    """What the untuned systems are compared on: dev and an even sample of train. Nothing was fitted, so both are fair."""
    dev, train = task.splits["dev"], task.splits["train"]
    rows = np.unique(np.linspace(0, len(train.queries) - 1, min(MOST_TRAIN, len(train.queries))).astype(int))
    return Labelled(
        (*dev.queries, *(train.queries[row] for row in rows)),
        (*dev.relevant, *(train.relevant[row] for row in rows)),
        np.arange(len(dev.queries) + len(rows)),
    )


def strongest(board: Board, queries: Vectors, dense: DenseIndex) -> Untuned:
    """Compare the untuned systems on a board; `queries` are its base query vectors."""
    means = untuned_means(board, queries, dense)
    name = max(means, key=lambda key: means[key])
    return Untuned(name, UNTUNED[name], means)


def untuned_means(board: Board, queries: Vectors, dense: DenseIndex) -> dict[str, float]:
    """Mean of the primary metric of each untuned system on a board."""
    pools = board.pools(queries, dense)
    return {name: float(np.nanmean(board.primary(pools, weight))) for name, weight in UNTUNED.items()}
