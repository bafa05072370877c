"""The truth: documents, passages, vectors, judgements, runs, releases. SQLite; everything else can be rebuilt from it."""

from honed.catalog.database import Catalog, Change, StorageError

__all__ = ["Catalog", "Change", "StorageError"]
