"""BM25 over the passages (tantivy, k1 = 1.2, b = 0.75). What is indexed is fixed; what counts is decided at query time.

Fields: `body` is context line and text, `context` is the context line alone; both hold the stems of all words. The same two
without stop words begin with `content_`, those with the words as they are written with `exact_`; a language without stems
has neither. So one index serves every `LexicalSettings`, and a release that changes them rebuilds nothing.

A query is data: its words become terms, and no character of it is syntax.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tantivy
from numpy.typing import NDArray
from tantivy import Filter, Occur, Query

from honed.errors import UsageError
from honed.index.rows import IndexRow, RowIds
from honed.types import Ranking

Language = Literal["english", "simple"]
"""How text becomes terms. "english" has stems and stop words; "simple" has neither, and takes Chinese, Japanese, Thai, Lao,
Khmer and Burmese one character at a time, because they do not put spaces between words."""

LANGUAGES: tuple[Language, ...] = ("english", "simple")

MAX_CHARACTERS = 32_768
"""Longest part of a query that is read."""

MAX_TERMS = 1024
"""Most terms of a query of any setting: a document that is pasted into the search box is not to hold up others."""

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORDS_OR_SIGNS = rf"[{_UNSPACED}]|[[\p{{Alphabetic}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]+"
_WRITER_BYTES = 128_000_000
_MOST_OF_IDF = 2.2
"""k1 + 1: what a word gives at most, in units of its inverse document frequency."""

_PREFIXES = ("", "content_", "exact_")


@dataclass(frozen=True, slots=True)
class LexicalSettings:
    """What counts in a search by words; the default is plain BM25 over context line and text as one field.

    Attributes:
        title_weight: Weight of the context line on top of the body, which contains it.
        drop_stop_words: Whether stop words are left out (in a language that has some), of queries and of the lengths of passages.
        stemmed: Weight of words that agree by their stem.
        exact: Weight of words that agree as they are written.
        presence: Weight of a word's being there at all, in units of its inverse document frequency: with it, how often it is
            said counts for less, as with a smaller k1, which the engine does not let anybody set.
        longest: A longer query keeps so many of its rarest terms; None for all.
    """

    title_weight: float = 0.0
    drop_stop_words: bool = True
    stemmed: float = 1.0
    exact: float = 0.0
    presence: float = 0.0
    longest: int | None = None

    @classmethod
    def plain(cls) -> LexicalSettings:
        """What anybody builds: the engine's BM25 over stems, without stop words, as search libraries document it."""
        return cls()


PLAIN = LexicalSettings.plain()


@dataclass(frozen=True, slots=True)
class _Clause:
    """A word that is looked for in a field; `frequency` passages have it there."""

    field: str
    token: str
    weight: float
    presence: float
    frequency: int


