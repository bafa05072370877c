"""Derived graphs, kept by the digest of their encoder: written beside, renamed, verified when opened.

CACHE/encoders/DIGEST/fp32/graph.onnx, graph.weights     the encoder
CACHE/encoders/DIGEST/int8/graph.onnx                    the same with quantised weights
CACHE/encoders/DIGEST/*/hashes.json                      what the files beside it must hash to
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from honed.workspace import sha256_file, tree_hashes, write_json

HASHES = "hashes.json"


Arrays = tuple[NDArray[Any], ...]
"""What a graph takes for one batch, in the order of its inputs."""


class Encoder(Protocol):
    """What can be written as a graph: a text tower, an image encoder."""

    @property
    def has_int8(self) -> bool:
        """Whether `int8_graph` makes another graph of it: only multiplications of matrices become int8."""

    def digest(self) -> str:
        """sha256 of everything that changes an output, in hex."""

    def write_graph(self, path: Path) -> None:
        """Write the ONNX file, and its weights beside it."""

    def trial(self) -> list[Arrays]:
        """Batches that are like its daily work, for a probe of the machine."""


def plain_graph(encoder: Encoder, cache_dir: Path) -> Path:
    """The float32 graph of an encoder, built if it is not in the cache or does not match its hash."""
    return _kept(_folder(encoder, cache_dir) / "fp32", encoder.write_graph)


def int8_graph(encoder: Encoder, cache_dir: Path) -> Path:
    """The graph with int8 weights per channel and activations quantised as they come.

    Only multiplications with weights are quantised. Per tensor instead of per channel, vectors are too far from
    those of float32.
    """
    plain = plain_graph(encoder, cache_dir)

    def write(path: Path) -> None:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # it advises a preprocessing step that this graph does not need
        try:
            quantize_dynamic(
                plain, path, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8
            )
        finally:
            root.setLevel(level)

    return _kept(_folder(encoder, cache_dir) / "int8", write)


def _folder(encoder: Encoder, cache_dir: Path) -> Path:
    return cache_dir / "encoders" / encoder.digest()[:32]


def _kept(folder: Path, write: Callable[[Path], None]) -> Path:
    """The graph in a folder, made by `write` unless every file there matches its hash."""
    if not _intact(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".building-") as building:
            half, old = Path(building) / "new", Path(building) / "old"
            half.mkdir()
            write(half / "graph.onnx")
            write_json(half / HASHES, tree_hashes(half))
            with suppress(FileNotFoundError):
                folder.rename(old)
            try:
                half.rename(folder)
            except OSError:
                if not _intact(folder):  # otherwise another process was faster
                    raise
    return folder / "graph.onnx"


def _intact(folder: Path) -> bool:
    try:
        expected = json.loads((folder / HASHES).read_bytes())
        hashes = {path.name: sha256_file(path) for path in folder.iterdir() if path.name != HASHES}
    except (OSError, ValueError):
        return False
    return "graph.onnx" in hashes and hashes == expected
