"""Search for a long-lived process, while other processes change the catalog and the index.

Before each search two cheap looks: a `stat` of CURRENT (the index was rebuilt: open it) and the catalog's change number
(passages came or went: hide those that went, score those that came from memory). So a deleted passage is gone from the
next search, and a new one that has a vector is found by it. BM25 finds it after the next refresh only: word statistics
belong to the built index. So does the dense search when the vector came later than the passage.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from honed.errors import IntegrityError, MissingError
from honed.index.dense import DenseIndex, Hits, merged
from honed.index.generation import CURRENT, Generation, open_current, space_folder
from honed.index.lexical import PLAIN, LexicalSettings
from honed.index.rows import Catalog, RowIds, net_changes
from honed.types import Ranking, Vectors

_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class IndexView:
    """The index at one moment. All searches of one view see the same passages; take one view a request.

    `gone` are rows of the generation that changed since; `added` holds the vectors of rows that came since.
    """

    generation: Generation
    seq: int
    gone: RowIds
    added: DenseIndex

    def dense(self, queries: Vectors, k: int, *, allowed: RowIds | None = None) -> Hits:
        """As `DenseIndex.search`, over the passages that live now."""
        scores, rowids = self.generation.dense.search(queries, k + len(self.gone), allowed=allowed)
        hidden = np.isin(rowids, self.gone)
        base = np.where(hidden, np.float32(-np.inf), scores), np.where(hidden, -1, rowids)
        hits = [base] if not len(self.added) else [base, self.added.search(queries, k, allowed=allowed)]
        return merged(hits, k)

    def scores_for(self, queries: Vectors, rowids: RowIds) -> NDArray[np.float32]:
        """As `DenseIndex.scores_for`, over the passages that live now."""
        scores = self.generation.dense.scores_for(queries, rowids)
        scores[np.isin(rowids, self.gone)] = -np.inf
        return np.maximum(scores, self.added.scores_for(queries, rowids)) if len(self.added) else scores

    def lexical(
        self,
        text: str,
        k: int,
        settings: LexicalSettings = PLAIN,
        *,
        terms: Sequence[str] = (),
        allowed: RowIds | None = None,
    ) -> Ranking:
        """As `LexicalIndex.search`, without passages that went; those that came are not found before a refresh."""
        ranking = self.generation.lexical.search(text, k + len(self.gone), settings, terms=terms, allowed=allowed)
        return self._living(ranking, k)

    def word_scores(self, text: str, rowids: RowIds, settings: LexicalSettings) -> NDArray[np.float32]:
        """As `LexicalIndex.word_scores`; passages that came since the index was built score 0."""
        scores = self.generation.lexical.word_scores(text, rowids, settings)
        scores[np.isin(rowids, self.gone)] = 0.0
        return scores

    def ceiling(self, text: str, settings: LexicalSettings) -> float:
        """As `LexicalIndex.ceiling`."""
        return self.generation.lexical.ceiling(text, settings)

    def chance(self, queries: Vectors) -> NDArray[np.float32]:
        """As `DenseIndex.chance`, over the passages that were there when the index was built."""
        return self.generation.dense.chance(queries)

    def rows(self, terms: Sequence[str]) -> RowIds:
        """As `LexicalIndex.rows`, over the same passages as `lexical`."""
        return np.setdiff1d(self.generation.lexical.rows(terms), self.gone, assume_unique=True)

    def _living(self, ranking: Ranking, k: int) -> Ranking:
        rowids, scores = ranking
        if self.gone.size:
            alive = ~np.isin(rowids, self.gone)
            rowids, scores = rowids[alive], scores[alive]
        return rowids[:k], scores[:k]


class IndexReader:
    """Follows the index of one space. Safe to share between threads.

    Raises:
        MissingError: There is no usable index (at construction only; later the last good one stays in use).
    """

    def __init__(self, root: Path, space: str, catalog: Catalog) -> None:
        self._root, self._space, self._catalog = root, space, catalog
        self._pointer = space_folder(root, space) / CURRENT
        self._lock = threading.Lock()
        self._stamp = _stamp(self._pointer)
        generation = open_current(root, space)
        if generation is None:
            raise MissingError("There is no index for this embedding space.", hint="honed doctor --repair")
        self._view: IndexView | None = self._caught_up(_untouched(generation))

    def view(self) -> IndexView:
        """The index as it is now."""
        with self._lock:
            if self._view is None:
                raise MissingError("This index reader is closed.")
            stamp = _stamp(self._pointer)
            if stamp != self._stamp:
                self._stamp = stamp
                generation = open_current(self._root, self._space)
                if generation is not None:
                    self._view = _untouched(generation)
            self._view = self._caught_up(self._view)
            return self._view

    def dense(self, queries: Vectors, k: int, *, allowed: RowIds | None = None) -> Hits:
        """`IndexView.dense` of the present view."""
        return self.view().dense(queries, k, allowed=allowed)

    def lexical(
        self,
        text: str,
        k: int,
        settings: LexicalSettings = PLAIN,
        *,
        terms: Sequence[str] = (),
        allowed: RowIds | None = None,
    ) -> Ranking:
        """`IndexView.lexical` of the present view."""
        return self.view().lexical(text, k, settings, terms=terms, allowed=allowed)

    def close(self) -> None:
        """Let the generation go; views that are still held stay usable."""
        with self._lock:
            self._view = None

    def __enter__(self) -> IndexReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _caught_up(self, view: IndexView) -> IndexView:
        """The view with all changes of the catalog up to now."""
        seq = self._catalog.seq
        if seq == view.seq:
            return view
        if seq < view.seq:  # An older catalog was put in place: row numbers may mean other passages now.
            raise IntegrityError("The index is newer than the catalog.", hint="honed doctor --repair")
        changed, alive = net_changes(self._catalog.changes_since(view.seq))
        rowids, vectors = (
            self._catalog.vectors(self._space, alive) if alive.size else (_NONE, np.empty((0, 0), np.float32))
        )
        return replace(
            view,
            seq=seq,
            gone=np.union1d(view.gone, np.intersect1d(changed, view.generation.rowids)),
            added=view.added.updated(rowids, vectors, changed),
        )


def _untouched(generation: Generation) -> IndexView:
    dimension = generation.dense.matrix.shape[1]
    return IndexView(generation, generation.seq, _NONE, DenseIndex(_NONE, np.empty((0, dimension), np.float32)))


def _stamp(pointer: Path) -> tuple[int, int]:
    """Inode and modification time of a file: they change when it is replaced."""
    try:
        stat = pointer.stat()
    except OSError:
        return (0, 0)
    return stat.st_ino, stat.st_mtime_ns
