"""Documents and passages for the catalog's tests, in one line each."""

from __future__ import annotations

from typing import Any

from honed.catalog import Catalog, documents
from honed.types import Document, Passage, Source


def put(catalog: Catalog, name: str, *texts: str, meta: dict[str, Any] | None = None, **fields: str) -> str:
    """Add a document with a passage for each text and a source of the same name; returns its id."""
    key = f"id-of-{name}"
    document = Document(key, name, fields.get("title", ""), meta=meta or {}, **_rest(fields))
    passages = [Passage(f"{key}:{at}", key, at, document.title, text) for at, text in enumerate(texts or (name,))]
    with catalog.transaction():
        documents.add(catalog, document, passages)
        documents.set_source(catalog, Source(name, f"sha-of-{name}", 1, 1), key)
    return key


def _rest(fields: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in fields.items() if key != "title"}


def drop(catalog: Catalog, *names: str) -> int:
    """Forget sources, and the documents that have no other; returns how many documents went."""
    with catalog.transaction():
        documents.remove_sources(catalog, names)
        return documents.drop_orphans(catalog)
