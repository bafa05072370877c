"""The systems that nobody tuned, as anybody can build them: plain BM25, dense, and their fusions without a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from honed.answer.fusion import FusionSettings, Pool
from honed.answer.settings import RetrievalSettings
from honed.dataset.task import Labelled, Task
from honed.evaluate.board import Board
from honed.evaluate.metrics import Scores
from honed.index.dense import DenseIndex
from honed.index.lexical import LexicalSettings
from honed.types import Vectors

PLAIN: dict[str, RetrievalSettings] = {
    "bm25": RetrievalSettings(fusion=FusionSettings(weight=0.0)),
    "bm25-all-words": RetrievalSettings(LexicalSettings(drop_stop_words=False), FusionSettings(weight=0.0)),
    "dense": RetrievalSettings(fusion=FusionSettings(weight=1.0)),
    "fusion": RetrievalSettings(fusion=FusionSettings("z")),
    "rrf": RetrievalSettings(fusion=FusionSettings("ranks")),
}
"""Name -> settings, the plainest first, which wins a tie."""

DEFAULT = "default"
"""Search without labels: absolute scores at equal weight. No plain system, but nothing was fitted either."""

_NAMED = {DEFAULT: RetrievalSettings(), **PLAIN, "hybrid": PLAIN["fusion"]}

MOST_TRAIN = 1000
"""Train questions that help to choose: enough to tell systems apart that dev alone cannot, and encoded in seconds."""


@dataclass(frozen=True, slots=True)
class Untuned:
    """The strongest of some systems, and the mean of the primary metric of all of them."""

    name: str
    retrieval: RetrievalSettings
    means: dict[str, float]


def plain_system(name: str) -> RetrievalSettings | None:
    """The settings of a system that nobody tuned, by its name in commands; None for any other name."""
    return _NAMED.get(name)


def defaults() -> dict[str, RetrievalSettings]:
    """What a first release is chosen from: the plain systems, and the same under other ways to count words, none weighted.

    What search is without labels comes first, so that it wins a tie: absolute scores at equal weight.
    """
    kinds = {
        "all words": LexicalSettings(drop_stop_words=False),
        "words as written": LexicalSettings(exact=1.0),
        "all words as written": LexicalSettings(drop_stop_words=False, exact=1.0),
        "titles": LexicalSettings(title_weight=1.0),
    }
    systems = {DEFAULT: RetrievalSettings(), **PLAIN}
    return systems | {
        f"{name}, {kind}": RetrievalSettings(lexical, system.fusion)
        for kind, lexical in kinds.items()
        for name, system in systems.items()
        if system.words_count
    }


def questions(task: Task) -> Labelled:
    """What the untuned systems are compared on: dev and an even sample of train. Nothing was fitted, so both are fair."""
    dev, train = task.splits["dev"], task.splits["train"]
    rows = np.unique(np.linspace(0, len(train.queries) - 1, min(MOST_TRAIN, len(train.queries))).astype(int))
    return Labelled(
        (*dev.queries, *(train.queries[row] for row in rows)),
        (*dev.relevant, *(train.relevant[row] for row in rows)),
        np.concatenate([dev.clusters, train.clusters[rows]]),
    )


def strongest(
    board: Board, queries: Vectors, dense: DenseIndex, systems: Mapping[str, RetrievalSettings] = PLAIN
) -> Untuned:
    """Compare systems on a board; `queries` are its base query vectors. The first wins a tie."""
    means = system_means(board, queries, dense, systems)
    name = max(means, key=lambda key: means[key])
    return Untuned(name, systems[name], means)


def system_means(
    board: Board, queries: Vectors, dense: DenseIndex, systems: Mapping[str, RetrievalSettings] = PLAIN
) -> dict[str, float]:
    """Mean of the primary metric of each system on a board."""
    scores = system_scores(board, queries, dense, systems)
    return {name: float(np.nanmean(values)) for name, values in scores.items()}


def system_scores(
    board: Board, queries: Vectors, dense: DenseIndex, systems: Mapping[str, RetrievalSettings]
) -> dict[str, Scores]:
    """The primary metric of every query under each system; those that count words alike share their pools."""
    pools: dict[LexicalSettings, list[Pool]] = {}
    result = {}
    for name, system in systems.items():
        if system.lexical not in pools:
            pools[system.lexical] = board.pools(queries, dense, system.lexical)
        result[name] = board.primary(pools[system.lexical], system.fusion)
    return result
