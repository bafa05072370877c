"""The test sets of every role as the ledger knows them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.catalog import judgements
from honed.config import Settings
from honed.dataset.task import Task
from honed.evaluate.ledger import TestSet
from honed.types import Split


def text_set(task: Task, split: Split, settings: Settings) -> TestSet:
    """The questions of a split."""
    labelled = task.splits[split]
    named = {
        query.id: {task.documents[document]: grade for document, grade in relevant.items()}
        for query, relevant in zip(labelled.queries, labelled.relevant, strict=True)
    }
    return TestSet(
        "retriever",
        settings.metric_retriever,
        labelled.texts,
        labelled.clusters,
        (judgements.fingerprint(labelled.queries, named),),
        fresh_only=settings.test == "fresh",
        proxy=task.origin == "proxy",
    )


def picture_set(medias: Sequence[str], ids: Sequence[str], groups: NDArray[Any], settings: Settings) -> TestSet:
    """Pictures that ask for the others of their group.

    Args:
        medias: [n] hash of each picture.
        ids: [n] external ids.
        groups: [n] labels; one that no other picture has is of a picture that has nothing to find.
        settings: Of the workspace.
    """
    _, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
    names = (known_by(ids, groups), repr((tuple(ids), groups.tolist())))
    return TestSet(
        "image-retriever",
        settings.metric_image_retriever,
        medias,
        groups,
        tuple(hashlib.sha256(name.encode()).hexdigest() for name in names),
        judged=(counts[place] > 1) & (groups >= 0),
        fresh_only=settings.test == "fresh",
    )


def known_by(ids: Sequence[str], groups: NDArray[Any]) -> str:
    """What a set of pictures is known by: which there are, and which belong together; numbers of groups may move."""
    members: dict[object, list[str]] = {}
    for name, group in zip(ids, groups.tolist(), strict=True):
        members.setdefault(group, []).append(name)
    return repr(sorted(sorted(each) for each in members.values()))
