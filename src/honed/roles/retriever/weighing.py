"""How much the vector side counts: one number, picked on questions that it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from honed.answer.fusion import WEIGHTS, Pool
from honed.answer.settings import RetrievalSettings
from honed.evaluate.board import Board, Choice


def weighed(
    board: Board, pools: Sequence[Pool], retrieval: RetrievalSettings, weights: NDArray[np.float64] = WEIGHTS
) -> Choice:
    """The settings with the weight, of a rising grid, that has the highest mean.

    The means are smoothed over neighbouring weights first: a lone peak on a small split is luck. Of equally good weights the
    one nearest to that of the settings is taken.
    """
    grid = [replace(retrieval.fusion, weight=float(weight)) for weight in weights]
    scores = [board.primary(pools, fusion) for fusion in grid]
    means = np.array([float(np.nanmean(values)) for values in scores])
    padded = np.pad(means, 1, mode="edge")
    smooth = (padded[:-2] + 2 * means + padded[2:]) / 4
    tied = np.flatnonzero(smooth >= smooth.max() - 1e-9)
    best = int(tied[np.argmin(np.abs(weights[tied] - retrieval.fusion.weight))])
    return Choice(replace(retrieval, fusion=grid[best]), scores[best])
