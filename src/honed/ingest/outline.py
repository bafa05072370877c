"""Collect blocks under a heading path, as every parser does."""

from __future__ import annotations

import re
from typing import Literal

from honed.types import Block

_LABEL = re.compile(r"(?:exhibit|annex|appendix|schedule|attachment)\b.{0,12}|\d+(?:\.\d+)*[.)]?\s.*", re.I)
"""Headings that are not a document's title: "Exhibit 10.1", "3. Term of Lease"."""

_UNFINISHED = re.compile(
    r"(?:article|section|chapter|part|exhibit|annex|appendix|schedule|attachment)\s+[\w.()-]{1,10}|.*\s(?:and|by|for|of|the|to|with)",
    re.I,
)


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

    @property
    def count(self) -> int:
        """How many blocks there are so far."""
        return len(self._blocks)

    def heading(self, level: int, text: str, *, page: int | None = None) -> None:
        """Open a section; sections of the same or a deeper level end here.

        A heading that only numbers the next ("Article IV") or breaks off ("First amendment to") is joined with it.
        """
        text = " ".join(text.split())
        if not text:
            return
        if (
            self._bare
            and self._path
            and level <= self._path[-1][0]
            and _UNFINISHED.fullmatch(self._bare[1])
            and not _LABEL.fullmatch(text)
        ):
            level, text = self._joined(level, text)
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

    def _joined(self, level: int, text: str) -> tuple[int, str]:
        assert self._bare
        above, self._bare = self._bare[1], None
        if not self.title and not _LABEL.fullmatch(text):
            self.title = text
        elif self.title == above:
            self.title = f"{above} {text}"
        depth, _ = self._path.pop()
        return max(level, depth), f"{above} {text}"

    def _keep_bare(self) -> None:
        assert self._bare
        parents, text, page = self._bare
        # The only heading of a document is its title, which every passage carries.
        if text != self.title or parents:
            self._blocks.append(Block(text, parents, "text", page))
        self._bare = None