class LexicalIndex:
    """A BM25 index, opened for reading."""

    def __init__(self, index: Any, language: Language) -> None:
        self.language = language
        self._schema = index.schema
        self._searcher = index.searcher()

    @classmethod
    def build(
        cls, rows: Iterable[IndexRow], folder: Path | None = None, *, language: Language = "english"
    ) -> LexicalIndex:
        """Index passages into an empty folder, or into memory without one."""
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        index = tantivy.Index(_schema(), path=None if folder is None else str(folder))
        return cls(_written(index, rows, (), language), language)

    @classmethod
    def open(cls, folder: Path, *, language: Language = "english") -> LexicalIndex:
        """Open the files of `build`, mapped into memory. Raises ValueError when they cannot be read."""
        index = tantivy.Index.open(str(folder))
        _register(index, language)
        return cls(index, language)

    @classmethod
    def update(
        cls, folder: Path, rows: Iterable[IndexRow], remove: RowIds, *, language: Language = "english"
    ) -> LexicalIndex:
        """Change an index in place: forget rows, then add rows. One commit; files are replaced, never written into."""
        index = tantivy.Index.open(str(folder))
        return cls(_written(index, rows, remove.tolist(), language), language)

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    def search(
        self,
        text: str,
        k: int,
        settings: LexicalSettings = PLAIN,
        *,
        terms: Sequence[str] = (),
        allowed: RowIds | None = None,
    ) -> Ranking:
        """The best k passages that share a word with `text`: row ids and scores, best first, equal ones by row id.

        Args:
            text: Any text; nothing in it is syntax.
            k: How many hits at most.
            settings: What counts.
            terms: Filters "key=value": values of one key are alternatives, different keys must all hold.
            allowed: Only these rows may be hits.
        """
        if k < 1 or not len(self) or (allowed is not None and not allowed.size):
            return _ranking([], [])
        clauses = [query for clause in self._clauses(text, settings) for query in self._queries(clause)]
        if not clauses:
            return _ranking([], [])
        query = Query.boolean_query([(Occur.Should, clause) for clause in clauses])
        filters = self._filters(terms)
        if allowed is not None:
            filters.append(Query.term_set_query(self._schema, "rowid", np.unique(allowed).tolist()))
        if filters:
            silent = [(Occur.Must, Query.const_score_query(wanted, 0.0)) for wanted in filters]
            query = Query.boolean_query([(Occur.Must, query), *silent])
        return self._hits(query, k)

    def search_many(self, texts: Sequence[str], k: int, settings: LexicalSettings = PLAIN) -> list[Ranking]:
        """`search` for each text."""
        return [self.search(text, k, settings) for text in texts]

    def word_scores(self, text: str, rowids: RowIds, settings: LexicalSettings = PLAIN) -> NDArray[np.float32]:
        """BM25 [n] of given passages [n]; 0 for those that share no word with `text`, and for unknown ones."""
        scores = np.zeros(len(rowids), np.float32)
        hits, values = self.search(text, len(rowids), settings, allowed=rowids)
        order = np.argsort(rowids, kind="stable")
        scores[order[np.searchsorted(rowids, hits, sorter=order)]] = values
        return scores

    def ceiling(self, text: str, settings: LexicalSettings = PLAIN) -> float:
        """What no passage can exceed: each word of `text` said endlessly often. Words that no passage has are left out."""
        total = len(self)
        clauses = self._clauses(text, settings)
        return sum(
            (clause.weight * _MOST_OF_IDF + clause.presence) * _idf(total, clause.frequency) for clause in clauses
        )

    def rows(self, terms: Sequence[str]) -> RowIds:
        """All passages that pass the filters, as sorted row ids; what a dense search takes as `allowed`."""
        filters = self._filters(terms) or [Query.all_query()]
        query = Query.boolean_query([(Occur.Must, Query.const_score_query(wanted, 0.0)) for wanted in filters])
        return self._hits(query, max(1, len(self)))[0]

    def _hits(self, query: Any, k: int) -> Ranking:
        hits = self._searcher.search(query, min(k, max(1, len(self))), count=False).hits
        rowids = self._searcher.fast_field_values("rowid", [address for _, address in hits])
        return _ranking(rowids, [score for score, _ in hits])

    def _queries(self, clause: _Clause) -> Iterator[Any]:
        query = Query.term_query(self._schema, clause.field, clause.token, "freq")
        yield query if clause.weight == 1.0 else Query.boost_query(query, clause.weight)
        if clause.presence:
            yield Query.const_score_query(query, clause.presence * _idf(len(self), clause.frequency))

    def _clauses(self, text: str, settings: LexicalSettings) -> Iterator[_Clause]:
        """Each word in each field that counts."""
        text = _encodable(text[:MAX_CHARACTERS])
        for prefix, weight in _ways(self.language, settings):
            words = _analyzer(self.language, prefix, stop_words=not settings.drop_stop_words).analyze(text)
            tokens = self._selective(words, f"{prefix}body", settings.longest)
            body = f"{prefix}body", weight, weight * settings.presence
            context = f"{prefix}context", weight * settings.title_weight, 0.0
            for field, share, presence in (body, context):
                for token in tokens if share else ():
                    frequency = int(self._searcher.doc_freq(field, token))
                    if frequency:
                        yield _Clause(field, token, share, presence, frequency)

    def _selective(self, tokens: list[str], field: str, longest: int | None) -> list[str]:
        """The tokens of the `longest` rarest terms that occur at all; a repeated token keeps its weight."""
        most = MAX_TERMS if longest is None else min(longest, MAX_TERMS)
        distinct = set(tokens)
        if len(distinct) <= most:
            return tokens
        rarity = ((self._searcher.doc_freq(field, token), token) for token in distinct)
        kept = {token for _, token in sorted(pair for pair in rarity if pair[0])[:most]}
        return [token for token in tokens if token in kept]

    def _filters(self, terms: Sequence[str]) -> list[Any]:
        clean = sorted(_encodable(term) for term in terms)
        keys = groupby(clean, key=lambda term: term.partition("=")[0])
        return [Query.term_set_query(self._schema, "terms", list(values)) for _, values in keys]


