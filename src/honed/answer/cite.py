"""From generated text to an answer in which every sentence cites a passage that bears it out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from honed.answer.sentences import split_sentences, strip_mark
from honed.answer.support import THRESHOLD, Support, judge
from honed.answer.terms import content, numbers, stem
from honed.answer.vocabulary import GENERIC
from honed.types import Citation, Context, Passage

REFUSAL = "The documents do not answer this question."

_MARKER = re.compile(
    r"[ \t]*[\[【(](?:passages?|source|doc)?\s*(\d{1,3}(?:\s*[,;&–-]\s*\d{1,3})*)[\]】)](?!\w)", re.IGNORECASE
)


class Cited(NamedTuple):
    """Text with markers, one citation a sentence, and the sentences that no passage bears out."""

    text: str
    citations: tuple[Citation, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """A generated sentence without its markers, and the passages (from 0) that it names."""

    text: str
    named: tuple[int, ...] = ()


@dataclass(slots=True)
class Draft:
    """An answer in the making. `[k]` is the k-th different passage in the order of the citations.

    `accept` may turn down a supported sentence, given the passage that supports it.
    """

    contexts: Sequence[Context]
    threshold: float = THRESHOLD
    accept: Callable[[str, int], bool] = lambda _sentence, _context: True
    text: str = ""
    citations: list[Citation] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    repeats: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)
    _written: list[frozenset[str]] = field(default_factory=list)

    def add(self, claim: Claim) -> bool:
        """Verify a claim and write it down with its citation; False if it was dropped or said before."""
        stems = frozenset(content(claim.text))
        if stems in self._written:
            self.repeats += 1
            return False
        best = best_support(claim, self.contexts, self.threshold) if _says_something(claim.text) else None
        if best is None or not self.accept(claim.text, best[0]):
            self.dropped.append(claim.text)
            return False
        index, support = best
        self._written.append(stems)
        passage = self.contexts[index].passage
        self.write(_without_title(claim.text, passage), passage.id, support.quote)
        return True

    def write(self, sentence: str, passage: str, quote: str) -> None:
        """Append a sentence that is known to be supported; references of its own, such as [3], would read as ours."""
        number = self._numbers.setdefault(passage, len(self._numbers) + 1)
        start = len(self.text) + (1 if self.text else 0)
        body = _MARKER.sub("", sentence).rstrip()
        stop = body[-1:] if body.endswith((".", "!", "?", "。")) else "."
        self.text += f"{' ' if self.text else ''}{body.rstrip('.!?。;,')} [{number}]{stop}"
        self.citations.append(Citation(passage, quote, start, len(self.text)))


def cite(text: str, contexts: Sequence[Context], *, threshold: float = THRESHOLD) -> Cited:
    """Verify a generated text sentence by sentence.

    `[k]` in the text names `contexts[k - 1]`. A sentence keeps the passage it names if that passage bears it out, else
    it gets the passage that does best, else it is dropped; a repeated sentence is left out. In the result `[k]` is the
    k-th different passage in the order of `citations`, each citation spans its sentence with the marker, and `quote` is
    the supporting sentence word for word. With nothing left the text is `REFUSAL` and there are no citations.
    """
    draft = Draft(contexts, threshold)
    for claim in claims(text):
        draft.add(claim)
    return Cited(draft.text or REFUSAL, tuple(draft.citations), tuple(draft.dropped))


def numbered(citations: Iterable[Citation]) -> dict[str, int]:
    """Passage id -> the number that stands for it in the text of the answer."""
    return {passage: number for number, passage in enumerate(dict.fromkeys(c.passage for c in citations), start=1)}


def claims(text: str, *, complete: bool = True) -> list[Claim]:
    """The sentences of a generated text, with the passages that their markers name.

    Markers stand after a sentence (or inside it); in a text that begins with one they stand before. With `complete`
    False the text is still being written, and its last sentence is left out.
    """
    bare, marks = _without_markers(text)
    leading = bool(marks) and not bare[: marks[0][0]].strip()
    sentences = split_sentences(bare)
    result: list[Claim] = []
    for index, sentence in enumerate(sentences if complete else sentences[:-1]):
        until = sentences[index + 1].start if index + 1 < len(sentences) else len(bare) + 1
        named = [
            passage
            for position, passages in marks
            for passage in passages
            if (sentence.start - 1 <= position < until - 1 if leading else sentence.start < position <= until - 1)
        ]
        body = " ".join(strip_mark(sentence.text).split())
        if any(letter.isalnum() for letter in body):
            result.append(Claim(body, tuple(dict.fromkeys(named))))
    return result


def best_support(claim: Claim, contexts: Sequence[Context], threshold: float) -> tuple[int, Support] | None:
    """The passage that bears a claim out: one that it names if possible, else the best of all, else None."""
    named = [index for index in claim.named if 0 <= index < len(contexts)]
    for candidates in (named, range(len(contexts))):
        verdicts = [(index, judge(claim.text, contexts[index].passage)) for index in candidates]
        good = [verdict for verdict in verdicts if verdict[1].score >= threshold]
        if good:
            return max(good, key=lambda verdict: verdict[1].score)
    return None


def _without_title(sentence: str, passage: Passage) -> str:
    """A sentence without the "Title: " in front of it, which small models copy from the prompt."""
    for title in (passage.context, passage.title):
        if title and sentence.casefold().startswith(f"{title.casefold()}: "):
            return sentence[len(title) + 2 :].lstrip() or sentence
    return sentence


def _says_something(sentence: str) -> bool:
    """Whether a sentence is a statement: a question and a lead-in to a list are not, whatever the passages say."""
    return not sentence.endswith(("?", ":")) and bool(frozenset(content(sentence)) - _GENERIC or numbers(sentence))


def _without_markers(text: str) -> tuple[str, list[tuple[int, list[int]]]]:
    """The text without markers, and where each stood with the passages (from 0) that it names."""
    parts: list[str] = []
    marks: list[tuple[int, list[int]]] = []
    length, last = 0, 0
    for match in _MARKER.finditer(text):
        parts.append(text[last : match.start()])
        length += match.start() - last
        marks.append((length, [int(number) - 1 for number in re.findall(r"\d+", match.group(1))]))
        last = match.end()
    return "".join([*parts, text[last:]]), marks


_GENERIC = frozenset(map(stem, GENERIC))
