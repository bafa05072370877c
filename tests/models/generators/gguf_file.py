"""GGUF headers for tests: real layout, no weights."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def entry(key: str, value: object) -> bytes:
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    if isinstance(value, list):
        items = b"".join(text(item) for item in value)
        return text(key) + struct.pack("<IIQ", 9, 8, len(value)) + items
    return text(key) + struct.pack("<II", 4, value)


def write_gguf(path: Path, metadata: Mapping[str, object], *, version: int = 3) -> Path:
    pairs = b"".join(entry(key, value) for key, value in metadata.items())
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", version, 0, len(metadata)) + pairs)
    return path


CHAT: dict[str, object] = {
    "general.architecture": "llama",
    "llama.context_length": 4096,
    "tokenizer.ggml.tokens": ["a", "b", "c"],
    "tokenizer.chat_template": "{{ messages }}",
}
