"""Derived graphs, kept by the digest of their tower: written beside, renamed, verified when opened.

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

from honed.models.folder import Tower
from honed.workspace import sha256_file, tree_hashes, write_json

HASHES = "hashes.json"


def plain_graph(tower: Tower, cache_dir: Path) -> Path:
    """The float32 graph of a tower, built if it is not in the cache or does not match its hash."""

    def write(path: Path) -> None:
        from honed.models.graph import build

        build(tower, path)

    return _kept(_folder(tower, cache_dir) / "fp32", write)


def int8_graph(tower: Tower, cache_dir: Path) -> Path:
    """The graph with int8 weights per channel and activations quantised as they come.

    Only multiplications with weights are quantised. Per tensor instead of per channel, the cosine to float32 falls from
    .993 to .94.
    """
    plain = plain_graph(tower, cache_dir)

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

    return _kept(_folder(tower, cache_dir) / "int8", write)


def _folder(tower: Tower, cache_dir: Path) -> Path:
    return cache_dir / "encoders" / tower.digest()[:32]


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
        found = {path.name: sha256_file(path) for path in folder.iterdir() if path.name != HASHES}
    except (OSError, ValueError):
        return False
    return "graph.onnx" in found and found == expected
