"""Reports quote passages and questions. When their documents are deleted, the quotes go too; every figure stays."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from honed.catalog import Catalog, documents, judgements
from honed.session import Session
from honed.workspace import write_atomic

_PASSAGE = re.compile(r"(<li(?: class=\"relevant\")?>)(\d+\..*?)(</li>)", re.DOTALL)
_QUESTION = re.compile(r"(<summary><span[^>]*>[^<]*</span><span>)([^<]*)(</span>)")
_TAG = re.compile(r"<[^>]*>")
_KEY = 24
"""Characters by which a quote is looked up before it is compared."""

GONE = "<em>no longer in the catalog</em>"


def redact(session: Session) -> int:
    """Take out of every report what the catalog does not hold any more; returns how many quotes."""
    pages = sorted(session.workspace.runs.glob("*/report.html"))
    if not pages:
        return 0
    quotes = _Quotes(session.catalog)
    count = 0
    for page in pages:
        before = page.read_text(encoding="utf-8")
        after, passages = _replaced(_PASSAGE, before, quotes.passage)
        after, questions = _replaced(_QUESTION, after, quotes.question)
        if passages + questions:
            write_atomic(page, after.encode())
            count += passages + questions
    return count


class _Quotes:
    """What may be quoted: the beginnings of live passages, and the questions."""

    def __init__(self, catalog: Catalog) -> None:
        self._passages: dict[str, list[str]] = {}
        for text in documents.texts(catalog):
            flat = " ".join(text.split())
            self._passages.setdefault(flat[:_KEY], []).append(flat)
        self._questions = {" ".join(text.split()) for text in judgements.texts(catalog)}

    def passage(self, quoted: str) -> bool:
        """Whether an item of a list of hits ends with the beginning of a live passage."""
        last = _flat(quoted.rpartition(">")[2].removeprefix(_number(quoted)))
        beginning = last.removesuffix("\N{HORIZONTAL ELLIPSIS}").rstrip()
        return any(text.startswith(beginning) for text in self._passages.get(beginning[:_KEY], ()))

    def question(self, quoted: str) -> bool:
        """Whether a question is in the catalog."""
        return _flat(quoted) in self._questions


def _replaced(pattern: re.Pattern[str], page: str, is_kept: Callable[[str], bool]) -> tuple[str, int]:
    """A page without the quotes that `is_kept` does not find, and how many those were."""
    count = 0

    def instead(match: re.Match[str]) -> str:
        nonlocal count
        opening, quoted, closing = match.groups()
        if GONE in quoted or is_kept(quoted):
            return match[0]
        count += 1
        return f"{opening}{_number(quoted)} {GONE}{closing}"

    return pattern.sub(instead, page), count


def _number(quoted: str) -> str:
    """The number that an item begins with."""
    match = re.match(r"\d+\.", quoted)
    return match[0] if match else ""


def _flat(markup: str) -> str:
    """Markup as one line of plain text."""
    return " ".join(html.unescape(_TAG.sub("", markup)).split())
