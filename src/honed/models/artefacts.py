"""Derived graphs, kept by the digest of their tower: written beside, renamed, verified when opened.

CACHE/encoders/DIGEST/fp32.onnx      the graph, and fp32.onnx.sha256 beside it
CACHE/encoders/DIGEST/int8.onnx      the same with quantised weights
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

from honed.models.folder import Tower
from honed.workspace import sha256_file, write_atomic


def plain_graph(tower: Tower, cache_dir: Path) -> Path:
    """The float32 graph of a tower, built if it is not in the cache or does not match its hash."""

    def write(path: Path) -> None:
        from honed.models.graph import build

        path.write_bytes(build(tower))

    return _kept(_folder(tower, cache_dir) / "fp32.onnx", write)


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

    return _kept(_folder(tower, cache_dir) / "int8.onnx", write)


def _folder(tower: Tower, cache_dir: Path) -> Path:
    return cache_dir / "encoders" / tower.digest()[:32]


def _kept(path: Path, write: Callable[[Path], None]) -> Path:
    """The file, made by `write` unless it is there and matches the hash beside it."""
    record = path.with_name(f"{path.name}.sha256")
    if path.is_file() and record.is_file() and record.read_text(errors="replace").strip() == sha256_file(path):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".building-") as building:
        half = Path(building) / path.name
        write(half)
        digest = sha256_file(half)
        half.replace(path)
    write_atomic(record, f"{digest}\n".encode())
    return path
