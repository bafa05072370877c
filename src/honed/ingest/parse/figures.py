"""The pictures inside a document, as its reader meets them: decoded, with the words that stand beside them."""

from __future__ import annotations

import base64
import io
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from honed.ingest.parse import Job, pixels
from honed.ingest.sources import picture_type
from honed.ingest.wire import MOST_PICTURES
from honed.models.painter.provenance import is_generated
from honed.types import Block, Picture

LEAST_SIDE = 64
"""Pixels: smaller pictures are bullets, rules and icons."""

MOST_CAPTION = 300
LABELLED = re.compile(
    r"(?:fig(?:ure|\.|ura)?|abb(?:ildung|\.)?|bild|tab(?:le|elle|\.)|chart|diagram(?:m|me)?|plate|photo|image|scheme|map)"
    r"\s*[\dIVX(]+[\w.)-]*",
    re.I,
)
"""How the line under a figure begins."""

_MOST_PIXEL_BYTES = 40 << 20
_MOST_LINKS = 64
_MOST_NEAR = 2000
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|/|#", re.I)
"""Addresses of other machines, of this machine's root, and of places in the document itself."""
_MOST_TIMES = 3
"""A picture that is met more often is furniture: the sync drops it, and needs no entry each time."""

_EMPTY_ALT = re.compile(
    r"(?:(?:picture|image|img|grafik|bild|figure|graphic|photo|logo|icon|chart|diagram|shape|object|media)[\s_-]*\d*"
    r"|image\d*\.\w+|[\w-]+\.(?:png|jpe?g|gif|bmp|tiff?|webp|emf|wmf|svg))",
    re.I,
)
"""Alternative texts that programs make up."""


@dataclass(frozen=True, slots=True)
class _Figure:
    picture: Picture
    alt: str
    place: int


class Figures:
    """Collects pictures, from where an earlier parse stopped until time or room is used up.

    Without `job.figures` it only counts: the text of a document never waits for its pictures.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._figures: list[_Figure] = []
        self._times: Counter[str] = Counter()
        self._bytes = 0
        self._links: list[tuple[str, str, int]] = []
        self.met = 0
        """How many there are so far, taken or not."""
        self.following: int | None = None
        """Number of the picture at which the next parse has to go on."""

    def add(self, load: Callable[[], bytes], *, name: str, place: int, alt: str = "", page: int | None = None) -> None:
        """Take a picture, unless it is too small or has come too often.

        Args:
            load: Gives the bytes of its file.
            name: The same for the same picture.
            place: How many blocks of text stand before it.
            alt: Its alternative text.
            page: Its page or slide.
        """
        number = self.met
        self.met += 1
        self._times[name] += 1
        if not self._job.figures or self._times[name] > _MOST_TIMES or number < self._job.first_page:
            return
        if self.following is not None:
            return
        if self._bytes > _MOST_PIXEL_BYTES or len(self._figures) >= MOST_PICTURES or self._is_late():
            self.following = number
            return
        try:
            picture = _decoded(load())
        except MemoryError:
            raise
        except Exception:  # whatever is wrong with one picture, it is not the document
            return
        if picture:
            self._bytes += len(picture.pixels)
            self._figures.append(_Figure(replace(picture, page=page), alt, place))

    def refer(self, address: str, *, place: int, alt: str = "") -> None:
        """Take a picture by its address, as markup has it: data inside of the address, or the path of a file beside."""
        if address.lower().startswith("data:"):
            self.add(partial(_inline, address), name=address[:80] + address[-80:], place=place, alt=alt)
        elif address and not _ELSEWHERE.match(address):
            self.met += 1
            if self._job.figures and len(self._links) < _MOST_LINKS:
                self._links.append((unquote(address.partition("?")[0].partition("#")[0]), alt, place))

    def finish(self, blocks: Sequence[Block]) -> tuple[Picture, ...]:
        """The pictures with their captions, found among all blocks of the document."""
        captions = _Captions(blocks)
        return tuple(
            replace(figure.picture, caption=caption, near=near)
            for figure in self._figures
            for caption, near in [captions.of(figure.alt, figure.place, figure.picture.page)]
        )

    def meta(self, blocks: Sequence[Block] = ()) -> dict[str, Any]:
        """What has to be known outside: that there are pictures, where to go on, and which files are referred to.

        "links" are [path, caption, text beside it]: the sandbox cannot open files, `sync` decides whether they are taken.
        """
        if not self._job.figures:
            return {"pictures": self.met} if self.met else {}
        captions = _Captions(blocks)
        links = [(path, *captions.of(alt, place, None)) for path, alt, place in self._links]
        return ({"links": links} if links else {}) | ({} if self.following is None else {"next_page": self.following})

    def _is_late(self) -> bool:
        return bool(self._figures) and time.process_time() > self._job.seconds


def _decoded(data: bytes) -> Picture | None:
    """A picture of a size worth keeping, else None; what a generator of ours drew is no figure of anything."""
    kind = picture_type(data[:64])
    if kind not in pixels.FORMATS or is_generated(data):
        return None
    opened = pixels.opened(io.BytesIO(data), kind)
    if min(opened.size) < LEAST_SIDE:
        return None
    size = pixels.original_size(opened)
    return pixels.taken(pixels.upright(opened), size, kind="figure")


def _inline(address: str) -> bytes:
    """The bytes in a data: address."""
    head, _, body = address.partition(",")
    data = unquote_to_bytes(body)
    return base64.b64decode(data) if head.lower().rstrip().endswith(";base64") else data


class _Captions:
    """Finds the words for pictures, in the order of the pictures: a labelled line belongs to one of them."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = blocks
        self._used: set[int] = set()

    def of(self, alt: str, place: int, page: int | None) -> tuple[str, str]:
        """The caption of a picture that stands before block `place`, and the text beside it."""
        # What follows is looked at first: captions stand below figures more often than above.
        around = [index for index in (place, place - 1) if self._is_text(index, page)]
        labelled = [i for i in around if i not in self._used and LABELLED.match(self._blocks[i].text.lstrip())]
        beside = (labelled or [i for i in around if i not in self._used] or around)[:1]
        text = self._blocks[beside[0]].text if beside else ""
        if labelled:
            self._used.add(labelled[0])
        return meaningful(alt) or shortened(text), text[:_MOST_NEAR]

    def _is_text(self, index: int, page: int | None) -> bool:
        if not 0 <= index < len(self._blocks) or self._blocks[index].kind != "text":
            return False
        return page is None or self._blocks[index].page in (None, page)


def meaningful(alt: str) -> str:
    """An alternative text that a person wrote, on one line; empty for what programs fill in."""
    line = " ".join(alt.split())
    return "" if _EMPTY_ALT.fullmatch(line) else shortened(line)


def shortened(text: str, most: int = MOST_CAPTION) -> str:
    """The beginning of a text on one line, cut between words."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    return line[: most - 1].rsplit(" ", 1)[0].rstrip(",;: ") + "…"
