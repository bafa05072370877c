"""Pictures out: by another picture, by what they show, by what is written about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from honed.answer.fusion import FusionSettings, hybrid_pools
from honed.answer.retrieve import NOTHING, Filters, Retriever
from honed.catalog import images
from honed.errors import MissingError, UsageError
from honed.index.dense import DenseIndex
from honed.index.images import ImageGeneration
from honed.models.vision.head import ImageHead
from honed.models.vision.leads import led
from honed.models.vision.levers import expanded
from honed.models.vision.words import text_vectors
from honed.protocols import ImageEncoder
from honed.types import ImageRecord, Ranking, Vectors

if TYPE_CHECKING:
    from PIL import Image

NEAR_COPY_BITS = 6
"""Differing bits of the perceptual hash up to which a picture counts as a near-copy of another."""

_SPARE = 20
"""Hits that are asked for beyond k: pictures that were deleted since the index was built are left out by the fetch."""

DEEP = 1000
"""Pictures that captions, and what is seen, each bring to the fusion, here and in a test."""

Match = Literal["same", "near-copy", "similar", "described"]
"""Why a picture was found: its very pixels, nearly its pixels, what it shows, what is written about it."""


@dataclass(frozen=True, slots=True)
class ImageHit:
    """A picture as it was retrieved for one query."""

    image: ImageRecord
    score: float
    rank: int
    match: Match


@dataclass(frozen=True, slots=True)
class Eye:
    """What a release sees with: encoder, head, and the index of what they saw.

    Attributes:
        weight: Share of what is seen, against captions, when a text looks for pictures.
        neighbours: Nearest pictures that a query by picture is expanded with.
        leads: Best captions that lead a text towards the pictures that they belong to.
    """

    encoder: ImageEncoder
    head: ImageHead
    index: ImageGeneration
    weight: float = 0.0
    neighbours: int = 0
    leads: int = 0


@dataclass(frozen=True, slots=True)
class ImageRetriever:
    """The image side of one release, ready to search; without an eye pictures are found by what is written about them.

    Attributes:
        text: The same release's search over passages, captions among them.
    """

    release: str
    text: Retriever
    eye: Eye | None = None

    def by_image(
        self, picture: Image.Image, media: str, phash: int, k: int = 10, *, filters: Filters = ()
    ) -> list[ImageHit]:
        """The k pictures most like a given one: copies first, then what is similar.

        Args:
            picture: Decoded.
            media: sha256 of its rendering; an image with the same one is the same picture.
            phash: Its perceptual hash.
            filters: Metadata that the document of a hit must have; pictures without it do not expand the query either.

        Raises:
            UsageError: k is not positive.
            MissingError: There is no eye.
        """
        _positive(k)
        if self.eye is None:
            raise MissingError("Nothing sees pictures here.", hint="honed doctor")
        index, allowed = self.eye.index, self._allowed(filters)
        vectors = self.eye.head.apply(self.eye.encoder.encode_image([picture]))
        if self.eye.neighbours:
            vectors = moved(vectors, index, self.eye.neighbours, allowed=allowed)
        nearest, scores = _first(index.search(vectors, k + _SPARE, allowed=allowed))
        near, bits = index.near_copies(phash, NEAR_COPY_BITS)
        if allowed is not None:
            inside = np.isin(near, allowed)
            near, bits = near[inside], bits[inside]
        close = dict(zip(near.tolist(), bits.tolist(), strict=True))
        missing = np.array([rowid for rowid in close if rowid not in set(nearest.tolist())], np.int64)[:k]
        cosines = index.dense.scores_for(vectors, missing[None, :])[0]
        rowids = np.concatenate([nearest, missing])
        scores = np.concatenate([scores, np.where(np.isfinite(cosines), cosines, 0)])
        records = images.by_rowid(self.text.catalog, rowids)
        hits = [
            ImageHit(records[rowid], float(score), 0, _match(records[rowid], media, rowid in close))
            for rowid, score in zip(rowids.tolist(), scores.tolist(), strict=True)
            if rowid in records
        ]
        order = ("same", "near-copy", "similar")
        return _ranked(sorted(hits, key=lambda hit: (order.index(hit.match), -hit.score)), k)

    def by_text(self, text: str, k: int = 10, *, filters: Filters = ()) -> list[ImageHit]:
        """The k pictures that a text describes, by caption and, where the release was tuned for it, by what is seen.

        Args:
            text: What to look for.
            k: How many.
            filters: Metadata that the document of a hit must have.

        Raises:
            UsageError: The text is empty or k is not positive.
        """
        if not text.strip():
            raise UsageError("The search text is empty.", hint="honed search 'what you look for' --kind image")
        _positive(k)
        most = k + _SPARE
        size = max(self.text.pool, most, DEEP if self.eye and self.eye.weight else 0)
        allowed = self._allowed(filters)
        captions = self._described(text, size, allowed)
        rowids, scores = self._ranked(text, captions, size, allowed)
        rowids, scores = rowids[:most], scores[:most]
        records = images.by_rowid(self.text.catalog, rowids)
        described = set(captions[0][:most].tolist())
        hits = [
            ImageHit(records[rowid], float(score), 0, "described" if rowid in described else "similar")
            for rowid, score in zip(rowids.tolist(), scores.tolist(), strict=True)
            if rowid in records
        ]
        return _ranked(hits, k)

    def _allowed(self, filters: Filters) -> NDArray[np.int64] | None:
        return images.filtered_rowids(self.text.catalog, filters) if filters else None

    def _ranked(self, text: str, captions: Ranking, size: int, allowed: NDArray[np.int64] | None) -> Ranking:
        """Row ids of images and fused scores for a text, best first; captions alone where nothing was tuned to see."""
        eye = self.eye
        if eye is None or eye.weight == 0:
            return captions
        queries = eye.head.apply_text(text_vectors(self.text.embedder, eye.encoder, [text]))
        if eye.leads:
            best, scores = captions[0][: eye.leads], captions[1][: eye.leads]
            queries = led(queries, _vectors(eye.index.dense, best)[None], scores[None])
        hits = eye.index.search(queries, size, allowed=allowed)
        return hybrid_pools(queries, hits, [captions], eye.index.dense)[0].ranked(FusionSettings("best", eye.weight))

    def _described(self, text: str, size: int, allowed: NDArray[np.int64] | None) -> Ranking:
        """Images by the release's search over the passages that hold their captions."""
        rowids, passages = images.passages_of(self.text.catalog)
        if allowed is not None:
            inside = np.isin(rowids, allowed)
            rowids, passages = rowids[inside], passages[inside]
        if not len(rowids):
            return NOTHING
        order = np.argsort(passages, kind="stable")
        passages, rowids = passages[order], rowids[order]
        ranking = self.text.rank([text], depth=size, allowed=np.unique(passages))[0]
        return images_of(ranking, passages, rowids, size)


