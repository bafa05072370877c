"""The answer without a language model: the sentences of the passages that fit the question best, in reading order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from honed.answer.relevance import NAME_WEIGHT, Similarity, coverage, rarity, weights
from honed.answer.sentences import Sentence, split_sentences, strip_mark
from honed.answer.terms import content, numbers, stem, words
from honed.types import Context

LIMIT = 3
SHORTEST, LONGEST = 4, 60
"""Words of a sentence that may stand as an answer; shorter ones are headings, longer ones tables."""
KEEP = 0.65
"""A further sentence needs this share of the best one's score."""
ALIKE = 0.7
"""Two sentences that share this part of their words say the same."""

_DEFINITION = re.compile(
    r"\s*(?:(?:what|who)(?:\s+is|\s+are|\s+was|\s+were|'s)(?:\s*\(are\))?(?!\s+(?:the\s+)?(?:\w+\s+){1,3}(?:of|for|to)\b)\s+(?:an?\s+|the\s+)?(?P<a>.+?)"
    r"|define\s+(?P<b>.+?)|what\s+does\s+(?P<c>.+?)\s+mean)\s*[?.!]*\s*\Z",
    re.IGNORECASE,
)
_COPULA = frozenset("is are was were refers means describes denotes".split())


@dataclass(frozen=True, slots=True)
class Pick:
    """A sentence that was chosen: `text` is ready to be read, `quote` is how the passage has it."""

    text: str
    quote: str
    context: int
    start: int
    score: float


def extract(
    question: str, contexts: Sequence[Context], *, similarity: Similarity | None = None, limit: int = LIMIT
) -> tuple[Pick, ...]:
    """One to `limit` sentences that answer the question, in reading order, none said twice; nothing where nothing fits.

    A sentence scores by the question's words that it holds, weighed by their rarity among the passages, by its passage
    (its share of the question's words and its rank), by its similarity if a callable is given, and, where a definition
    is asked for, by beginning with the asked thing.
    """
    chosen: list[Pick] = []
    for pick in sorted(_candidates(question, contexts, similarity), key=lambda pick: -pick.score):
        if chosen and pick.score < KEEP * chosen[0].score:
            break
        if pick.score > 0 and not any(_alike(pick, other) for other in chosen):
            chosen.append(pick)
        if len(chosen) == limit:
            break
    return tuple(sorted(chosen, key=lambda pick: (contexts[pick.context].rank, pick.context, pick.start)))


def asked_thing(question: str) -> str:
    """What a question of the kind "What is X?" asks to be defined; empty for other questions."""
    match = _DEFINITION.match(question)
    return next((group for group in match.groups() if group), "") if match else ""


class Extractive:
    """The generator that writes nothing of its own: `extract` with markers, for the spec `extractive`."""

    name = "extractive"

    @classmethod
    def from_spec(cls, _spec: Any, **_: Any) -> Extractive:
        """Build from `extractive`; there is nothing to set."""
        return cls()

    def generate(self, question: str, contexts: Sequence[Context], *, max_tokens: int = 160) -> Iterator[str]:
        """Stream the picked sentences with their markers, at most about `max_tokens` of them (one a word)."""
        room = max_tokens
        for pick in extract(question, contexts):
            room -= len(pick.text.split())
            if room >= 0:
                yield f"{pick.text} [{pick.context + 1}]\n"


def _candidates(question: str, contexts: Sequence[Context], similarity: Similarity | None) -> list[Pick]:
    """Every sentence that may stand as an answer, scored."""
    wanted = weights(question)
    bags = [frozenset(content(c.passage.embedded_text)) | numbers(c.passage.embedded_text) for c in contexts]
    rare = rarity(bags)
    wanted = {term: weight * rare.get(term, NAME_WEIGHT * log(1 + len(bags))) for term, weight in wanted.items()}
    subject = frozenset(content(asked_thing(question)))
    picks: list[Pick] = []
    for number, context in enumerate(contexts):
        fit = coverage(wanted, context.passage.embedded_text) + 1 / (2 + number)
        for sentence in split_sentences(context.passage.text):
            text = " ".join(strip_mark(sentence.text).split())
            if SHORTEST <= len(text.split()) <= LONGEST and not text.endswith(("?", ":")):
                score = coverage(wanted, text) + 0.6 * fit + 0.5 * _defines(text, subject)
                picks.append(Pick(text, _quote(sentence), number, sentence.start, score))
    if similarity and picks:
        near = similarity(question, [pick.text for pick in picks])
        picks = [
            Pick(pick.text, pick.quote, pick.context, pick.start, pick.score + value)
            for pick, value in zip(picks, near, strict=True)
        ]
    return picks


def _quote(sentence: Sentence) -> str:
    """The sentence as the passage has it, from where its text begins."""
    bare = strip_mark(sentence.text)
    return bare if bare in sentence.text else sentence.text


def _defines(sentence: str, subject: frozenset[str]) -> bool:
    """Does the sentence begin with the asked thing, followed by "is" or the like?"""
    if not subject:
        return False
    head = words(sentence)[: 2 * len(subject) + 6]
    verbs = [position for position, word in enumerate(head) if word in _COPULA]
    if not verbs:
        return False
    before = {stem(word) for word in head[: verbs[0]]}
    return len(subject & before) >= max(1, len(subject) - 1)


def _alike(left: Pick, right: Pick) -> bool:
    """Do two sentences say the same, or does one hold the other?"""
    ours, theirs = frozenset(content(left.text)), frozenset(content(right.text))
    smaller = min(len(ours), len(theirs))
    return smaller == 0 or len(ours & theirs) / smaller >= ALIKE
