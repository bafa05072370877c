"""How far a passage supports a claim, without a judge: shared words, exact figures and names, polarity, longest quote.

The measure follows the lexical option of reference-free citation checks (ALCE asks an entailment model the same
question; here the answer comes from rules that can be read). Figures, names and negations are hard rules, because a
claim that shares every other word and differs there is the one that does harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from honed.answer.sentences import Sentence, split_sentences, strip_mark
from honed.answer.terms import compared, content, names, numbers, opposed, polarity, stem, stems, words
from honed.answer.vocabulary import GENERIC, LIGHT, STOP
from honed.types import Passage

THRESHOLD = 0.9
RECALL_WEIGHT = 0.9
SUBJECT = 2
"""Words at the head of a claim that have to be the passage's own: its subject, nearly always."""
BREACH = 0.4
"""Factor on the score of a claim whose figures, names or polarity the passage does not bear out."""


@dataclass(frozen=True, slots=True)
class Support:
    """The verdict on one claim and one passage."""

    score: float
    """0 to 1; from `THRESHOLD` on the claim counts as supported."""
    quote: str
    """The sentence of the passage that bears the claim out best, word for word."""
    recall: float
    """Share of the claim's content words in the two sentences that cover it best."""
    quoted: float
    """Share of the claim's words in its longest run that the passage has word for word."""
    missing: frozenset[str] = frozenset()
    """Figures and names of the claim that the passage does not have."""
    contradicted: bool = False
    """The passage denies what the claim says, or says the opposite."""


def judge(claim: str, passage: Passage) -> Support:
    """Weigh a claim (one sentence, without markers) against a passage; its title and headings count as known."""
    claim = strip_mark(claim)
    evidence = _read(passage.embedded_text, passage.text)
    terms = [term for term in content(claim) if term not in _LIGHT]
    wanted = frozenset(terms)
    if not wanted or not evidence.sentences:
        return Support(0.0, "", 0.0, 0.0)
    index, window, recall = _best_window((wanted - evidence.heading) or wanted, evidence)
    quoted = _longest_run(claim, evidence.flat)
    missing = (numbers(claim) - numbers(window)) | (names(claim) - evidence.vocabulary) | _foreign(terms, evidence)
    contradicted = _contradicts(claim, evidence.sentences[index].text)
    score = RECALL_WEIGHT * recall + (1 - RECALL_WEIGHT) * quoted
    if missing or contradicted:
        score *= BREACH
    return Support(score, evidence.sentences[index].text, recall, quoted, missing, contradicted)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """A passage, taken apart once."""

    sentences: tuple[Sentence, ...]
    bags: tuple[frozenset[str], ...]
    heading: frozenset[str]
    vocabulary: frozenset[str]
    title: str
    flat: str


@lru_cache(maxsize=512)
def _read(full: str, text: str) -> _Evidence:
    sentences = split_sentences(text)
    bags = tuple(frozenset(content(sentence.text)) for sentence in sentences)
    tokens = words(full)
    return _Evidence(
        sentences=sentences,
        bags=bags,
        heading=frozenset(content(full.removesuffix(text))),
        vocabulary=frozenset(content(full)) | names(full) | STOP,
        title=full.removesuffix(text),
        flat=f" {' '.join(tokens)} ",
    )


def _best_window(wanted: frozenset[str], evidence: _Evidence) -> tuple[int, str, float]:
    """The sentence that shares most with the claim, its text with the one that adds most, and the recall of both."""
    shared = [len(wanted & bag) for bag in evidence.bags]
    index = max(range(len(shared)), key=lambda position: (shared[position], -len(evidence.bags[position])))
    left = wanted - evidence.bags[index]
    second = max(range(len(shared)), key=lambda position: (len(left & evidence.bags[position]), -abs(position - index)))
    text = " ".join([evidence.title, evidence.sentences[index].text, evidence.sentences[second].text])
    return index, text, 1 - len(left - evidence.bags[second]) / len(wanted)


def _longest_run(claim: str, flat: str) -> float:
    """Longest run of the claim's words that occurs in the passage, as a share of the claim."""
    tokens = words(claim)
    longest = 0
    for start in range(len(tokens)):
        while start + longest < len(tokens) and f" {' '.join(tokens[start : start + longest + 1])} " in flat:
            longest += 1
    return longest / len(tokens) if tokens else 0.0


def _foreign(terms: Sequence[str], evidence: _Evidence) -> frozenset[str]:
    """Words that make it a claim about something else: an unknown one in its subject, or two in a row."""
    familiar = [term in evidence.vocabulary for term in terms]
    subject = [position for position, term in enumerate(terms) if term not in _GENERIC][:SUBJECT]
    strangers = {terms[position] for position in subject if not familiar[position]}
    for position in range(1, len(terms)):
        if not familiar[position - 1] and not familiar[position]:
            strangers |= {terms[position - 1], terms[position]}
    return frozenset(strangers)


def _contradicts(claim: str, sentence: str) -> bool:
    """Whether the sentence denies what the claim affirms (or the reverse), reverses a comparison, or states the opposite."""
    affirmed, denied = polarity(claim)
    theirs, theirs_denied = polarity(sentence)
    if (denied - affirmed) & (theirs - theirs_denied) or (affirmed - denied) & (theirs_denied - theirs):
        return True
    (left, right), (their_left, their_right) = compared(claim), compared(sentence)
    if left & their_right and right & their_left:
        return True
    return opposed(frozenset(stems(claim)), frozenset(stems(sentence)))


_LIGHT = frozenset(map(stem, LIGHT))
_GENERIC = frozenset(map(stem, GENERIC))
