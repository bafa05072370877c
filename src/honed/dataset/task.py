"""The learning task as arrays: which passages exist, which queries there are, what answers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from honed.catalog import Catalog, documents, judgements
from honed.dataset.clusters import query_clusters
from honed.dataset.splits import torn, torn_note
from honed.errors import UsageError
from honed.types import SPLITS, Query, Ranking, Split

LabelOrigin = Literal["labels", "proxy"]

LABELS: Sequence[judgements.Origin] = ("import", "labels")
"""Origins of questions that somebody judged."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """The queries of one split with what is relevant to them.

    Attributes:
        relevant: For each query, document index -> grade.
        clusters: [n] label of each query's cluster; no two splits of a task use the same label.
    """

    queries: tuple[Query, ...]
    relevant: tuple[dict[int, int], ...]
    clusters: NDArray[np.int64]

    @property
    def texts(self) -> list[str]:
        """The only thing of a query that a model may see."""
        return [query.text for query in self.queries]

    @property
    def cluster_count(self) -> int:
        """Number of independent groups that the queries form."""
        return len(np.unique(self.clusters))


@dataclass(frozen=True, slots=True)
class Task:
    """Everything that tuning learns from and is measured by.

    Attributes:
        rowids: [p] row ids of all live passages, ascending.
        documents: External id of each document.
        passage_document: [p] index into `documents`.
        document_clusters: [documents] label of each document's cluster.
        splits: The labelled queries. Those of train whose cluster dev or test asks about too are left out.
        origin: `proxy` when titles stand in for labels.
        notes: What a reader of the verdict should know about the data.
    """

    rowids: NDArray[np.int64]
    documents: tuple[str, ...]
    passage_document: NDArray[np.int64]
    document_clusters: NDArray[np.int64]
    splits: dict[Split, Labelled]
    origin: LabelOrigin
    notes: tuple[str, ...] = ()

    def positions(self, rowids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of each row id in `rowids`."""
        return np.searchsorted(self.rowids, rowids)

    def by_document(self, ranking: Ranking, depth: int = 100) -> NDArray[np.int64]:
        """Document indices of a passage ranking: a document ranks by its best passage."""
        documents = self.passage_document[self.positions(ranking[0])]
        _, first = np.unique(documents, return_index=True)
        return documents[np.sort(first)][:depth]


def has_labels(catalog: Catalog) -> bool:
    """Whether somebody judged documents that are there, in whatever split: then titles do not stand in."""
    return any(judgements.queries(catalog, split, origins=LABELS) for split in SPLITS)


def check_enough(task: Task, least: int) -> None:
    """See that dev and test have questions to measure with.

    Raises:
        UsageError: One has fewer than `least`; the message counts what is there.
    """
    sizes = {split: len(labelled.queries) for split, labelled in task.splits.items()}
    for split in ("dev", "test"):
        if sizes[split] >= least:
            continue
        if task.origin == "proxy":
            raise UsageError(
                f"There are {sizes[split]} questions in {split}; {least} are needed.",
                hint="honed label FILE.csv (columns question,source), or import a folder with qrels",
            )
        clusters = sum(labelled.cluster_count for labelled in task.splits.values())
        counts = ", ".join(f"{size:,} in {name}" for name, size in sizes.items())
        raise UsageError(
            f"The labels leave {sizes[split]} questions in {split}; {least} are needed. There are {counts}, in {clusters:,} "
            "clusters of documents, and a cluster is in one split only.",
            hint="label questions about more, and other, documents: honed label FILE.csv (columns question,source)",
        )


def load_task(catalog: Catalog) -> Task:
    """Read the task from the catalog as it is at one moment; splits and clusters must have been fixed (`dataset.prepare`)."""
    with catalog.snapshot():
        return _task(catalog)


def _task(catalog: Catalog) -> Task:
    origin: LabelOrigin = "labels" if has_labels(catalog) else "proxy"
    origins: Sequence[judgements.Origin] = LABELS if origin == "labels" else ("proxy",)
    rowids, names = documents.external_ids(catalog)
    index: dict[str, int] = {}
    passage_document = np.array([index.setdefault(name, len(index)) for name in names], np.int64)
    clusters = _document_clusters(catalog, index)
    qrels = judgements.qrels(catalog)
    queries = [query for split in SPLITS for query in judgements.queries(catalog, split, origins=origins)]
    relevant = [{index[name]: grade for name, grade in qrels[query.id].items() if name in index} for query in queries]
    given, joint = [query.split for query in queries], query_clusters([q.text for q in queries], relevant, clusters)
    kept = ~torn(given, joint)
    splits: dict[Split, Labelled] = {}
    for split in SPLITS:
        rows = [row for row, query in enumerate(queries) if kept[row] and query.split == split]
        ours, theirs = tuple(queries[row] for row in rows), tuple(relevant[row] for row in rows)
        labels = query_clusters([query.text for query in ours], theirs, clusters)
        splits[split] = Labelled(ours, theirs, labels + sum(len(labelled.queries) for labelled in splits.values()))
    return Task(rowids, tuple(index), passage_document, clusters, splits, origin, torn_note(given, joint))


def _document_clusters(catalog: Catalog, index: dict[str, int]) -> NDArray[np.int64]:
    """Recorded cluster of each document; one that has none yet is a cluster of its own."""
    labels = -np.arange(1, len(index) + 1, dtype=np.int64)
    for name, cluster in documents.clusters(catalog).items():
        if name in index:
            labels[index[name]] = cluster
    return labels
