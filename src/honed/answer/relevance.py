"""Relevance of passages to a question: the gate before an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf

from honed.answer.sentences import split_sentences
from honed.answer.terms import content, names, numbers, stem
from honed.answer.vocabulary import GENERIC
from honed.types import Context

Similarity = Callable[[str, Sequence[str]], Sequence[float]]
"""Cosine of a question and each of some texts, from the embedder that the caller has at hand."""

MIN_RELEVANCE = 0.6
"""Relevance that the best passage needs for an answer: high enough to refuse most questions whose passages are missing, low
enough to keep most others. Where other documents often answer as well, it refuses far fewer."""
GENERIC_WEIGHT = 0.25
NAME_WEIGHT = 1.5
LONG_QUESTION = 12
"""Content words from which a question is a letter: what it is about stands in its first and its asking sentences."""
ENOUGH = 8.0
"""Weight of words that settle the matter, however many more a long question has."""


def weights(question: str) -> dict[str, float]:
    """Weight of each word of a question: its subject fully, names and figures more, asking words less."""
    question = _core(question)
    special = names(question) | numbers(question)
    terms = dict.fromkeys([*content(question), *numbers(question)])
    return {term: GENERIC_WEIGHT if term in _GENERIC else NAME_WEIGHT if term in special else 1.0 for term in terms}


def coverage(wanted: Mapping[str, float], text: str, *, enough: float = inf) -> float:
    """Weighted share of a question's words that a text holds, 0 to 1; a weight of `enough` counts as all."""
    total = min(sum(wanted.values()), enough)
    if not total:
        return 0.0
    held = frozenset(content(text)) | numbers(text)
    return min(1.0, sum(weight for term, weight in wanted.items() if term in held) / total)


def relevances(question: str, contexts: Sequence[Context], similarity: Similarity | None = None) -> tuple[float, ...]:
    """How well each passage fits the question, 0 to 1; with a similarity, the mean of the two measures."""
    wanted = weights(question)
    texts = [context.passage.embedded_text for context in contexts]
    lexical = [coverage(wanted, text, enough=ENOUGH) for text in texts]
    if not similarity or not texts:
        return tuple(lexical)
    return tuple((left + right) / 2 for left, right in zip(lexical, similarity(question, texts), strict=True))


def _core(question: str) -> str:
    """A short question as it is; of a long one its first sentence and the ones that ask."""
    if len(frozenset(content(question))) <= LONG_QUESTION:
        return question
    first, *rest = (sentence.text for sentence in split_sentences(question))
    return " ".join([first, *(sentence for sentence in rest if sentence.endswith("?"))])


_GENERIC = frozenset(map(stem, GENERIC))
