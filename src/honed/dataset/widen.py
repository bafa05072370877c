"""A dev split of few clusters borrows some from train: what is picked on nine topics is picked for nine topics.

Hundreds of questions look numerous enough, but where they ask about a handful of intents, what gains on dev can lose on test.
Train is where the spare clusters are; test is never touched.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from honed.dataset.task import Labelled, Task

ENOUGH = 30
"""Clusters of dev from which on nothing is borrowed: a mean over so many is about normal."""

MOST = 0.2
"""Largest share of train's clusters, and of its questions, that may be lent."""


def widen_dev(task: Task, *, seed: int) -> Task:
    """The task with train clusters, drawn at random, counted as dev until dev has `ENOUGH`; the same task if it has.

    The draw depends on the seed and the clusters only, so a run that is resumed borrows the same.
    """
    train, dev = task.splits["train"], task.splits["dev"]
    missing = ENOUGH - dev.cluster_count
    spare = np.setdiff1d(train.clusters, dev.clusters)
    if missing <= 0 or not dev.queries or not len(spare):
        return task
    order = np.random.default_rng(seed).permutation(spare)[: min(missing, int(MOST * train.cluster_count))]
    sizes = np.array([np.sum(train.clusters == cluster) for cluster in order])
    lent = order[np.cumsum(sizes) <= MOST * len(train.queries)]
    if not len(lent):
        return task
    moved = np.isin(train.clusters, lent)
    wider = _joined(dev, _rows(train, np.flatnonzero(moved)))
    note = (
        f"Dev has only {dev.cluster_count} clusters, so {len(lent)} of train's {train.cluster_count} help to choose "
        "and are not trained on."
    )
    splits = task.splits | {"train": _rows(train, np.flatnonzero(~moved)), "dev": wider}
    return replace(task, splits=splits, notes=(*task.notes, note))


def _rows(labelled: Labelled, rows: NDArray[np.int64]) -> Labelled:
    return Labelled(
        tuple(labelled.queries[row] for row in rows),
        tuple(labelled.relevant[row] for row in rows),
        labelled.clusters[rows],
    )


def _joined(dev: Labelled, lent: Labelled) -> Labelled:
    return Labelled(
        dev.queries + lent.queries, dev.relevant + lent.relevant, np.concatenate([dev.clusters, lent.clusters])
    )
