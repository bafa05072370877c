"""What carries a text: light stems, figures, names, and what a negation covers. No model."""

from __future__ import annotations

import re
from functools import lru_cache

from honed.answer.vocabulary import NEGATORS, NUMERALS, OPPOSITES, STOP

SCOPE = 6
"""Words that a negation reaches over, and that a comparison looks at on each side."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,]\d+)*")
_NUMBER = re.compile(r"(?<![\w.])\.?\d+(?:[.,]\d+)*")
_CLAUSE = re.compile(r"(?:[.,](?!\d)|[;:!?()\n])|\bbut\b")


def words(text: str) -> list[str]:
    """All words and figures, lower case, in order; a Chinese, Japanese or Korean character is a word."""
    return [word.replace("’", "'") for word in _WORD.findall(text.casefold())]


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A word without plural and verb endings: causes, caused, causing -> caus. Lighter than Porter's, on purpose."""
    word = word.removesuffix("'s").replace("'", "")
    if len(word) <= 3 or not word.isascii() or not word.isalpha():
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def stems(text: str) -> list[str]:
    """Stems of all words, function words too: "more" and "less" decide a comparison."""
    return [stem(word) for word in words(text)]


def content(text: str) -> list[str]:
    """Stems of the words that carry meaning, in order, with repeats; figures are left to `numbers`."""
    return [stem(word) for word in words(text) if word not in _NO_CONTENT and not word[0].isdigit()]


def numbers(text: str) -> frozenset[str]:
    """Figures in one spelling: 1,000 and 1000, .05 and 0.05, "two" and 2 are the same."""
    figures = {_normal(match) for match in _NUMBER.findall(text)}
    figures.update(NUMERALS[word] for word in words(text) if word in NUMERALS)
    return frozenset(figures)


def names(sentence: str) -> frozenset[str]:
    """Stems of the capitalised words of a sentence, except an ordinary first word, and of words like mRNA or B12."""
    capitalised: set[str] = set()
    for position, match in enumerate(re.finditer(r"[^\W_]+", sentence)):
        word = match.group()
        capitals = sum(letter.isupper() for letter in word)
        if capitals and (position > 0 or capitals > 1) and word.casefold() not in STOP:
            capitalised.add(stem(word.casefold()))
    return frozenset(capitalised)


def polarity(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Stems and figures that a text affirms, and those that a negation covers; a stem can be in both."""
    affirmed: set[str] = set()
    denied: set[str] = set()
    for clause in _CLAUSE.split(text.casefold()):
        reach = 0
        tokens = words(clause)
        for position, word in enumerate(tokens):
            if word.replace("'", "") in NEGATORS or word.endswith("n't"):
                only = position + 1 < len(tokens) and tokens[position + 1] == "only"
                reach = 0 if only else SCOPE
            elif word not in STOP:
                (denied if reach else affirmed).add(stem(word))
            reach = max(0, reach - 1)
    return frozenset(affirmed), frozenset(denied)


def compared(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Stems on the left and on the right of "than", a few words each; empty without a comparison."""
    tokens = words(text)
    if "than" not in tokens:
        return frozenset(), frozenset()
    middle = tokens.index("than")
    sides = tokens[max(0, middle - SCOPE) : middle], tokens[middle + 1 : middle + 1 + SCOPE]
    left, right = (frozenset(stem(word) for word in side if word not in STOP) for side in sides)
    return left - right, right - left


def opposed(claim: frozenset[str], evidence: frozenset[str]) -> bool:
    """Whether the evidence holds the opposite of a word of the claim, and not the word itself."""
    for left, right in _OPPOSITE_STEMS:
        for word, opposite in ((left, right), (right, left)):
            if word in claim and word not in evidence and opposite in evidence and opposite not in claim:
                return True
    return False


_OPPOSITE_STEMS = tuple((stem(left), stem(right)) for left, right in OPPOSITES)


def _normal(number: str) -> str:
    """One spelling of a figure; a version such as 1.2.3 stays as it is."""
    plain = re.sub(r",(?=\d{3}(?:\D|$))", "", number).replace(",", ".")
    if plain.count(".") > 1:
        return plain
    whole, _, fraction = plain.partition(".")
    fraction = fraction.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{fraction}" if fraction else "")


_NO_CONTENT = STOP | frozenset(NUMERALS)