def moved(
    queries: Vectors, index: ImageGeneration, neighbours: int, *, allowed: NDArray[np.int64] | None = None
) -> Vectors:
    """Queries [n, m] moved towards the so many pictures nearest to them; see `levers.expanded`."""
    scores, rowids = index.search(queries, neighbours, allowed=allowed)
    near = _vectors(index.dense, rowids)
    return expanded(queries, near, np.where(rowids >= 0, scores, 0).astype(np.float32))


def _vectors(dense: DenseIndex, rowids: NDArray[np.int64]) -> Vectors:
    """Vectors [..., m] of images [...]; zeros for -1 and for images that have none yet."""
    if not len(dense):
        return np.zeros((*rowids.shape, dense.matrix.shape[1]), np.float32)
    at = np.searchsorted(dense.rowids, rowids).clip(0, len(dense) - 1)
    return np.where((dense.rowids[at] == rowids)[..., None], dense.matrix[at], 0).astype(np.float32)


def images_of(ranking: Ranking, passages: NDArray[np.int64], rowids: NDArray[np.int64], size: int) -> Ranking:
    """A ranking of passages as one of the images that they describe; `passages` is sorted, image by image."""
    described: list[int] = []
    scores: list[float] = []
    for passage, score in zip(*(part.tolist() for part in ranking), strict=True):
        start, stop = np.searchsorted(passages, [passage, passage + 1])
        described += rowids[start:stop].tolist()
        scores += [score] * int(stop - start)
        if len(described) >= size:
            break
    return np.array(described[:size], np.int64), np.array(scores[:size], np.float32)


def _first(hits: tuple[NDArray[np.float32], NDArray[np.int64]]) -> Ranking:
    scores, rowids = hits
    kept = rowids[0] >= 0
    return rowids[0][kept], scores[0][kept]


def _match(record: ImageRecord, media: str, near: bool) -> Match:
    if record.media == media:
        return "same"
    return "near-copy" if near else "similar"


def _ranked(hits: Sequence[ImageHit], k: int) -> list[ImageHit]:
    return [replace(hit, rank=rank) for rank, hit in enumerate(hits[:k], 1)]


def _positive(k: int) -> None:
    if k < 1:
        raise UsageError(f"k must be at least 1, not {k}.")
