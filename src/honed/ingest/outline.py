"""Collect blocks under a heading path, as every parser does."""

from __future__ import annotations

import re
from typing import Literal

from honed.types import Block

_LABEL = re.compile(r"(?:exhibit|annex|appendix|schedule|attachment)\b.{0,12}|\d+(?:\.\d+)*[.)]?\s.*", re.I)
"""Headings that are not a document's title: "Exhibit 10.1", "3. Term of Lease"."""


class Outline:
    """Blocks in reading order. A heading that nothing follows becomes a block itself, so that its words are kept."""

    def __init__(self) -> None:
        self.title = ""
        self._blocks: list[Block] = []
        self._path: list[tuple[int, str]] = []
        self._bare: tuple[tuple[str, ...], str, int | None] | None = None

    @property
    def headings(self) -> tuple[str, ...]:
        """The present heading path."""
        return tuple(text for _, text in self._path)

    def heading(self, level: int, text: str, *, page: int | None = None) -> None:
        """Open a section; sections of the same or a deeper level end here."""
        text = " ".join(text.split())
        if not text:
            return
        parent = [(depth, name) for depth, name in self._path if depth < level]
        if self._bare and len(parent) < len(self._path):
            self._keep_bare()
        self._path = [*parent, (level, text)]
        self._bare = (tuple(name for _, name in parent), text, page)
        if not self.title and not _LABEL.fullmatch(text):
            self.title = text

    def add(self, text: str, *, kind: Literal["text", "table"] = "text", page: int | None = None) -> None:
        """Add a block under the present headings; white space at both ends goes, empty blocks too."""
        text = text.strip("\n").rstrip()
        if text.strip():
            self._bare = None
            self._blocks.append(Block(text, self.headings, kind, page))

    def finish(self) -> tuple[Block, ...]:
        """All blocks."""
        if self._bare:
            self._keep_bare()
        return tuple(self._blocks)

    def _keep_bare(self) -> None:
        assert self._bare
        parents, text, page = self._bare
        # The only heading of a document is its title, which every passage carries.
        if text != self.title or parents:
            self._blocks.append(Block(text, parents, "text", page))
        self._bare = None
