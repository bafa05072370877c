"""One file a format family. `read` turns an open document into blocks and is called inside the sandbox only."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from types import ModuleType
from typing import BinaryIO

from honed.ingest.codes import Refused
from honed.types import Parsed

PARSERS: dict[str, str] = {
    "application/jsonl": "jsonlines",
    "application/json": "jsonlines",
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "image/avif": "image",
    "image/bmp": "image",
    "image/gif": "image",
    "image/jpeg": "image",
    "image/png": "image",
    "image/svg+xml": "svg",
    "image/tiff": "image",
    "image/webp": "image",
    "message/rfc822": "eml",
    "text/csv": "delimited",
    "text/html": "html",
    "text/markdown": "markdown",
    "text/plain": "plain",
    "text/tab-separated-values": "delimited",
    "text/x-rst": "rst",
}
"""Media type to the module of this package that reads it. Each module offers `parse(source, job) -> Parsed`."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one parse has to do.

    Attributes:
        name: File name without its folder, for a title where the document has none.
        media_type: A key of `PARSERS`.
        first_page: Where to go on in a long document, from 0.
        seconds: Processor time after which a reader of pages should stop and name the next one.
        ocr: Recognise the text of page images.
        figures: Hand over the pictures of a document instead of its text. `first_page` counts pictures then, except in PDF.
    """

    name: str
    media_type: str
    first_page: int = 0
    seconds: float = 3.0
    ocr: bool = False
    figures: bool = False

    @property
    def stem(self) -> str:
        """A title made of the file name."""
        stem = self.name.rsplit(".", 1)[0] or self.name
        return " ".join(stem.replace("_", " ").split())


def reader(media_type: str) -> ModuleType:
    """The module that reads a media type, imported.

    Raises:
        Refused: `unsupported`.
    """
    if media_type not in PARSERS:
        raise Refused("unsupported", media_type)
    return importlib.import_module(f"{__name__}.{PARSERS[media_type]}")


def read(source: BinaryIO, job: Job) -> Parsed:
    """Parse one open document, in this process: call it in a sandbox.

    Raises:
        Refused: With a code of `CODES`. Other exceptions mean that the document is corrupt.
    """
    parsed: Parsed = reader(job.media_type).parse(source, job)
    if job.figures:
        return replace(parsed, blocks=())
    if not parsed.blocks and not parsed.media and not {"scanned_pages", "next_page", "pictures"} & parsed.meta.keys():
        raise Refused("no-text" if job.ocr else "empty")
    return parsed
