"""The words that carry a text: light stems, figures, names, and what a negation covers. No model, no language data."""

from __future__ import annotations

import re
from functools import lru_cache

STOP = frozenset(
    "a about above after again all also although am among an and any are as at be because been before being below "
    "between both but by can cannot could did do does doing down during each either etc few for from further had has "
    "have having he her here hers him his how however i if in into is it its itself just may me might more most must my "
    "of off often on once only onto or other our ours out over own per perhaps rather s same shall she should so some "
    "such t than that the their theirs them then there thereby these they this those through thus to too under until "
    "up upon us very via was we were what when where whereas whether which while who whom whose why will with within "
    "would you your yours yes".split()
)
NEGATORS = frozenset(
    "absence absent cannot didnt doesnt dont fail failed fails isnt lack lacked lacking lacks neither never no none nor not "
    "unable wasnt werent without wont".split()
)
SCOPE = 5
"""Words that a negation reaches over, up to the next comma, stop or "but"."""

OPPOSITES = (
    ("increase", "decrease"), ("increase", "reduce"), ("raise", "lower"), ("higher", "lower"), ("high", "low"),
    ("more", "less"), ("most", "least"), ("before", "after"), ("better", "worse"), ("best", "worst"), ("early", "late"),
    ("positive", "negative"), ("benign", "malignant"), ("acute", "chronic"), ("male", "female"), ("men", "women"),
    ("minimum", "maximum"), ("allow", "forbid"), ("enable", "disable"), ("accept", "reject"), ("above", "below"),
    ("significant", "insignificant"), ("effective", "ineffective"), ("common", "rare"), ("always", "never"),
    ("safe", "dangerous"), ("true", "false"), ("longer", "shorter"), ("larger", "smaller"), ("superior", "inferior"),
)

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,]\d+)*")
_NUMBER = re.compile(r"(?<![\w.])\.?\d+(?:[.,]\d+)*")
_SPELLED = {
    word: str(value)
    for value, word in enumerate(
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
        "nineteen twenty".split(),
        start=2,
    )
} | {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90", "hundred": "100"}


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
    return [stem(word) for word in words(text) if word not in STOP and not word[0].isdigit()]


def numbers(text: str) -> frozenset[str]:
    """Figures in one spelling: 1,000 and 1000, .05 and 0.05, "two" and 2 are the same."""
    found = {_normal(match) for match in _NUMBER.findall(text)}
    found.update(_SPELLED[word] for word in words(text) if word in _SPELLED)
    return frozenset(found)


def names(sentence: str) -> frozenset[str]:
    """Stems of the capitalised words of a sentence, except an ordinary first word, and of words like mRNA or B12."""
    found: set[str] = set()
    for position, match in enumerate(re.finditer(r"[^\W_]+", sentence)):
        word = match.group()
        capitals = sum(letter.isupper() for letter in word)
        if capitals and (position > 0 or capitals > 1) and word.casefold() not in STOP:
            found.add(stem(word.casefold()))
    return frozenset(found)


def negated(text: str) -> frozenset[str]:
    """Stems that a negation covers."""
    found: set[str] = set()
    for clause in re.split(r"[.,;:!?()\n]|\bbut\b", text.casefold()):
        reach = 0
        tokens = words(clause)
        for position, word in enumerate(tokens):
            if word.replace("'", "") in NEGATORS or word.endswith("n't"):
                only = position + 1 < len(tokens) and tokens[position + 1] == "only"
                reach = 0 if only else SCOPE
            elif reach:
                reach -= 1
                if word not in STOP:
                    found.add(stem(word))
    return frozenset(found)


def opposed(claim: frozenset[str], evidence: frozenset[str]) -> bool:
    """Does the evidence hold the opposite of a word of the claim, and not the word itself?"""
    for left, right in _OPPOSITE_STEMS:
        for word, other in ((left, right), (right, left)):
            if word in claim and word not in evidence and other in evidence and other not in claim:
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
