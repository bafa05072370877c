"""Contexts for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from honed.types import Context, Passage

POTT = (
    "Pott disease is tuberculosis of the spine. It is caused by Mycobacterium tuberculosis. Treatment lasts 9 months."
)
GOUT = "Gout is a kind of arthritis. It is not caused by tuberculosis. Uric acid builds up in 5 of 100 adults."
TAX = "The invoice is due within 30 days. Late payment costs 2 percent a month."


def context(text: str, *, title: str = "", rank: int = 1, name: str = "") -> Context:
    return Context(Passage(name or f"p{rank}", f"d{rank}", 0, title, text), 1.0 / rank, rank)


def medical() -> tuple[Context, ...]:
    return (
        context(POTT, title="Pott disease", rank=1),
        context(GOUT, title="Gout", rank=2),
        context(TAX, title="Terms of payment", rank=3),
    )


class Script:
    """A generator that recites a text in small pieces and notes how many were taken."""

    name = "script"

    def __init__(self, text: str, *, size: int = 3) -> None:
        self.text = text
        self.size = size
        self.taken = 0
        self.closed = False

    def generate(self, question: str, contexts: Sequence[Context], *, max_tokens: int = 160) -> Iterator[str]:
        try:
            for start in range(0, len(self.text), self.size):
                self.taken += 1
                yield self.text[start : start + self.size]
        finally:
            self.closed = True
