"""Which pictures of a document are kept, and which passage each belongs to: the one with its caption or the text beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from honed.catalog.images import image_id
from honed.ingest.clean import normalised
from honed.ingest.renderings import Rendered
from honed.types import Document, ImageRecord, Passage, Picture

_FURNITURE = 3
"""On so many pages a document shows no figure, but its logo or its background."""

_KEY = 80
_LEAST_SHARED = 3
_MOST_CAPTION = 300
_OF_TEXT = 120


def distinct(pictures: Sequence[Picture]) -> list[Picture]:
    """The pictures of a document, each once, without those that come on page after page."""
    first: dict[bytes, Picture] = {}
    pages: dict[bytes, set[int | None]] = {}
    for picture in pictures:
        key = hashlib.blake2b(picture.pixels, digest_size=16).digest()
        first.setdefault(key, picture)
        pages.setdefault(key, set()).add(picture.page)
    return [picture for key, picture in first.items() if len(pages[key]) < _FURNITURE]


def records(document: Document, passages: Sequence[Passage], kept: Sequence[Rendered]) -> list[ImageRecord]:
    """Rows for the catalog, in the order in which the pictures stand in the document."""
    texts = [_folded(passage.text) for passage in passages]
    rows = []
    for ordinal, rendered in enumerate(kept):
        picture = rendered.picture
        passage = _passage(picture, passages, texts)
        rows.append(
            ImageRecord(
                id=image_id(document.id, ordinal, rendered.media),
                document=document.id,
                ordinal=ordinal,
                media=rendered.media,
                kind=picture.kind,
                width=picture.width,
                height=picture.height,
                caption=_caption(picture, passage, document),
                phash=rendered.phash,
                page=picture.page,
                passage=passage.id if passage else None,
            )
        )
    return rows


def _caption(picture: Picture, passage: Passage | None, document: Document) -> str:
    """What the document says; else how the passage begins, or of a table what stands above it; else the title."""
    caption = " ".join(normalised(picture.caption).split())[:_MOST_CAPTION]
    if caption or passage is None:
        return caption or document.title
    begins = passage.context if passage.text.startswith("|") else " ".join(passage.text.split())[:_OF_TEXT]
    return begins or document.title


def _passage(picture: Picture, passages: Sequence[Passage], texts: Sequence[str]) -> Passage | None:
    """The passage with the text beside a picture, on its page before elsewhere; else the first of its page, or of all."""
    places = _near(picture.page, passages)
    beside = _folded(normalised(picture.near))
    if picture.kind != "file" and beside:
        exact = next((place for place in places if beside[:_KEY] in texts[place]), None)
        if exact is not None:
            return passages[exact]
        words = set(beside.split())
        shared = {place: len(words & set(texts[place].split())) for place in places}
        best = max(places, key=lambda place: shared[place], default=-1)
        if best >= 0 and shared[best] >= _LEAST_SHARED:
            return passages[best]
    return passages[places[0]] if places else None


def _near(page: int | None, passages: Sequence[Passage]) -> list[int]:
    """Places of passages: those on a page, then the one that began before it and may reach into it, then all others."""
    everything = list(range(len(passages)))
    if page is None:
        return everything
    on = [place for place in everything if passages[place].page == page]
    before = [place for place in everything if (passages[place].page or page) < page]
    return list(dict.fromkeys([*on, *before[-1:], *everything]))


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