def _ways(language: Language, settings: LexicalSettings) -> tuple[tuple[str, float], ...]:
    """How words may agree: prefix of the fields, and weight. Without stems and stop words there is one way."""
    if language == "simple":
        return (("", settings.stemmed + settings.exact),)
    ways = (("content_" if settings.drop_stop_words else "", settings.stemmed), ("exact_", settings.exact))
    return tuple(way for way in ways if way[1])


def _idf(total: int, frequency: int) -> float:
    """Inverse document frequency as tantivy has it; deleted passages may still be counted in `frequency`."""
    return math.log1p((max(total - frequency, 0) + 0.5) / (frequency + 0.5))


def _written(index: Any, rows: Iterable[IndexRow], remove: Sequence[int], language: Language) -> Any:
    """Commit changes with one thread, so that the same rows give the same segments and the same order of ties."""
    _register(index, language)
    index.config_reader("manual")
    writer = index.writer(_WRITER_BYTES, 1)
    for rowid in remove:
        writer.delete_documents_by_term("rowid", rowid)
    for rowid, context, text, terms in rows:
        context, text = _encodable(context), _encodable(text)
        body = f"{context}\n{text}" if context else text
        prefixes = ("",) if language == "simple" else _PREFIXES
        fields = {
            f"{prefix}{name}": value for prefix in prefixes for name, value in (("body", body), ("context", context))
        }
        writer.add_document(tantivy.Document(rowid=rowid, terms=[_encodable(term) for term in terms], **fields))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return index


def _schema() -> Any:
    builder = tantivy.SchemaBuilder()
    for prefix in _PREFIXES:
        for name in ("body", "context"):
            builder.add_text_field(f"{prefix}{name}", tokenizer_name=f"{prefix}words", index_option="freq")
    builder.add_text_field("terms", tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("rowid", indexed=True, fast=True)
    return builder.build()


def _register(index: Any, language: Language) -> None:
    """Give an index the tokenizers that its schema names."""
    for prefix in _PREFIXES:
        index.register_tokenizer(f"{prefix}words", _analyzer(language, prefix, stop_words=prefix != "content_"))


@cache
def _analyzer(language: Language, prefix: str, *, stop_words: bool) -> Any:
    """The analyzer of the fields with a prefix: terms in lower case and without accents."""
    if language not in LANGUAGES:
        raise UsageError(f"There is no text language '{language}'.", hint=f"choose one of: {', '.join(LANGUAGES)}")
    simple = language == "simple"
    tokenizer = tantivy.Tokenizer.regex(_WORDS_OR_SIGNS) if simple else tantivy.Tokenizer.simple()
    words = tantivy.TextAnalyzerBuilder(tokenizer)
    words = words.filter(Filter.remove_long(40)).filter(Filter.lowercase()).filter(Filter.ascii_fold())
    if not simple and not stop_words:
        words = words.filter(Filter.stopword("english"))
    stems = not simple and prefix != "exact_"
    return (words.filter(Filter.stemmer("english")) if stems else words).build()


def _encodable(text: str) -> str:
    """Text without lone surrogates, which are not Unicode text and cannot be handed to tantivy."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _ranking(rowids: Sequence[int], scores: Sequence[float]) -> Ranking:
    ids, values = np.array(rowids, np.int64), np.array(scores, np.float32)
    order = np.lexsort((ids, -values))
    return ids[order], values[order]
