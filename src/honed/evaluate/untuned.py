"""The systems that nobody tuned: BM25, dense, hybrid. A baseline is the strongest of them on dev, never bare dense."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from honed.answer.fusion import DEFAULT_WEIGHT
from honed.evaluate.board import Board
from honed.index.dense import DenseIndex
from honed.types import Vectors

UNTUNED: dict[str, float] = {"hybrid": DEFAULT_WEIGHT, "dense": 1.0, "bm25": 0.0}
"""Name -> fusion weight; the first wins a tie."""


@dataclass(frozen=True, slots=True)
class Untuned:
    """The strongest untuned system on dev, and how all of them did there."""

    name: str
    weight: float
    dev: dict[str, float]


def strongest(board: Board, queries: Vectors, dense: DenseIndex) -> Untuned:
    """Compare the untuned systems on a dev board; `queries` are its base query vectors."""
    pools = board.pools(queries, dense)
    dev = {name: float(np.nanmean(board.primary(pools, weight))) for name, weight in UNTUNED.items()}
    name = max(dev, key=lambda key: dev[key])
    return Untuned(name, UNTUNED[name], dev)
