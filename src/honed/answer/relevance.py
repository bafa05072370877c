"""Is the question about what the passages are about? The gate before an answer, and the yardstick for picked sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log

from honed.answer.terms import content, names, numbers
from honed.types import Context

Similarity = Callable[[str, Sequence[str]], Sequence[float]]
"""Cosine of a question and each of some texts, from the embedder that the caller has at hand."""

MIN_RELEVANCE = 0.5
GENERIC = frozenset(
    content(
        "answer associated association best call case cause causes change common comparison condition definition describe "
        "diagnose difference disease disorder do effect effective example exist explain factor find get give happen help "
        "how impact important improve influence information kind know latest level list long make many mean meaning "
        "method much name need new occur outcome patient people possible predict prevent problem process purpose question "
        "rate reason relate research result risk role show sign similar study symptom syndrome system tell test thing "
        "time treat treatment type use used value way work year"
    )
)
"""Stems that ask rather than name: they fit a question about anything else in the same field."""
GENERIC_WEIGHT = 0.25
NAME_WEIGHT = 1.5


def weights(question: str) -> dict[str, float]:
    """What each word of a question counts for: its subject fully, names and figures more, words that merely ask less."""
    special = names(question) | numbers(question)
    terms = dict.fromkeys([*content(question), *numbers(question)])
    return {
        term: GENERIC_WEIGHT if term in GENERIC else NAME_WEIGHT if term in special else 1.0
        for term in terms
    }


def coverage(wanted: Mapping[str, float], text: str) -> float:
    """Weighted share of a question's words that a text holds, 0 to 1."""
    total = sum(wanted.values())
    if not total:
        return 0.0
    found = frozenset(content(text)) | numbers(text)
    return sum(weight for term, weight in wanted.items() if term in found) / total


def relevance(question: str, contexts: Sequence[Context], similarity: Similarity | None = None) -> float:
    """How well the best passage fits the question, 0 to 1; with a similarity the better of the two measures counts."""
    if not contexts:
        return 0.0
    wanted = weights(question)
    texts = [context.passage.embedded_text for context in contexts]
    best = max(coverage(wanted, text) for text in texts)
    return max(best, *similarity(question, texts)) if similarity else best


def rarity(bags: Sequence[frozenset[str]]) -> dict[str, float]:
    """Inverse document frequency of every stem within a few passages."""
    counts: dict[str, int] = {}
    for bag in bags:
        for term in bag:
            counts[term] = counts.get(term, 0) + 1
    return {term: log(1 + len(bags) / count) for term, count in counts.items()}
