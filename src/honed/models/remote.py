"""An embedder behind an OpenAI-compatible server: `openai:MODEL@URL`, POST URL/embeddings."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from honed.errors import MissingError, ServiceError, UsageError
from honed.models.registry import Spec
from honed.types import Vectors

if TYPE_CHECKING:
    import httpx2

OFFICIAL = "https://api.openai.com/v1"
RETRIES = 4
LONGEST_WAIT = 30.0
"""Seconds between two attempts, whatever the server asks for."""


class RemoteEmbedder:
    """Vectors from a server (vLLM, Ollama, llama.cpp, a cloud). Texts leave this machine; nothing else does."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str = OFFICIAL,
        api_key_env: str = "OPENAI_API_KEY",
        batch_size: int = 64,
        timeout: float = 60.0,
        first_wait: float = 0.5,
    ) -> None:
        """Prepare the client; nothing is sent until the first text or the first question about the dimension.

        Args:
            model: The server's name of the model.
            base_url: Address up to and including the version, such as "http://localhost:8000/v1".
            api_key_env: Name of the environment variable that holds the key. The key itself is never kept in settings,
                shown or logged. Servers without keys need none.
            batch_size: Texts a request.
            timeout: Seconds for one request.
            first_wait: Seconds before the second attempt; each further wait is twice as long.
        """
        if not base_url.startswith(("http://", "https://")) or "@" in base_url:
            raise UsageError(
                f"'{base_url.rpartition('@')[2]}' is no address of a server.",
                hint="http://HOST:PORT/v1, and keys only in an environment variable",
            )
        if batch_size < 1:
            raise UsageError(f"A batch of {batch_size} texts is not possible.")
        self.model = model
        self._url = f"{base_url.rstrip('/')}/embeddings"
        self._key_env = api_key_env
        self._batch_size = batch_size
        self._timeout = timeout
        self._first_wait = first_wait

    @classmethod
    def from_spec(cls, spec: Spec, **options: Any) -> RemoteEmbedder:
        """`openai:MODEL` or `openai:MODEL@URL`; options as above, those of local embedders are dropped."""
        if not spec.name:
            raise UsageError("An embedder of a server needs a model.", hint="openai:MODEL@http://HOST:PORT/v1")
        for local in ("cache_dir", "threads", "query_folder", "runtime"):
            options.pop(local, None)
        if spec.revision:
            options["base_url"] = spec.revision
        return cls(spec.name, **options)

    @property
    def space(self) -> str:
        """Fingerprint of address, model and dimension: what a server changes behind its name cannot be seen."""
        parts = f"{self._url}\n{self.model}\n{self.dimension}"
        return hashlib.sha256(parts.encode()).hexdigest()[:32]

    @cached_property
    def dimension(self) -> int:
        """Length of a vector, learned from the server once."""
        return int(self._request(["dimension"]).shape[1])

    def encode_query(self, texts: Sequence[str]) -> Vectors:
        """Encode queries; returns [len(texts), dimension], unit length."""
        return self.encode_document(texts)

    def encode_document(self, texts: Sequence[str]) -> Vectors:
        """Encode passages; returns [len(texts), dimension], unit length.

        Raises:
            ServiceError: The server cannot be reached, refuses, or answers with something else than vectors.
        """
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        starts = range(0, len(texts), self._batch_size)
        return np.concatenate([self._request(texts[start : start + self._batch_size]) for start in starts])

    @cached_property
    def _client(self) -> httpx2.Client:
        import httpx2

        key = os.environ.get(self._key_env, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        proxied = self._url.startswith(
            "https://"
        )  # a proxy of the environment is for clouds, not for a server next door
        return httpx2.Client(headers=headers, timeout=self._timeout, follow_redirects=False, trust_env=proxied)

    def _request(self, texts: Sequence[str]) -> Vectors:
        """One batch, tried again while the server is busy or broken."""
        import httpx2

        wait = self._first_wait
        for attempt in range(RETRIES + 1):
            retry_after = 0.0
            try:
                response = self._client.post(self._url, json={"model": self.model, "input": list(texts)})
            except httpx2.TransportError as error:
                problem = type(error).__name__
            else:
                if response.status_code == 200:
                    return self._vectors(response, len(texts))
                problem = f"status {response.status_code}"
                if response.status_code != 429 and response.status_code < 500:
                    raise self._refused(response.status_code)
                retry_after = _seconds(response.headers.get("retry-after", ""))
            if attempt < RETRIES:
                time.sleep(min(max(wait, retry_after), LONGEST_WAIT))
                wait *= 2
        raise ServiceError(
            f"{self._url} did not answer ({problem}).", hint="is the server running, and the address right?"
        )

    def _vectors(self, response: httpx2.Response, count: int) -> Vectors:
        """Unit vectors in the order of the texts, whatever the order of the answer."""
        try:
            rows = sorted(response.json()["data"], key=lambda row: row["index"])
            vectors = np.array([row["embedding"] for row in rows], np.float32)
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        except (ValueError, KeyError, TypeError) as error:
            raise self._strange() from error
        if len(vectors) != count or vectors.ndim != 2 or not np.isfinite(lengths).all() or not (lengths > 0).all():
            raise self._strange()
        unit: Vectors = vectors / lengths
        return unit

    def _refused(self, status: int) -> ServiceError | MissingError:
        if status in (401, 403):
            return ServiceError(f"{self._url} refused the key.", hint=f"export {self._key_env}=...")
        return ServiceError(
            f"{self._url} answered with status {status}.", hint=f"does it serve the model '{self.model}'?"
        )

    def _strange(self) -> ServiceError:
        return ServiceError(f"{self._url} did not answer with one vector a text.", hint="is it an /embeddings server?")


def _seconds(header: str) -> float:
    """A Retry-After header in seconds; its form as a date is not worth reading."""
    return float(header) if header.isdecimal() else 0.0
