"""Image records for the catalog's tests, in one line each."""

from __future__ import annotations

import hashlib
from typing import Any

from honed.catalog import Catalog, images
from honed.types import ImageRecord


def media(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def record(document: str, name: str, *, ordinal: int = 0, **fields: Any) -> ImageRecord:
    values = {"kind": "figure", "width": 10, "height": 20, "caption": name, "phash": 1} | fields
    return ImageRecord(images.image_id(document, ordinal, media(name)), document, ordinal, media(name), **values)


def show(catalog: Catalog, document: str, *names: str, **fields: Any) -> None:
    """Give a document an image for each name."""
    records = [record(document, name, ordinal=at, **fields) for at, name in enumerate(names)]
    with catalog.transaction():
        images.add(catalog, document, records)
