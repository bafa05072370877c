"""ask(): question in, cited answer out. Read this first; every step is one call.

retrieve  both sides of the index, fused                          answer/retrieve.py
generate  a language model writes from the passages               models/generators/
cite      every sentence is checked against the passage it names  answer/cite.py
extract   where no model is at hand, or nothing of it stands      answer/extract.py
refuse    where the passages are not about the question           answer/relevance.py
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from honed.answer.compose import compose_stream
from honed.answer.retrieve import Filters, Retriever
from honed.protocols import Generator
from honed.types import Answer, Context

CONTEXTS = 5
"""Passages that an answer may draw on."""


def ask(
    question: str,
    retriever: Retriever,
    generator: Generator | None = None,
    *,
    k: int = CONTEXTS,
    filters: Filters = (),
) -> Answer:
    """Answer a question from the documents; every sentence is cited, or the answer is a refusal.

    Args:
        generator: A language model, or None to answer with the best sentences of the passages.
        k: How many passages to retrieve.
    """
    *_, answer = ask_stream(question, retriever, generator, k=k, filters=filters)
    return answer


def ask_stream(
    question: str,
    retriever: Retriever,
    generator: Generator | None = None,
    *,
    k: int = CONTEXTS,
    filters: Filters = (),
) -> Iterator[Answer]:
    """Answer a question as `ask` does, with one `Answer` after each verified sentence; the last is complete."""
    contexts: Sequence[Context] = retriever.search(question, k, filters=filters)

    def similarity(query: str, texts: Sequence[str]) -> Sequence[float]:
        return [
            float(x) for x in retriever.embedder.encode_document(texts) @ retriever.embedder.encode_query([query])[0]
        ]

    yield from compose_stream(question, contexts, generator, similarity=similarity)
