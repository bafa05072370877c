"""Captions alone: the titles of some pictures as a search of their own, scored as live search scores passages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from honed.answer.fusion import Bounds, FusionSettings, Pool, Words, hybrid_pools
from honed.index.dense import DenseIndex
from honed.index.lexical import PLAIN, Language, LexicalIndex, LexicalSettings
from honed.index.rows import IndexRow
from honed.protocols import Embedder


@dataclass(frozen=True, slots=True, eq=False)
class CaptionScores:
    """Both sides' scores of every title for every question.

    Attributes:
        pools: One for each question, over the pictures that have a title; row ids are places of pictures.
        titled: [n] which pictures have one.
    """

    pools: Sequence[Pool]
    titled: NDArray[np.bool_]

    def under(self, fusion: FusionSettings) -> NDArray[np.float32]:
        """Scores [q, n] with both sides fused; 0 for pictures without a title."""
        found = np.zeros((len(self.pools), len(self.titled)), np.float32)
        for row, pool in zip(found, self.pools, strict=True):
            row[pool.rowids] = pool.scores(fusion)
        return found


def search_captions(
    embedder: Embedder,
    titles: Sequence[str],
    questions: Sequence[str],
    lexical: LexicalSettings = PLAIN,
    *,
    language: Language,
) -> CaptionScores:
    """Search all titles for every question.

    Args:
        embedder: Of the release, query side included.
        titles: [n]; empty ones are not searched.
        questions: [q].
        lexical: What counts on the keyword side.
        language: Analysis of the keyword side.
    """
    titled = np.array([bool(title.strip()) for title in titles], bool)
    rows = np.flatnonzero(titled)
    if not len(rows) or not questions:
        none = np.empty(0, np.float32)
        nothing = Pool(rows, none, none, Bounds(none, 0.0, 0.0))
        return CaptionScores([nothing] * len(questions), titled)
    known = [titles[row] for row in rows.tolist()]
    index = LexicalIndex.build(_rows(rows.tolist(), known), language=language)
    dense = DenseIndex.build(rows, embedder.encode_document(known))
    queries = embedder.encode_query(questions)
    hits = dense.search(queries, len(rows))
    found, words = index.search_many(questions, len(rows), lexical), Words(questions, index, lexical)
    return CaptionScores(hybrid_pools(queries, hits, found, dense, words), titled)


def _rows(places: Sequence[int], titles: Sequence[str]) -> Iterator[IndexRow]:
    for place, title in zip(places, titles, strict=True):
        yield IndexRow(place, "", title, ())
