"""Text to sentences, with exact offsets: abbreviations, decimals, initials, lists, tables and headings are known.

No model and no word list beyond a few dozen abbreviations. Between two sentences there is nothing but white space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from honed.answer.vocabulary import ABBREVIATIONS, COUNTED, OPENERS

_END = re.compile(
    r"(?<![.!?…])[.!?…]+[\"'”’»)\]]*(?:\[\d[\d,;\s–-]*\])*(?=\s|\Z)"  # a mark, what it closes, a reference such as [3]
    r"|[。！？]+[」』”]*"
    r"|:(?=\s+[-–•*·]\s)"  # a lead-in to a list
    r"|[a-z)]{3}[.?!](?=[A-Z][A-Za-z]{2})"  # a lost space: "lesions.The"
)
_MARK = re.compile(r"[-–•*·▪◦]\s|\(?(?:\d{1,3}|[a-zA-Z])[.)]\s")
_SHORT_LINE = 45


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, list item, table row or heading: `text` is `source[start:end]`."""

    text: str
    start: int
    end: int


def split_sentences(text: str) -> tuple[Sentence, ...]:
    """The sentences of a text in order. Together they hold every character that is not white space."""
    return tuple(
        Sentence(text[start:end], start, end)
        for block_start, block_end in _blocks(text)
        for start, end in _cut(text, block_start, block_end)
    )


def strip_mark(sentence: str) -> str:
    """A sentence without the bullet or number of a list, the `#` of a heading and the bars of a table row."""
    bare = sentence.strip().lstrip("#").lstrip()
    if bare.startswith("|"):
        bare = bare.strip("|").strip()
    while match := _MARK.match(bare):
        bare = bare[match.end() :].lstrip()
    return bare


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Runs of lines that belong together: a paragraph, or one list item, table row or heading."""
    start, end, previous = 0, 0, ""
    for match in re.finditer(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+", text):
        line = match.group().strip()
        if not line:
            continue
        gap = text[end : match.start()]
        if previous and _separate(previous, line, blank=gap.count("\n") > 1):
            yield start, end
            start = match.start()
        end, previous = match.end(), line
    if previous:
        yield start, end


def _separate(previous: str, line: str, *, blank: bool) -> bool:
    """Whether a new block begins with this line."""
    if blank or previous.startswith(("#", "|")) or line.startswith(("#", "|")) or _MARK.match(line):
        return True
    return len(previous) < _SHORT_LINE and line[0].isupper() and previous[-1] not in ",;-–"


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans of the sentences in one block, without the white space around them."""
    block = text[start:end]
    begin = 0
    if not block.lstrip().startswith("|"):
        for match in _END.finditer(block):
            if _is_end(block, begin, match):
                yield from _trimmed(text, start + begin, start + match.end())
                begin = match.end()
    yield from _trimmed(text, start + begin, end)


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end


def _is_end(block: str, begin: int, match: re.Match[str]) -> bool:
    """Whether a sentence that began at `begin` ends with this mark."""
    following = block[match.end() : match.end() + 40].split(maxsplit=1)
    word = following[0] if following else ""
    mark = match.group()
    if not word or mark[0] in "。！？:":
        return True
    if word[0].islower() and not any(letter.isupper() for letter in word):
        return False
    before = block[max(begin, match.start() - 40) : match.start() + len(mark.rstrip("\"'”’»)]"))]
    token = before.split()[-1] if before.split() else ""
    if block[match.end()].isalpha():  # a lost space, unless it is an address or a file name
        return token.rstrip(".?!").strip("()").isalpha() and not token.startswith("www")
    if not token.endswith(".") or token.endswith(".."):
        return True
    return _dot_ends(token[:-1].lstrip("(\"'“‘["), word, first=not before.split()[1:] and match.start() - begin < 40)


def _dot_ends(token: str, word: str, *, first: bool) -> bool:
    """Whether the full stop after `token` ends a sentence when `word` follows."""
    opens = word[0].isupper() and word.strip("\"'“‘(,").casefold() in OPENERS
    if token.casefold() in ("e.g", "i.e", "eg", "ie"):
        return False
    if len(token) == 1 and token.isalpha():
        return opens and not first
    if re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]", token):
        return opens
    if first and token.isdigit():  # the number of a list item
        return False
    if token.casefold() in COUNTED:
        return not any(letter.isdigit() for letter in word)
    return token.casefold() not in ABBREVIATIONS
