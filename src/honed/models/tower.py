"""One text encoder of a model folder: its files, its settings and its digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from honed.errors import InputError
from honed.models.weights import Weights
from honed.workspace import sha256_file

Pooling = Literal["mean", "cls"]

WORD_TABLE = "embeddings.word_embeddings.weight"
"""The tensor by which the encoder is found in a weights file."""

ENCODER_KEYS = (
    "model_type",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "hidden_act",
    "layer_norm_eps",
    "pad_token_id",
    "position_embedding_type",
)
"""The entries of config.json that change a vector; the others (versions, names, dropout) stay out of the digest."""


@dataclass(frozen=True, slots=True)
class Tower:
    """One text encoder: where its files are, and how its token vectors become one vector."""

    path: Path
    config: dict[str, Any]
    pooling: Pooling
    max_tokens: int
    lowercase: bool

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.config["hidden_size"])

    @property
    def weights_path(self) -> Path:
        """The safetensors file."""
        return self.path / "model.safetensors"

    @property
    def tokenizer_path(self) -> Path:
        """The fast tokenizer's file."""
        return self.path / "tokenizer.json"

    def weights(self) -> Weights:
        """The tensors, read when asked for.

        Raises:
            IntegrityError: The file's header lies about its sizes.
        """
        return Weights(self.weights_path)

    def prefix(self) -> str:
        """What stands before the encoder's own names in the weights file: nothing, or "roberta." of a model with a head.

        Raises:
            InputError: There is no word table in the file.
        """
        for name in self.weights():
            if name.endswith(WORD_TABLE):
                return name.removesuffix(WORD_TABLE)
        raise InputError(f"{self.path} holds no weight '{WORD_TABLE}'.", hint="is this the encoder of its config.json?")

    def digest(self) -> str:
        """sha256 over weights, tokenizer and everything in the settings that changes a vector."""
        settings = {key: self.config.get(key) for key in ENCODER_KEYS}
        settings |= {"pooling": self.pooling, "max_tokens": self.max_tokens, "lowercase": self.lowercase}
        settings |= {"weights": _file_digest(self.weights_path), "tokenizer": _file_digest(self.tokenizer_path)}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    """sha256 of a file, computed once a process as long as nobody writes to it."""
    stat = path.stat()
    return _unchanged_digest(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=64)
def _unchanged_digest(path: Path, *_state: int) -> str:
    return sha256_file(path)
