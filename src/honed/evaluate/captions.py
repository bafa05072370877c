"""Captions alone, scored for every picture as live search scores them: by the live index, or titles by an index of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from honed.answer.fusion import Bounds, FusionSettings, Pool, Words, hybrid_pools
from honed.answer.pictures import DEEP, images_of
from honed.answer.retrieve import Retriever
from honed.index.dense import DenseIndex
from honed.index.lexical import PLAIN, Language, LexicalIndex, LexicalSettings
from honed.index.reader import IndexView
from honed.index.rows import IndexRow
from honed.types import Vectors

_SPARE = 20  # hits beyond the depth, as live search asks for


@dataclass(frozen=True, slots=True, eq=False)
class Captions:
    """Which passage holds the caption of which picture.

    Attributes:
        passages: [m] row ids, rising.
        places: [m] the picture of each.
        count: Pictures.
    """

    passages: NDArray[np.int64]
    places: NDArray[np.int64]
    count: int

    @property
    def described(self) -> NDArray[np.bool_]:
        """[count] whether a picture has one."""
        described = np.zeros(self.count, bool)
        described[self.places] = True
        return described

    def without(self, hidden: NDArray[np.bool_]) -> Captions:
        """Those of the pictures that are not hidden [count]."""
        kept = ~hidden[self.places]
        return Captions(self.passages[kept], self.places[kept], self.count)


@dataclass(frozen=True, slots=True, eq=False)
class CaptionScores:
    """Both sides' scores of the captions for every question.

    Attributes:
        pools: One for each question, over passages.
        captions: Whose they are.
        depth: Pictures that captions bring, at most.
    """

    pools: Sequence[Pool]
    captions: Captions
    depth: int

    def under(self, fusion: FusionSettings) -> NDArray[np.float32]:
        """Scores [q, n] with both sides fused; 0 for pictures that no caption brings."""
        scores = np.zeros((len(self.pools), self.captions.count), np.float32)
        for row, pool in zip(scores, self.pools, strict=True):
            places, values = images_of(pool.ranked(fusion), self.captions.passages, self.captions.places, self.depth)
            row[places] = values
        return scores


def search_live(
    retriever: Retriever, view: IndexView, captions: Captions, questions: Sequence[str], queries: Vectors
) -> CaptionScores:
    """Search captions through the live index, as `ImageRetriever.by_text` does.

    Args:
        retriever: Of the release, under the settings whose way to count words is wanted.
        view: Its index at one moment.
        captions: That may be found.
        questions: [q].
        queries: [q, d] their vectors by the query tower.
    """
    depth, allowed = max(retriever.pool, DEEP), np.unique(captions.passages)
    if not len(allowed) or not questions:
        return _nothing(captions, len(questions))
    size, lexical = depth + _SPARE, retriever.retrieval.lexical
    rankings = [view.lexical(question, size, lexical, allowed=allowed) for question in questions]
    hits, words = view.dense(queries, size, allowed=allowed), Words(questions, view, lexical)
    return CaptionScores(hybrid_pools(queries, hits, rankings, view, words), captions, depth)


def search_titles(
    titles: Sequence[str],
    vectors: Vectors,
    questions: Sequence[str],
    queries: Vectors,
    lexical: LexicalSettings = PLAIN,
    *,
    language: Language,
) -> CaptionScores:
    """Search titles as if nothing else were known of the pictures.

    Args:
        titles: [n]; empty ones are not searched.
        vectors: [n, d] of them by the document tower.
        questions: [q].
        queries: [q, d] their vectors by the query tower.
        lexical: What counts on the keyword side.
        language: Analysis of the keyword side.
    """
    rows = np.flatnonzero([bool(title.strip()) for title in titles])
    captions = Captions(rows, rows, len(titles))
    if not len(rows) or not questions:
        return _nothing(captions, len(questions))
    index = LexicalIndex.build(_rows(rows.tolist(), titles), language=language)
    dense = DenseIndex.build(rows, vectors[rows])
    hits, words = dense.search(queries, len(rows)), Words(questions, index, lexical)
    rankings = index.search_many(questions, len(rows), lexical)
    pools = hybrid_pools(queries, hits, rankings, dense, words)
    return CaptionScores(pools, captions, max(len(rows), DEEP))


def _nothing(captions: Captions, questions: int) -> CaptionScores:
    none = np.empty(0, np.float32)
    empty = Pool(np.empty(0, np.int64), none, none, Bounds(none, 0.0, 0.0))
    return CaptionScores([empty] * questions, captions, DEEP)


def _rows(places: Sequence[int], titles: Sequence[str]) -> Iterator[IndexRow]:
    for place in places:
        yield IndexRow(place, "", titles[place], ())
