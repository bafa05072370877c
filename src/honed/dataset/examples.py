"""Training examples as arrays: for each question the passages that answer it, and those that must not count against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from honed.dataset.task import Task
from honed.types import Vectors

LIKELY_POSITIVE = 0.95
"""A passage whose vector is this close to a positive's is the same text in other words, labelled or not: it is neither
pulled nor pushed. RocketQA (Qu et al. 2020, arXiv:2010.08191) lost 6 points to such false negatives."""

_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Examples:
    """Training examples of one task.

    Attributes:
        texts: The questions of train that have an answer in the corpus.
        kept: [n] their positions in the train split.
        columns: [m] positions (into the task's passages) that may serve as negatives: nothing that dev or test asks for.
        positives: For each question, indices into `columns`.
        ignored: For each question, indices into `columns` of likely positives without a label.
    """

    texts: list[str]
    kept: NDArray[np.int64]
    columns: NDArray[np.int64]
    positives: list[NDArray[np.int64]]
    ignored: list[NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.texts)


def build_examples(task: Task, queries: Vectors, passages: Vectors) -> Examples:
    """Examples of the train split.

    A relevant document of several passages gives the one that is nearest to the question: labels name documents, and most
    passages of a long document answer something else.

    Args:
        queries: [n, d] base vectors of the train questions.
        passages: [p, d] base vectors of all passages, in the order of `task.rowids`.
    """
    train = task.splits["train"]
    columns = np.flatnonzero(~_held_out(task))
    place = np.full(len(task.rowids), -1, np.int64)
    place[columns] = np.arange(len(columns))
    order = np.argsort(task.passage_document, kind="stable")
    starts = np.searchsorted(task.passage_document[order], np.arange(len(task.documents) + 1))
    kept, positives = [], []
    for row, (vector, relevant) in enumerate(zip(queries, train.relevant, strict=True)):
        chosen = []
        for document in relevant:
            candidates = order[starts[document] : starts[document + 1]]
            candidates = candidates[place[candidates] >= 0]
            if len(candidates):
                chosen.append(int(candidates[np.argmax(passages[candidates] @ vector)]))
        if chosen:
            kept.append(row)
            positives.append(place[np.array(sorted(chosen))])
    texts = [train.queries[row].text for row in kept]
    likely = _likely_positives(passages[columns], positives)
    return Examples(texts, np.array(kept, np.int64), columns, positives, likely)


def no_examples() -> Examples:
    """The examples of a task without labelled train questions."""
    nothing = np.empty(0, np.int64)
    return Examples([], nothing, nothing, [], [])


def _held_out(task: Task) -> NDArray[np.bool_]:
    """[p] passages of clusters that dev or test asks about; train asks about none of them (`task.load_task`)."""
    clusters: set[int] = set()
    for split in ("dev", "test"):
        for relevant in task.splits[split].relevant:
            clusters.update(task.document_clusters[list(relevant)].tolist())
    held = np.isin(task.document_clusters, sorted(clusters))
    return held[task.passage_document]


def _likely_positives(passages: Vectors, positives: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """For each question the columns nearly equal to one of its positives, positives excluded."""
    wanted = np.unique(np.concatenate(positives)) if positives else np.empty(0, np.int64)
    near: dict[int, NDArray[np.int64]] = {}
    for start in range(0, len(wanted), _BLOCK):
        block = wanted[start : start + _BLOCK]
        similar = passages[block] @ passages.T > LIKELY_POSITIVE
        near.update({int(column): np.flatnonzero(row) for column, row in zip(block, similar, strict=True)})
    return [np.setdiff1d(np.unique(np.concatenate([near[int(column)] for column in own])), own) for own in positives]
