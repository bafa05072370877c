"""Clusters: what must not be torn apart by a split, and what a test may not count twice.

Documents are joined when they are near-duplicates or carry the same title (the sections of one manual, the clauses of one
contract). Queries are joined when their relevant documents are, and when they are the same words. The standard
error over clusters can be several times the one over queries: a test that ignores clusters finds gains that are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from honed.catalog.schema import question_key

COMMON_TITLE = 0.05
"""A title on more than this share of the documents ("FAQ", "Untitled") says nothing about them."""

MOST_TITLED = 500
"""Nor does one on more documents than a thick book has pages: no work has so many parts of one name. "Introduction" on 4 % of
100,000 documents would be one cluster of 4,000, held out of training whole as soon as dev asks about one of them."""


class UnionFind:
    """Union-find over 0..n-1; the label of a group is its smallest member."""

    def __init__(self, size: int) -> None:
        self._parent = np.arange(size)

    def find(self, item: int) -> int:
        """Label of an item's group."""
        parent = self._parent
        root = item
        while parent[root] != root:
            root = int(parent[root])
        while parent[item] != root:
            parent[item], item = root, int(parent[item])
        return root

    def join(self, left: int, right: int) -> None:
        """Make two groups one."""
        left, right = sorted((self.find(left), self.find(right)))
        self._parent[right] = left

    def labels(self) -> NDArray[np.int64]:
        """Label of every item."""
        return np.array([self.find(item) for item in range(len(self._parent))], np.int64)


def document_clusters(
    texts: Sequence[str], titles: Sequence[str], near_duplicates: Callable[[Sequence[str]], Sequence[int]]
) -> NDArray[np.int64]:
    """Cluster label of each document, [len(texts)]: near-duplicates and equal titles joined.

    Args:
        near_duplicates: Gives each text the label of its near-duplicate group.
    """
    groups = UnionFind(len(texts))
    for item, label in enumerate(near_duplicates(texts)):
        groups.join(item, label)
    by_title: dict[str, list[int]] = {}
    for item, title in enumerate(titles):
        if title.strip():
            by_title.setdefault(" ".join(title.casefold().split()), []).append(item)
    for members in by_title.values():
        if len(members) <= min(MOST_TITLED, max(2, COMMON_TITLE * len(texts))):
            for member in members[1:]:
                groups.join(members[0], member)
    return groups.labels()


def query_clusters(
    texts: Sequence[str], relevant: Sequence[Mapping[int, int]], document_labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Cluster label of each query, [len(texts)]: joined when they share a cluster of relevant documents, or their words."""
    groups = UnionFind(len(texts))
    first: dict[int | str, int] = {}
    for query, (text, documents) in enumerate(zip(texts, relevant, strict=True)):
        groups.join(query, first.setdefault(question_key(text), query))
        for document in documents:
            groups.join(query, first.setdefault(int(document_labels[document]), query))
    return groups.labels()
