"""The generator that writes nothing of its own: picked sentences with their markers, for the spec `extractive`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from honed.answer.extract import extract
from honed.types import Context


class Extractive:
    """A `Generator` over `extract`. It stands here and not among the models, because imports only go up."""

    name = "extractive"

    @classmethod
    def from_spec(cls, _spec: object, **_: Any) -> Extractive:
        """Build from `extractive`; there is nothing to set."""
        return cls()

    def generate(self, question: str, contexts: Sequence[Context], *, max_tokens: int = 160) -> Iterator[str]:
        """Stream the picked sentences, as long as they fit into `max_tokens` words together."""
        room = max_tokens
        for pick in extract(question, contexts):
            room -= len(pick.text.split())
            if room >= 0:
                yield f"{pick.text} [{pick.context + 1}]\n"
