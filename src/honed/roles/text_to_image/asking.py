"""Questions in words about the pictures of a split, put to what is live under everything that search may know."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from honed.answer.retrieve import Retriever
from honed.catalog import images
from honed.dataset.image_questions import (
    HALF,
    SHIPPED,
    TITLES,
    UNDESCRIBED,
    TextQueries,
    half_hidden,
    title_queries,
    wordless,
)
from honed.evaluate.captions import Captions, CaptionScores, search_live, search_titles
from honed.evaluate.image_board import TextBoard
from honed.index.lexical import Language
from honed.models.vision.words import text_vectors
from honed.protocols import ImageEncoder
from honed.tuning.nouns import Asked, Gallery
from honed.types import Split, Vectors

LESS = (TITLES, HALF, UNDESCRIBED)
"""What search knows where it knows less than it ships with."""


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """Questions about a split, and their vectors by both towers: a text is read once for all that search may know."""

    split: Split
    queries: TextQueries
    by_query: Vectors
    as_text: Vectors


@dataclass(frozen=True, eq=False)
class Asking:
    """What answers questions in words: the live search over captions, and what sees the pictures.

    Attributes:
        retriever: The live release's text search.
        encoder: The live release's image encoder, which may read too.
        gallery: All pictures.
        captions: Which passages describe them.
        language: Analysis of the keyword side.
        seed: Of every draw.
    """

    retriever: Retriever
    encoder: ImageEncoder
    gallery: Gallery
    captions: Captions
    language: Language
    seed: int

    def questions(self, split: Split, queries: TextQueries) -> Questions:
        """Read questions."""
        embedder = self.retriever.embedder
        as_text = text_vectors(embedder, self.encoder, queries.texts)
        return Questions(split, queries, embedder.encode_query(queries.texts), as_text)

    def titles(self, split: Split) -> Questions:
        """Questions that are a title which search knows as it ships."""
        pictures, places = self.gallery.task.everything, self.gallery.task.places(split)
        return self.questions(split, title_queries(pictures, places, self.hidden(split, SHIPPED), seed=self.seed))

    def under(self, asked: Questions, knowledge: str = SHIPPED) -> Asked:
        """Put questions to search while it knows so much."""
        queries, weight = asked.queries, self.retriever.weight
        hidden = self.hidden(asked.split, knowledge)
        scores = self._scores(asked, hidden, titles_only=knowledge in (TITLES, HALF))
        board = TextBoard(
            queries.texts,
            queries.relevant,
            queries.clusters,
            scores.under(weight),
            scores.captions.described,
            queries.left_out,
        )
        return Asked(board, scores, asked.as_text, self.gallery.descriptors)

    def hidden(self, split: Split, knowledge: str) -> NDArray[np.bool_]:
        """[n] pictures whose captions search does not know."""
        task = self.gallery.task
        pictures, places = task.everything, task.places(split)
        if knowledge == SHIPPED:
            return wordless(pictures, places, self.captions.described, seed=self.seed)
        if knowledge == HALF:
            return half_hidden(pictures, seed=self.seed)
        hidden = np.zeros(len(pictures), bool)
        hidden[places] = knowledge == UNDESCRIBED
        return hidden

    def _scores(self, asked: Questions, hidden: NDArray[np.bool_], *, titles_only: bool) -> CaptionScores:
        texts = asked.queries.texts
        if not titles_only:
            return search_live(self.retriever, self.captions.without(hidden), texts, asked.by_query)
        titles = self.gallery.task.everything.titles
        known = ["" if bare else title for title, bare in zip(titles, hidden, strict=True)]
        return search_titles(known, self._title_vectors, texts, asked.by_query, language=self.language)

    @cached_property
    def _title_vectors(self) -> Vectors:
        """[n, d] of the titles, each read once; zeros where there is none."""
        titles, embedder = self.gallery.task.everything.titles, self.retriever.embedder
        distinct = [title for title in dict.fromkeys(titles) if title.strip()]
        vectors = np.vstack([np.zeros((1, embedder.dimension), np.float32), embedder.encode_document(distinct)])
        number = {title: row for row, title in enumerate(distinct, 1)}
        return vectors[[number.get(title, 0) for title in titles]]


def captions_of(retriever: Retriever, rowids: NDArray[np.int64]) -> Captions:
    """The passages that describe pictures, whose row ids [n] rise, as live search looks them up."""
    pictures, passages = images.passages_of(retriever.catalog)
    order = np.argsort(passages, kind="stable")
    return Captions(passages[order], np.searchsorted(rowids, pictures[order]), len(rowids))
