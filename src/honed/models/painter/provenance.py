"""A generated picture says that it is one: what drew it, from which references, for which words. Loads neither torch nor PIL.

The statement is JSON in an iTXt chunk of the PNG file, in front of the pixels, under the keyword `honed:generated`. It is a
label, not a seal: who wants to remove it can. It keeps honest people from taking a drawing of the model as evidence.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from honed.errors import InputError
from honed.workspace import write_atomic

if TYPE_CHECKING:
    from PIL import Image

KEYWORD = "honed:generated"
FORMAT = 1

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXT_LIMIT = 1 << 20
"""Longest statement that is read, also after inflating: a longer one is not ours."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a generated picture comes from.

    Attributes:
        prompt: The words it was drawn for.
        seed: Of the picture; with the same model, prompt, style and references it draws the same picture again.
        model: Name of the generator.
        release: The release whose index found the references and whose generator drew.
        style: The style that was asked for; empty for none.
        references: Ids of the pictures it was drawn from, best first.
    """

    prompt: str
    seed: int
    model: str
    release: str = ""
    style: str = ""
    references: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they are written into the picture and shown by `--json`."""
        return {"format": FORMAT, **asdict(self), "references": list(self.references)}

    @classmethod
    def from_json(cls, value: Any) -> Provenance:
        """Read what `to_json` gave.

        Raises:
            InputError: It is something else, or was written by a later version.
        """
        if not isinstance(value, Mapping) or value.get("format") != FORMAT:
            raise InputError("The picture's statement of origin was written by another version of Honed.")
        words = {name: value.get(name) for name in ("prompt", "model", "release", "style")}
        seed, references = value.get("seed"), value.get("references")
        if type(seed) is not int or not isinstance(references, list):
            raise InputError("The picture's statement of origin is damaged.")
        if not all(isinstance(word, str) for word in (*words.values(), *references)):
            raise InputError("The picture's statement of origin is damaged.")
        return cls(seed=seed, references=tuple(references), **words)  # type: ignore[arg-type]


def png_with(image: Image.Image, provenance: Provenance) -> bytes:
    """The picture as a PNG file that carries its origin."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt(KEYWORD, json.dumps(provenance.to_json(), ensure_ascii=False))
    file = BytesIO()
    image.save(file, "PNG", pnginfo=info)
    return file.getvalue()


def save_picture(path: Path, image: Image.Image, provenance: Provenance) -> None:
    """Write a PNG file that carries its origin; whole or not at all."""
    write_atomic(path, png_with(image, provenance))


def read_provenance(data: bytes) -> Provenance | None:
    """The origin that a PNG file carries; None if it carries none or is no PNG file.

    Raises:
        InputError: There is a statement that cannot be read.
    """
    text = _statement(data)
    if text is None:
        return None
    try:
        return Provenance.from_json(json.loads(text))
    except ValueError as error:
        raise InputError("The picture's statement of origin is not JSON.") from error


def is_generated(picture: bytes | Mapping[Any, Any]) -> bool:
    """Whether a picture says that a generator of ours drew it. Such a picture is no evidence and is not indexed.

    Args:
        picture: The bytes of a file of any format, or what Pillow calls `Image.info`.
    """
    if isinstance(picture, Mapping):
        return KEYWORD in picture
    return _statement(picture) is not None


def _statement(data: bytes) -> str | None:
    """The text under our keyword; an empty text if it cannot be read, so that a damaged label still counts as one."""
    for kind, body in _chunks(data):
        keyword, _, rest = body.partition(b"\0")
        if kind in (b"iTXt", b"tEXt", b"zTXt") and keyword == KEYWORD.encode():
            return _text(kind, rest)
    return None


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and body of each chunk of a PNG file, for as long as their lengths fit the file."""
    at = len(_SIGNATURE) if data.startswith(_SIGNATURE) else len(data)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if len(body) < length or kind == b"IEND":
            return
        yield kind, body if kind in (b"iTXt", b"tEXt", b"zTXt") else b""
        at += 12 + length


def _text(kind: bytes, rest: bytes) -> str:
    """The text of a chunk behind its keyword. PNG allows it plain or deflated, with two more fields in iTXt."""
    packed = kind == b"zTXt"
    if kind == b"iTXt":
        packed, rest = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif packed:
        rest = rest[1:]
    if packed:
        try:
            rest = zlib.decompressobj().decompress(rest, _TEXT_LIMIT)
        except zlib.error:
            return ""
    return rest[:_TEXT_LIMIT].decode("utf-8" if kind == b"iTXt" else "latin-1", errors="replace")
