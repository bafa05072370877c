"""How far a passage supports a claim, without a judge: shared words, exact figures and names, polarity, longest quote.

The measure follows the lexical option of reference-free citation checks (ALCE asks an entailment model the same
question; here the answer comes from rules that can be read). Figures, names and negations are hard rules, because a
claim that shares every other word and differs there is the one that does harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from honed.answer.sentences import Sentence, split_sentences, strip_mark
from honed.answer.terms import STOP, content, names, negated, numbers, opposed, words
from honed.answer.terms import stems as all_stems
from honed.types import Passage

THRESHOLD = 0.6
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
    """Share of the claim's content words in the best two neighbouring sentences."""
    quoted: float
    """Share of the claim's words in its longest run that the passage has word for word."""
    missing: frozenset[str] = frozenset()
    """Figures and names of the claim that the passage does not have."""
    contradicted: bool = False
    """The passage denies what the claim says, or says the opposite."""


def judge(claim: str, passage: Passage) -> Support:
    """Weigh a claim (one sentence, without markers) against a passage; its title and headings count as known."""
    stems = frozenset(content(claim))
    evidence = _read(passage.embedded_text, passage.text)
    if not stems or not evidence.sentences:
        return Support(0.0, "", 0.0, 0.0)
    index, recall, whole = _best_window((stems - evidence.heading) or stems, evidence)
    quoted = _longest_run(claim, evidence.flat)
    bare = strip_mark(claim)
    missing = (numbers(bare) - evidence.numbers) | {name for name in names(bare) if name not in evidence.vocabulary}
    contradicted = _contradicts(bare, stems, index, evidence)
    score = 0.6 * recall + 0.2 * whole + 0.2 * quoted
    if missing or contradicted:
        score *= BREACH
    quote = evidence.sentences[index].text
    return Support(score, quote, recall, quoted, frozenset(missing), contradicted)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """A passage, taken apart once."""

    sentences: tuple[Sentence, ...]
    bags: tuple[frozenset[str], ...]
    stems: frozenset[str]
    heading: frozenset[str]
    vocabulary: frozenset[str]
    numbers: frozenset[str]
    flat: str


@lru_cache(maxsize=512)
def _read(full: str, text: str) -> _Evidence:
    sentences = split_sentences(text)
    bags = tuple(frozenset(content(sentence.text)) for sentence in sentences)
    tokens = words(full)
    return _Evidence(
        sentences=sentences,
        bags=bags,
        stems=frozenset(content(full)),
        heading=frozenset(content(full.removesuffix(text))),
        vocabulary=frozenset(content(full)) | names(full) | STOP,
        numbers=numbers(full),
        flat=f" {' '.join(tokens)} ",
    )


def _best_window(stems: frozenset[str], evidence: _Evidence) -> tuple[int, float, float]:
    """The sentence that shares most with the claim, the recall of it with its better neighbour, and of the whole text."""
    shared = [len(stems & bag) for bag in evidence.bags]
    index = max(range(len(shared)), key=lambda position: (shared[position], -len(evidence.bags[position])))
    own = evidence.bags[index]
    neighbours = [evidence.bags[position] for position in (index - 1, index + 1) if 0 <= position < len(shared)]
    best = max(len(stems & (own | bag)) for bag in [own, *neighbours])
    return index, best / len(stems), len(stems & frozenset().union(*evidence.bags)) / len(stems)


def _longest_run(claim: str, flat: str) -> float:
    """Longest run of the claim's words that occurs in the passage, as a share of the claim."""
    tokens = words(claim)
    longest = 0
    for start in range(len(tokens)):
        while start + longest < len(tokens) and f" {' '.join(tokens[start : start + longest + 1])} " in flat:
            longest += 1
    return longest / len(tokens) if tokens else 0.0


def _contradicts(claim: str, stems: frozenset[str], index: int, evidence: _Evidence) -> bool:
    """Does the best sentence deny what the claim affirms, affirm what it denies, or say the opposite?"""
    sentence = evidence.sentences[index].text
    shared = stems & evidence.bags[index]
    denied, denies = negated(claim), negated(sentence)
    if (shared & denied) - denies or (shared & denies) - denied:
        return True
    return opposed(frozenset(all_stems(claim)), frozenset(all_stems(sentence)))
