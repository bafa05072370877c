"""Give every live passage a vector, in batches that are kept as they come: a kill loses one batch, a rename none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from honed.catalog import Catalog
from honed.protocols import Embedder

BATCH = 512
"""Texts between two durable writes: a write costs far less than encoding them."""

Progress = Callable[[int, int], None]
"""Called with (done, total) after each batch."""


def embed_missing(catalog: Catalog, embedder: Embedder, *, on_progress: Progress | None = None) -> int:
    """Embed the passages that have no vector in the embedder's space yet; returns how many texts were encoded."""
    return embed_texts(catalog, embedder, catalog.missing_vectors(embedder.space), on_progress=on_progress)


def embed_texts(
    catalog: Catalog, embedder: Embedder, texts: Sequence[tuple[bytes, str]], *, on_progress: Progress | None = None
) -> int:
    """Embed texts, given as (hash, text), and keep their vectors; returns how many there were."""
    # Like lengths beside each other: within a batch there is little padding.
    missing = sorted(texts, key=lambda item: len(item[1]))
    for start in range(0, len(missing), BATCH):
        batch = missing[start : start + BATCH]
        vectors = embedder.encode_document([text for _, text in batch])
        catalog.put_vectors(embedder.space, [key for key, _ in batch], np.asarray(vectors, np.float32))
        if on_progress:
            on_progress(start + len(batch), len(missing))
    return len(missing)
