"""The header of a GGUF file: enough to refuse what is not one before a native library opens it.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from honed.errors import IntegrityError, MissingError

MAGIC = b"GGUF"
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What the file says about itself. Arrays (the vocabulary) are skipped."""

    version: int
    tensors: int
    metadata: Mapping[str, Any]

    @property
    def architecture(self) -> str:
        """Family of the model, such as `llama`."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def context_length(self) -> int | None:
        """Tokens that the model was trained to read, if the file says so."""
        value = self.metadata.get(f"{self.architecture}.context_length")
        return int(value) if isinstance(value, int) else None

    @property
    def chat_template(self) -> str | None:
        """The template that turns messages into a prompt; None for a model that was not taught to follow any."""
        value = self.metadata.get("tokenizer.chat_template")
        return value if isinstance(value, str) else None


def read_header(path: Path) -> GgufHeader:
    """Read the header of a model file.

    Raises:
        MissingError: There is no such file.
        IntegrityError: The file is not GGUF, or its header does not fit into it.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != MAGIC:
                raise IntegrityError(f"{path} is not a GGUF file.", hint="Language models load from GGUF only.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _parse(data)
    except FileNotFoundError as error:
        raise MissingError(f"There is no model file {path}.", hint="Check the path behind `gguf:`.") from error
    except OSError as error:
        raise MissingError(f"The model file {path} cannot be read: {error.strerror}.") from error
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise IntegrityError(
            f"The header of {path} is broken: {error}.", hint="Fetch or copy the model again."
        ) from error


def _parse(data: mmap.mmap) -> GgufHeader:
    """Header fields, in file order."""
    version, tensors, pairs = struct.unpack_from("<IQQ", data, 4)
    if version not in (2, 3):
        raise ValueError(f"version {version} is not known")
    metadata: dict[str, Any] = {}
    offset = 24
    for _ in range(pairs):
        key, offset = _string(data, offset)
        (kind,) = struct.unpack_from("<I", data, offset)
        value, offset = _value(data, offset + 4, kind)
        if value is not None:
            metadata[key] = value
    return GgufHeader(version, tensors, metadata)


def _string(data: mmap.mmap, offset: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", data, offset)
    end = offset + 8 + length
    if end > len(data):
        raise ValueError("a text is longer than the file")
    return data[offset + 8 : end].decode(), end


def _value(data: mmap.mmap, offset: int, kind: int) -> tuple[Any, int]:
    """One value and where the next thing begins; None stands for a skipped array."""
    if kind == STRING:
        return _string(data, offset)
    if kind == ARRAY:
        return None, _skip_array(data, offset)
    if kind not in SCALARS:
        raise ValueError(f"type {kind} is not known")
    (value,) = struct.unpack_from(SCALARS[kind], data, offset)
    return value, offset + struct.calcsize(SCALARS[kind])


def _skip_array(data: mmap.mmap, offset: int) -> int:
    kind, count = struct.unpack_from("<IQ", data, offset)
    offset += 12
    if kind in SCALARS:
        end = offset + count * struct.calcsize(SCALARS[kind])
    elif kind == STRING:
        unpack = struct.Struct("<Q").unpack_from
        end = offset
        for _ in range(count):
            end += 8 + unpack(data, end)[0]
            if end > len(data):
                break
    else:  # the format allows arrays of arrays; no model uses one
        raise ValueError(f"an array of type {kind} is not read")
    if end > len(data):
        raise ValueError("an array is longer than the file")
    return int(end)
