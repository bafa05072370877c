"""Safetensors without the package: eight bytes of length, a JSON header, raw bytes. Checked at once, read on demand."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import IntegrityError
from honed.workspace import make_folder, write_json

HEADER_LIMIT = 100 * 1024 * 1024
"""The limit that the format's own reader sets; a longer header is an attack or a broken file."""

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


class Weights(Mapping[str, NDArray[Any]]):
    """The tensors of one safetensors file, by name. Floats of 16 bits come as float32; others keep their type.

    The file stays mapped, so a tensor is read from disk only when it is asked for.

    Raises:
        IntegrityError: The header lies about sizes, tensors overlap or leave the file, or a type is unknown.
    """

    def __init__(self, path: Path) -> None:
        self._header, self._start = _read_header(path)
        self._bytes: NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode="r")

    def __getitem__(self, name: str) -> NDArray[Any]:
        entry = self._header[name]
        begin, end = entry["data_offsets"]
        raw = self._bytes[self._start + begin : self._start + end].view(DTYPES[entry["dtype"]])
        values: NDArray[Any] = np.asarray(raw).reshape(entry["shape"])
        if entry["dtype"] == "BF16":  # bfloat16 is the upper half of a float32
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(np.float32) if entry["dtype"] == "F16" else values

    def __iter__(self) -> Iterator[str]:
        return iter(self._header)

    def __len__(self) -> int:
        return len(self._header)


def write_weights(
    path: Path, tensors: Mapping[str, NDArray[Any]], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as one safetensors file (types as they are; `metadata` defaults to what transformers expects).

    The caller makes the write atomic, usually by writing into a temporary folder that is renamed when complete.
    """
    names = {np.dtype(text).str: name for name, text in DTYPES.items() if name != "BF16"}
    header: dict[str, Any] = {"__metadata__": dict(metadata or {"format": "pt"})}
    offset = 0
    for name in sorted(tensors):
        size = tensors[name].nbytes
        header[name] = {
            "dtype": names[tensors[name].dtype.newbyteorder("<").str],
            "shape": list(tensors[name].shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors start at a multiple of 8, as the format asks
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(tensors):
            file.write(np.ascontiguousarray(tensors[name], dtype=tensors[name].dtype.newbyteorder("<")).tobytes())


def write_described(
    weights: Path, tensors: Mapping[str, NDArray[Any]], description: Path, value: Mapping[str, Any]
) -> Path:
    """Write weights, then what describes them, in one folder, both durable; returns the folder, made if need be.

    The description of older weights goes first and the new one comes last: where there is one, it is of these weights.
    """
    folder = weights.parent
    make_folder(folder)
    description.unlink(missing_ok=True)
    half = folder / f".{weights.name}.tmp"
    write_weights(half, tensors)
    with half.open("rb") as file:
        os.fsync(file.fileno())
    half.replace(weights)
    write_json(description, dict(value))
    return folder


def _read_header(path: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """The checked header, and where the data begins."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(HEADER_LIMIT, size - 8):
            raise _broken(path, "its header is longer than the file")
        try:
            header: dict[str, dict[str, Any]] = json.loads(file.read(length))
            header.pop("__metadata__", None)
            _check_layout(header, size - 8 - length)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise _broken(path, str(error) or type(error).__name__) from error
    return header, 8 + length


def _check_layout(header: dict[str, dict[str, Any]], size: int) -> None:
    """Every tensor has the bytes that its shape needs, and the tensors fill the file without gap or overlap."""
    expected = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        shape = entry["shape"]
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"tensor '{name}' has the type {entry['dtype']}, which is not read here")
        if not all(type(extent) is int and extent >= 0 for extent in (begin, end, *shape)):
            raise ValueError(f"tensor '{name}' has a shape or an offset that is not a whole number")
        if begin != expected or end - begin != math.prod(shape) * np.dtype(DTYPES[entry["dtype"]]).itemsize:
            raise ValueError(f"tensor '{name}' does not have the bytes that its shape needs")
        expected = end
    if expected != size:
        raise ValueError(f"the tensors need {expected} bytes and the file has {size}")


def _broken(path: Path, reason: str) -> IntegrityError:
    return IntegrityError(
        f"{path} is not a readable safetensors file: {reason}.", hint="Fetch or copy the model again."
    )
