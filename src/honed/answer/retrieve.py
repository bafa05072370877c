"""Question in, ranked passages out: both sides of the index, fused by the release's weight, fetched from the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from honed.answer.fusion import Pool, pooled
from honed.catalog import Catalog, documents
from honed.errors import UsageError
from honed.index.reader import IndexReader, IndexView
from honed.protocols import Embedder
from honed.types import Context, Ranking, Vectors

Filters = Sequence[tuple[str, str]]
"""Pairs of metadata key and value; a passage must have all of them."""


@dataclass(frozen=True, slots=True)
class Retriever:
    """One release, ready to search. `weight` 0 is keywords alone, 1 is vectors alone."""

    release: str
    catalog: Catalog
    embedder: Embedder
    reader: IndexReader
    weight: float
    pool: int

    def weighted(self, weight: float) -> Retriever:
        """The same parts under another fusion weight."""
        return replace(self, weight=weight)

    def search(self, text: str, k: int = 10, *, filters: Filters = ()) -> list[Context]:
        """The k best passages for a question, best first; fewer if fewer match.

        Raises:
            UsageError: The text is empty or k is not positive.
        """
        if not text.strip():
            raise UsageError("The search text is empty.", hint="honed search 'what you look for'")
        if k < 1:
            raise UsageError(f"k must be at least 1, not {k}.")
        rowids, scores = self.rank([text], depth=k, filters=filters)[0]
        # A passage that was deleted since is left out by the fetch: ask for a few more than needed.
        return documents.contexts(self.catalog, rowids[: k + 20].tolist(), scores[: k + 20].tolist())[:k]

    def rank(self, texts: Sequence[str], *, depth: int = 100, filters: Filters = ()) -> list[Ranking]:
        """Row ids and fused scores for many questions, best first, at least `depth` of each where there are as many."""
        view = self.reader.view()
        allowed = documents.filtered_rowids(self.catalog, filters) if filters else None
        size = max(self.pool, depth + 20)
        queries = self.embedder.encode_query(texts) if self.weight > 0 else None
        return [pool.ranked(self.weight) for pool in self._pools(view, texts, queries, size, allowed)]

    def _pools(
        self,
        view: IndexView,
        texts: Sequence[str],
        queries: Vectors | None,
        size: int,
        allowed: NDArray[np.int64] | None,
    ) -> list[Pool]:
        nothing = np.empty(0, np.int64), np.empty(0, np.float32)
        if queries is not None:
            scores, rowids = view.dense(queries, size, allowed=allowed)
        result = []
        for position, text in enumerate(texts):
            lexical = view.lexical(text, size, allowed=allowed) if self.weight < 1 else nothing
            if queries is None:
                result.append(pooled(nothing, lexical, (lexical[0], np.zeros(len(lexical[0]), np.float32))))
                continue
            found = rowids[position] >= 0
            near = rowids[position][found]
            rest = np.setdiff1d(lexical[0], near)
            cosine = view.scores_for(queries[position : position + 1], rest[None, :])[0]
            result.append(pooled((near, scores[position][found]), lexical, (rest, cosine)))
        return result
