"""The nouns: one meaning each, in code, on the command line and on pages. Plain frozen data, no behaviour worth a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""Unit-length embeddings, shape [n, dimension]."""

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was given, or a row of an imported corpus."""

    path: str
    sha256: str
    size: int
    mtime_ns: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """A run of text inside a document: a paragraph, a list, a table (header repeated in Markdown form)."""

    text: str
    headings: tuple[str, ...] = ()
    kind: Literal["text", "table"] = "text"
    page: int | None = None


ImageKind = Literal["file", "figure", "page"]
"""A picture that is a document of its own, one inside a document, or the picture of a whole scanned page."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as a parser saw it: plain pixels, which no decoder has to be trusted with again.

    Attributes:
        pixels: RGB on white, row by row, one byte a channel.
        size: Width and height of `pixels`; the longest side is at most 512.
        width: Of the original, in pixels.
        height: Of the original, in pixels.
        caption: What it shows, if the document says so.
        near: Text beside it, by which its passage is found.
    """

    pixels: bytes = field(repr=False)
    size: tuple[int, int]
    width: int
    height: int
    kind: ImageKind = "file"
    page: int | None = None
    caption: str = ""
    near: str = ""

    @property
    def array(self) -> NDArray[np.uint8]:
        """The pixels as [height, width, 3]."""
        return np.frombuffer(self.pixels, np.uint8).reshape(self.size[1], self.size[0], 3)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a parser read from one source: no ids yet, nothing removed yet."""

    title: str
    blocks: tuple[Block, ...]
    media_type: str
    meta: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    media: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a source was not taken. `code` is one of `ingest.codes.CODES`."""

    code: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing that cleaning took out. The text is kept, so it can be put back."""

    rule: Literal["boilerplate", "duplicate", "near-duplicate", "empty"]
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed source. `id` is a content hash; `external_id` is the id it was imported with (or its path)."""

    id: str
    external_id: str
    title: str
    media_type: str = "text/plain"
    language: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passage:
    """The unit that is embedded, indexed and cited."""

    id: str
    document: str
    ordinal: int
    title: str
    text: str
    headings: tuple[str, ...] = ()
    page: int | None = None

    @property
    def context(self) -> str:
        """Title and heading path as one line, without repeating a heading that equals the title."""
        parts = [self.title, *(heading for heading in self.headings if heading != self.title)]
        return " | ".join(part for part in parts if part)

    @property
    def embedded_text(self) -> str:
        """What is embedded and matched: the context line, then the text."""
        return f"{self.context}\n{self.text}" if self.context else self.text


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image of a document: a picture that was added, or a figure or page of a PDF, an office file, a page of HTML.

    Attributes:
        id: Of document, ordinal and content.
        document: Id of its document.
        ordinal: Place among the images of its document, from 0.
        media: sha256 of its rendering, a blob of the workspace that is safe to decode.
        width: Of the original, in pixels; the rendering may be smaller.
        height: Of the original, in pixels.
        phash: 64 bits; two images that differ in few of them are near-copies, equal media are the same picture.
        passage: Id of the passage that holds its caption or the text around it.
        external_id: Of its document, as it was imported, or its path.
        source: Path of a file that holds it.
    """

    id: str
    document: str
    ordinal: int
    media: str
    kind: ImageKind
    width: int
    height: int
    caption: str
    phash: int
    page: int | None = None
    passage: str | None = None
    external_id: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """A question or search text. Only `text` ever reaches a model; `meta` is for slicing results."""

    id: str
    text: str
    split: Split = "train"
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Qrel:
    """A judgement: this document answers this query, with a grade above zero."""

    query: str
    document: str
    grade: int = 1


@dataclass(frozen=True, slots=True)
class Context:
    """A passage as it was retrieved for one query."""

    passage: Passage
    score: float
    rank: int
    external_id: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Citation:
    """A span of an answer and the passage that supports it; `quote` is the supporting sentence, word for word."""

    passage: str
    quote: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What `ask` returns: text whose every sentence is cited, or a refusal."""

    text: str
    citations: tuple[Citation, ...]
    refused: bool
    contexts: tuple[Context, ...]
    generator: str


Ranking = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Ids and scores of one query, best first."""
