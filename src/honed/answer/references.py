"""Which pictures a picture is drawn from: those whose captions the live search finds for its words.

Captions alone, also where a release was tuned to see what words mean: there the best captions lead the search by what their
pictures look like, and a held-out picture, which has a caption too, would lead to what looks like itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from honed.answer.pictures import ImageHit, ImageRetriever
from honed.catalog import images

_SPARE = 4
"""Hits beyond k that are asked for: the picture itself, and the same picture in other documents, are left out."""

Rowids = NDArray[np.int64]


def live_references(retriever: ImageRetriever, text: str, k: int, *, without: str = "") -> list[ImageHit]:
    """The k pictures whose captions fit some words best, best first; `without` is the media of one that must not be."""
    hits = replace(retriever, eye=None).by_text(text, k + _SPARE) if text.strip() else []
    return [hit for hit in hits if hit.image.media != without][:k]


def held_out_references(retriever: ImageRetriever, texts: Sequence[str], medias: Sequence[str], k: int) -> Rowids:
    """What live search gives for pictures that are asked for by their words and not shown, [n, k] row ids; -1 for none.

    Args:
        retriever: The live release's.
        texts: What each picture is asked for by.
        medias: Its own media: neither it nor a copy of its pixels is given.
        k: How many.
    """
    catalog = retriever.text.catalog
    rowids, _ = images.medias(catalog)
    place = {record.id: rowid for rowid, record in images.by_rowid(catalog, rowids).items()}
    references = np.full((len(texts), k), -1, np.int64)
    for at, (text, media) in enumerate(zip(texts, medias, strict=True)):
        rows = [place[hit.image.id] for hit in live_references(retriever, text, k, without=media)]
        references[at, : len(rows)] = rows
    return references


def train_references(
    retriever: ImageRetriever, texts: Sequence[str], medias: Sequence[str], rowids: Rowids, k: int
) -> Rowids:
    """The same inside train, by captions: [n, k] row ids, -1 for none. Nothing held out is among them.

    Args:
        retriever: The live release's.
        texts: What each train picture is asked for by, [n].
        medias: Their media.
        rowids: Their row ids: nothing else is given.
        k: How many.
    """
    catalog = retriever.text.catalog
    pictures, passages = images.passages_of(catalog)
    inside = np.isin(pictures, rowids)
    pictures, passages = pictures[inside], passages[inside]
    media_of = dict(zip(rowids.tolist(), medias, strict=True))
    of_passage: dict[int, list[int]] = {}
    for picture, passage in zip(pictures.tolist(), passages.tolist(), strict=True):
        of_passage.setdefault(passage, []).append(picture)
    distinct = [text for text in dict.fromkeys(texts) if text.strip()]
    ranked = retriever.text.rank(distinct, depth=4 * (k + _SPARE), allowed=np.unique(passages)) if distinct else []
    rankings = dict(zip(distinct, (rowids.tolist() for rowids, _ in ranked), strict=True))
    references = np.full((len(texts), k), -1, np.int64)
    for at, (text, media) in enumerate(zip(texts, medias, strict=True)):
        hits = [picture for passage in rankings.get(text, ()) for picture in of_passage[passage]]
        rows = [picture for picture in hits if media_of[picture] != media][:k]
        references[at, : len(rows)] = rows
    return references
