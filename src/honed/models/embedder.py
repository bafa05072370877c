"""The local text encoder: a model folder, a graph, a runtime. No torch."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import UsageError
from honed.models.folder import open_folder
from honed.models.probe import PROBE_FROM, probe
from honed.models.registry import Spec
from honed.models.runtime import REFERENCE, Runtime, open_runtime
from honed.models.text_encoder import TextEncoder
from honed.types import Vectors

WINDOW = 2048
"""Texts that are tokenised and sorted together. A larger window pads little less and makes the first batch wait."""


class LocalEmbedder:
    """Text to unit vectors on the CPU, with one tower or two.

    Queries run in float32 with all cores for one batch. Documents run with the runtime that a probe of this machine
    found fastest, at a mean cosine of at least .99 to float32.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cache_dir: Path,
        query_folder: Path | None = None,
        threads: int = 0,
        runtime: str = "",
    ) -> None:
        """Open a model folder; weights are loaded when the first text is encoded.

        Args:
            folder: In the layout of sentence-transformers, with one tower or a Router of two.
            cache_dir: Where graphs and the probe's choice are kept.
            query_folder: Another folder whose query tower and query prompt are used instead of `folder`'s own.
            threads: Cores to use, 0 for all that this process may use.
            runtime: Which of `runtime.RUNTIMES` encodes documents; empty for the probe's choice.

        Raises:
            MissingError: A folder or a file of it is not there.
            InputError: The model is unsafe to load or of a kind that is not built here.
        """
        model = open_folder(folder)
        query_model = open_folder(query_folder) if query_folder else model
        self.folder = folder
        self._query = TextEncoder(query_model.query, query_model.query_prompt)
        self._document = TextEncoder(model.document, model.document_prompt)
        if query_model.query.dimension != self.dimension:
            raise UsageError(
                f"The query tower has {query_model.query.dimension} dimensions and the document tower {self.dimension}."
            )
        self._cache_dir = cache_dir
        self._threads = threads
        self._runtime = runtime
        self._lock = threading.RLock()

    @classmethod
    def from_spec(cls, spec: Spec, **options: Any) -> LocalEmbedder:
        """The embedder that a spec of the backend `package`, `folder` or `hub` names; options as above."""
        from honed.models.locate import locate

        return cls(locate(spec), **options)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._document.tower.dimension

    @property
    def max_tokens(self) -> int:
        """Longest passage in tokens, markers included; the rest is cut off."""
        return self._document.tower.max_tokens

    @cached_property
    def space(self) -> str:
        """Fingerprint of the document tower: weights, tokenizer, pooling, prompt, dimension, length. 32 hex digits."""
        parts = [self._document.tower.digest(), self._document.prompt, self.dimension, self.max_tokens]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def encode_query(self, texts: Sequence[str]) -> Vectors:
        """Encode queries; returns [len(texts), dimension], unit length, in the order given."""
        with self._lock:
            runtime = self._query_runtime
        return self._gather(self._query, runtime, texts)

    def encode_document(self, texts: Sequence[str]) -> Vectors:
        """Encode passages; returns [len(texts), dimension], unit length, in the order given."""
        return self._gather(self._document, self._document_runtime(len(texts)), texts)

    def encode_stream(self, texts: Sequence[str]) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        """Encode passages and give each batch as soon as it is ready, so that it can be kept and counted.

        Yields:
            Positions in `texts` [n] and their vectors [n, dimension]; every position comes once, in any order.
        """
        return self._stream(self._document, self._document_runtime(len(texts)), texts)

    def _gather(self, encoder: TextEncoder, runtime: Runtime, texts: Sequence[str]) -> Vectors:
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for positions, part in self._stream(encoder, runtime, texts):
            vectors[positions] = part
        return vectors

    def _stream(
        self, encoder: TextEncoder, runtime: Runtime, texts: Sequence[str]
    ) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        """Windows of texts; in each, batches of like lengths, as many at once as the runtime has workers."""
        if runtime.workers == 1:
            for start in range(0, len(texts), WINDOW):
                for batch in encoder.batches(texts[start : start + WINDOW]):
                    yield batch.positions + start, runtime.run(*batch.inputs)
            return
        pool = ThreadPoolExecutor(runtime.workers, thread_name_prefix="encode")
        try:
            for start in range(0, len(texts), WINDOW):
                parts = encoder.batches(texts[start : start + WINDOW])
                results = pool.map(lambda batch: runtime.run(*batch.inputs), parts)
                for batch, vectors in zip(parts, results, strict=True):
                    yield batch.positions + start, vectors
        finally:
            pool.shutdown(cancel_futures=True)

    @cached_property
    def _query_runtime(self) -> Runtime:
        return open_runtime(REFERENCE, self._query, self._cache_dir, threads=self._threads, single=True)

    def _document_runtime(self, count: int) -> Runtime:
        """The probe's choice. A handful of texts is not worth a probe: they run as the reference does."""
        with self._lock:
            if not self._runtime:
                if count < PROBE_FROM:
                    return self._small_runtime
                choice = probe(self._document, self._cache_dir, threads=self._threads)
                self._runtime = choice.runtime if choice else REFERENCE
            return self._chosen_runtime

    @cached_property
    def _chosen_runtime(self) -> Runtime:
        return open_runtime(self._runtime, self._document, self._cache_dir, threads=self._threads)

    @cached_property
    def _small_runtime(self) -> Runtime:
        if self._query.tower == self._document.tower:
            return self._query_runtime
        return open_runtime(REFERENCE, self._document, self._cache_dir, threads=self._threads, single=True)
