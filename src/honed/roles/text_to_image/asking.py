"""Questions in words about the pictures of a split, put to a release under everything that search may know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from honed.answer.retrieve import Retriever
from honed.answer.settings import RetrievalSettings
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
from honed.dataset.images import ImageTask
from honed.evaluate.captions import Captions, CaptionScores, search_live, search_titles
from honed.evaluate.gallery import Gallery, load_gallery
from honed.evaluate.image_board import TextBoard
from honed.index.images import Descriptors
from honed.index.lexical import Language, LexicalSettings
from honed.index.reader import IndexView
from honed.models.vision.words import text_vectors
from honed.protocols import ImageEncoder
from honed.release.manifest import Manifest
from honed.release.open import image_encoder_of, open_release
from honed.session import Session
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


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Questions that were put to search, ready to be measured.

    Attributes:
        board: With captions as the release searches them.
        texts: [q, t] vectors of the questions, as the text matrix takes them.
        descriptors: [n, d] of all pictures.
        search: Searches captions, given what counts on the keyword side.
    """

    board: TextBoard
    texts: Vectors
    descriptors: Descriptors
    search: Callable[[LexicalSettings], CaptionScores]
    _searched: dict[LexicalSettings, CaptionScores] = field(default_factory=dict)

    def under(self, retrieval: RetrievalSettings) -> TextBoard:
        """The board with captions as other settings search them; those that count words alike share their pools."""
        if retrieval.lexical not in self._searched:
            self._searched[retrieval.lexical] = self.search(retrieval.lexical)
        return replace(self.board, captions=self._searched[retrieval.lexical].under(retrieval.fusion))


@dataclass(frozen=True, eq=False)
class Asking:
    """What answers questions in words: a release's search over captions, and what sees the pictures.

    Attributes:
        retriever: The release's text search.
        view: Its index at one moment: what comes or goes later changes nothing here.
        encoder: The release's image encoder, which may read too.
        gallery: All pictures.
        captions: Which passages describe them.
        language: Analysis of the keyword side.
        seed: Of every draw.
        metric: The one that decides.
    """

    retriever: Retriever
    view: IndexView
    encoder: ImageEncoder
    gallery: Gallery
    captions: Captions
    language: Language
    seed: int
    metric: str

    def questions(self, split: Split, queries: TextQueries) -> Questions:
        """Read questions."""
        embedder = self.retriever.embedder
        as_text = text_vectors(embedder, self.encoder, queries.texts)
        return Questions(split, queries, embedder.encode_query(queries.texts), as_text)

    def titles(self, split: Split) -> Questions:
        """Questions that are a title which search knows as it ships."""
        pictures, places = self.gallery.task.everything, self.gallery.task.places(split)
        return self.questions(split, title_queries(pictures, places, self.hidden(split, SHIPPED), seed=self.seed))

    def under(self, questions: Questions, knowledge: str = SHIPPED) -> Asked:
        """Put questions to search while it knows so much."""
        queries = questions.queries
        hidden = self.hidden(questions.split, knowledge)
        titles_only = knowledge in (TITLES, HALF)
        board = TextBoard(
            queries.texts,
            queries.relevant,
            queries.clusters,
            np.zeros(queries.relevant.shape, np.float32),
            ~hidden & (self._titled if titles_only else self.captions.described),
            queries.left_out,
            self.metric,
        )
        search = self._titles_search(questions, hidden) if titles_only else self._live_search(questions, hidden)
        asked = Asked(board, questions.as_text, self.gallery.descriptors, search)
        return replace(asked, board=asked.under(self.retriever.retrieval))

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

    def _live_search(
        self, questions: Questions, hidden: NDArray[np.bool_]
    ) -> Callable[[LexicalSettings], CaptionScores]:
        captions, texts = self.captions.without(hidden), questions.queries.texts

        def search(lexical: LexicalSettings) -> CaptionScores:
            retriever = self.retriever.under(replace(self.retriever.retrieval, lexical=lexical))
            return search_live(retriever, self.view, captions, texts, questions.by_query)

        return search

    def _titles_search(
        self, questions: Questions, hidden: NDArray[np.bool_]
    ) -> Callable[[LexicalSettings], CaptionScores]:
        titles = self.gallery.task.everything.titles
        searched = ["" if bare else title for title, bare in zip(titles, hidden, strict=True)]
        texts, queries = questions.queries.texts, questions.by_query

        def search(lexical: LexicalSettings) -> CaptionScores:
            return search_titles(searched, self._title_vectors, texts, queries, lexical, language=self.language)

        return search

    @property
    def _titled(self) -> NDArray[np.bool_]:
        return np.array([bool(title.strip()) for title in self.gallery.task.everything.titles], bool)

    @cached_property
    def _title_vectors(self) -> Vectors:
        """[n, d] of the titles, each read once; zeros where there is none."""
        titles, embedder = self.gallery.task.everything.titles, self.retriever.embedder
        distinct = [title for title in dict.fromkeys(titles) if title.strip()]
        vectors = np.vstack([np.zeros((1, embedder.dimension), np.float32), embedder.encode_document(distinct)])
        number = {title: row for row, title in enumerate(distinct, 1)}
        return vectors[[number.get(title, 0) for title in titles]]


def open_asking(session: Session, manifest: Manifest, task: ImageTask, metric: str) -> Asking:
    """A release, ready to be asked about the pictures of a task, all of which are described."""
    encoder = image_encoder_of(session.workspace, manifest, session.settings)
    retriever = open_release(session.workspace, session.catalog, session.settings, manifest.release)
    return Asking(
        retriever,
        retriever.reader.view(),
        encoder,
        load_gallery(session.catalog, encoder, task),
        captions_of(retriever, task.everything.rowids),
        session.index_settings.language,
        session.settings.seed,
        metric,
    )


def captions_of(retriever: Retriever, rowids: NDArray[np.int64]) -> Captions:
    """The passages that describe pictures, whose row ids [n] rise, as live search looks them up."""
    pictures, passages = images.passages_of(retriever.catalog)
    inside = np.isin(pictures, rowids)
    pictures, passages = pictures[inside], passages[inside]
    order = np.argsort(passages, kind="stable")
    return Captions(passages[order], np.searchsorted(rowids, pictures[order]), len(rowids))
