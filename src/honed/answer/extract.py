"""The answer without a language model: the sentences of the passages that fit the question best, in reading order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log

from honed.answer.relevance import Similarity, coverage, weights
from honed.answer.sentences import split_sentences, strip_mark
from honed.answer.terms import content, numbers, stem, words
from honed.types import Context

LIMIT = 3
SHORTEST, LONGEST = 4, 60
"""Words of a sentence that may stand as an answer; shorter ones are headings, longer ones tables."""
KEEP = 0.8
"""A further sentence needs this share of the best one's score."""
SHORTLIST = 16
"""Candidates whose similarity is asked for: encoding them is most of the time of an answer without a model."""
ALIKE = 0.7
"""Two sentences that share this part of their words say the same."""
DEFINITION_BONUS = 0.5

_DEFINITION = re.compile(
    r"\s*(?:(?:what|who)(?:\s+is|\s+are|\s+was|\s+were|'s)(?:\s*\(are\))?"
    r"(?!\s+(?:the\s+)?(?:\w+\s+){1,3}(?:of|for|to)\b)\s+(?:an?\s+|the\s+)?(?P<is>.+?)"
    r"|define\s+(?P<define>.+?)|what\s+does\s+(?P<mean>.+?)\s+mean)\s*[?.!]*\s*\Z",
    re.IGNORECASE,
)
_LEAD_IN = re.compile(
    r"(?:\b(?:are|is|were|was|includes?|including|following|such as|as follows)|[:?])\W*\Z", re.IGNORECASE
)
_COPULA = frozenset({"is", "are", "was", "were", "refers", "means", "describes", "denotes"})


@dataclass(frozen=True, slots=True)
class Pick:
    """A sentence that was chosen: `text` is ready to be read, `quote` is how the passage has it."""

    text: str
    quote: str
    context: int
    start: int
    score: float


class SentenceScorer:
    """Scores sentences by how well they answer one question from one set of passages.

    A sentence gets the question's words that it and its title hold, weighed by their rarity among the passages; the same
    measure and the rank of its passage; its similarity if there is a callable; and a bonus for beginning with the asked
    thing where a definition is asked for. The title counts for every sentence under it ("It is caused by ..."),
    which by itself gives much better answers.
    """

    def __init__(self, question: str, contexts: Sequence[Context], similarity: Similarity | None = None) -> None:
        texts = [context.passage.embedded_text for context in contexts]
        self._question = question
        self._similarity = similarity
        self._subject = frozenset(content(asked_thing(question)))
        self._wanted = _by_rarity(weights(question), texts)
        self._titles = [context.passage.context for context in contexts]
        self._fits = [coverage(self._wanted, text) + 1 / (2 + place) for place, text in enumerate(texts)]

    def lexical(self, sentences: Sequence[str], contexts: Sequence[int]) -> list[float]:
        """One score a sentence from words alone; `contexts` says which passage each comes from."""
        return [
            coverage(self._wanted, f"{self._titles[context]} {sentence}")
            + self._fits[context]
            + DEFINITION_BONUS * _defines(sentence, self._subject)
            for sentence, context in zip(sentences, contexts, strict=True)
        ]

    def scores(self, sentences: Sequence[str], contexts: Sequence[int]) -> list[float]:
        """One score a sentence, higher is better: words, and similarity where there is one."""
        scores = self.lexical(sentences, contexts)
        if not self._similarity or not sentences:
            return scores
        near = self._similarity(self._question, sentences)
        return [score + float(closeness) for score, closeness in zip(scores, near, strict=True)]


def candidates(contexts: Sequence[Context], scorer: SentenceScorer) -> list[Pick]:
    """The sentences that may stand as an answer, best first: the `SHORTLIST` best by words, in the order of their scores."""
    picks: list[Pick] = []
    for number, context in enumerate(contexts):
        for sentence in split_sentences(context.passage.text):
            quote = strip_mark(sentence.text)
            text = " ".join(quote.split())
            if SHORTEST <= len(text.split()) <= LONGEST and not _LEAD_IN.search(text):
                picks.append(Pick(text, quote, number, sentence.start, 0.0))
    shortlist = _scored(picks, scorer.lexical)[:SHORTLIST]
    return _scored(shortlist, scorer.scores)


def select(ranked: Sequence[Pick], limit: int = LIMIT) -> tuple[Pick, ...]:
    """One to `limit` of the candidates, none far behind the first, none said twice, in reading order."""
    chosen: list[Pick] = []
    for pick in ranked:
        if len(chosen) == limit or (chosen and pick.score < KEEP * chosen[0].score):
            break
        if pick.score > 0 and not any(_alike(pick, earlier) for earlier in chosen):
            chosen.append(pick)
    return tuple(sorted(chosen, key=lambda pick: (pick.context, pick.start)))


def extract(
    question: str, contexts: Sequence[Context], *, similarity: Similarity | None = None, limit: int = LIMIT
) -> tuple[Pick, ...]:
    """The sentences of the passages that answer the question, in reading order; none where nothing fits."""
    return select(candidates(contexts, SentenceScorer(question, contexts, similarity)), limit)


def asked_thing(question: str) -> str:
    """The X of a question of the kind "What is X?"; empty for other questions."""
    match = _DEFINITION.match(question)
    return next((group for group in match.groups() if group), "") if match else ""


def _scored(picks: list[Pick], score: Callable[[Sequence[str], Sequence[int]], list[float]]) -> list[Pick]:
    """The picks with these scores, best first."""
    scores = score([pick.text for pick in picks], [pick.context for pick in picks])
    return sorted((replace(p, score=s) for p, s in zip(picks, scores, strict=True)), key=lambda pick: -pick.score)


def _by_rarity(wanted: dict[str, float], texts: Sequence[str]) -> dict[str, float]:
    """Weights times inverse document frequency within the passages; a word that none has counts as the rarest."""
    bags = [frozenset(content(text)) | numbers(text) for text in texts]
    held = {term: sum(term in bag for bag in bags) for term in wanted}
    return {term: weight * log(1 + len(bags) / max(held[term], 1)) for term, weight in wanted.items()}


def _defines(sentence: str, subject: frozenset[str]) -> bool:
    """Whether the sentence begins with the asked thing, followed by "is" or the like."""
    head = words(sentence)[: 2 * len(subject) + 6] if subject else []
    verb = next((position for position, word in enumerate(head) if word in _COPULA), 0)
    return len(subject & {stem(word) for word in head[:verb]}) >= max(1, len(subject) - 1)


def _alike(left: Pick, right: Pick) -> bool:
    """Whether two sentences say the same, or one contains the other."""
    ours, theirs = frozenset(content(left.text)), frozenset(content(right.text))
    smaller = min(len(ours), len(theirs))
    return smaller == 0 or len(ours & theirs) / smaller >= ALIKE
