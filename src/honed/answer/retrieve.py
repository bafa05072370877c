"""Question in, ranked passages out: both sides of the index, fused by the release's weight, fetched from the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from honed.answer.fusion import Words, hybrid_pools, pooled
from honed.answer.settings import RetrievalSettings
from honed.catalog import Catalog, documents
from honed.errors import UsageError
from honed.index.reader import IndexReader
from honed.protocols import Embedder
from honed.types import Context, Ranking

NOTHING: Ranking = (np.empty(0, np.int64), np.empty(0, np.float32))

Filters = Sequence[tuple[str, str]]
"""Pairs of metadata key and value; a passage must have all of them."""


@dataclass(frozen=True, slots=True)
class Retriever:
    """One release, ready to search. `pool` is how many candidates each side gives at least."""

    release: str
    catalog: Catalog
    embedder: Embedder
    reader: IndexReader
    retrieval: RetrievalSettings
    pool: int

    def under(self, retrieval: RetrievalSettings) -> Retriever:
        """The same models and index under other settings."""
        return replace(self, retrieval=retrieval)

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

    def rank(
        self,
        texts: Sequence[str],
        *,
        depth: int = 100,
        filters: Filters = (),
        allowed: NDArray[np.int64] | None = None,
    ) -> list[Ranking]:
        """Row ids and fused scores for many questions, best first, at least `depth` of each where there are as many.

        Args:
            texts: The questions.
            depth: How many passages of each.
            filters: Metadata that a passage must have.
            allowed: Row ids that alone may be found, instead of `filters`.
        """
        view = self.reader.view()
        if filters:
            allowed = documents.filtered_rowids(self.catalog, filters)
        how = self.retrieval
        size = max(self.pool, how.fusion.depth, depth + 20)
        lexical = [
            view.lexical(text, size, how.lexical, allowed=allowed) if how.words_count else NOTHING for text in texts
        ]
        if how.vectors_count:
            queries = self.embedder.encode_query(texts)
            words = (
                Words(texts, view, how.lexical) if how.words_count and how.fusion.normalisation == "absolute" else None
            )
            pools = hybrid_pools(queries, view.dense(queries, size, allowed=allowed), lexical, view, words)
        else:
            pools = [pooled(NOTHING, words, (words[0], np.zeros_like(words[1]))) for words in lexical]
        return [pool.ranked(how.fusion) for pool in pools]
