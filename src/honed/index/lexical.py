"""BM25 over the passages (tantivy, k1 = 1.2, b = 0.75), two fields: `body` = context line and text, `context` alone.

`body` alone is the plain baseline. Counting the context line a second time, at half weight, is never worse and helps
where titles say what a passage is about (nDCG@10, dev splits: medquad .586 -> .645, cuad-contracts .3625 -> .366, packs
without titles unchanged). Two disjoint fields (context, text) lose a fifth on cuad-contracts (.282).

A query is data: its words become terms, and no character of it is syntax.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tantivy
from tantivy import Filter, Occur, Query

from honed.errors import UsageError
from honed.index.rows import IndexRow, RowIds
from honed.types import Ranking

Language = Literal["english", "simple"]
"""How text becomes terms. "english" drops stop words and stems; "simple" does neither, and takes Chinese, Japanese,
Thai, Lao, Khmer and Burmese one character at a time, because they do not put spaces between words."""

LANGUAGES: tuple[Language, ...] = ("english", "simple")

CONTEXT_WEIGHT = 0.5
"""Weight of the context line on top of the body; 0 is BM25 over one concatenated field."""

MAX_TERMS = 32
"""A longer query keeps its rarest terms. On dev this costs nothing (medquad and banking77 equal, cuad-contracts .366 ->
.367) and helps rambling queries (thunderbird-support, 70 terms: .151 -> .166), and 2,000 words stay as fast as 32."""

MAX_CHARACTERS = 32_768
"""Of a query; what follows is not read."""

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORDS_OR_SIGNS = rf"[{_UNSPACED}]|[[\p{{Alphabetic}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]+"
_WRITER_BYTES = 128_000_000


class LexicalIndex:
    """A BM25 index, opened for reading."""

    def __init__(self, index: Any, language: Language, context_weight: float = CONTEXT_WEIGHT) -> None:
        self.language = language
        self.context_weight = context_weight
        self._schema = index.schema
        self._analyzer = _analyzer(language)
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
        index.register_tokenizer("honed", _analyzer(language))
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

    def search(self, text: str, k: int, *, terms: Sequence[str] = (), allowed: RowIds | None = None) -> Ranking:
        """The best k passages that share a word with `text`: row ids and scores, best first, equal ones by row id.

        Args:
            text: Any text; nothing in it is syntax.
            k: How many hits at most.
            terms: Filters "key=value": values of one key are alternatives, different keys must all hold.
            allowed: Only these rows may be hits.
        """
        if k < 1 or not len(self) or (allowed is not None and not allowed.size):
            return _ranking([], [])
        query = self._scored(text)
        if query is None:
            return _ranking([], [])
        filters = self._filters(terms)
        if allowed is not None:
            filters.append(Query.term_set_query(self._schema, "rowid", np.unique(allowed).tolist()))
        if filters:
            silent = [(Occur.Must, Query.const_score_query(each, 0.0)) for each in filters]
            query = Query.boolean_query([(Occur.Must, query), *silent])
        return self._hits(query, k)

    def search_many(self, texts: Sequence[str], k: int) -> list[Ranking]:
        """`search` for each text."""
        return [self.search(text, k) for text in texts]

    def rows(self, terms: Sequence[str]) -> RowIds:
        """All passages that pass the filters, as sorted row ids; what a dense search takes as `allowed`."""
        filters = self._filters(terms) or [Query.all_query()]
        query = Query.boolean_query([(Occur.Must, Query.const_score_query(each, 0.0)) for each in filters])
        return self._hits(query, max(1, len(self)))[0]

    def _hits(self, query: Any, k: int) -> Ranking:
        hits = self._searcher.search(query, min(k, max(1, len(self))), count=False).hits
        rowids = self._searcher.fast_field_values("rowid", [address for _, address in hits])
        return _ranking(rowids, [score for score, _ in hits])

    def _scored(self, text: str) -> Any:
        tokens = self._selective(self._analyzer.analyze(_encodable(text[:MAX_CHARACTERS])))
        should = [(Occur.Should, Query.term_query(self._schema, "body", token, "freq")) for token in tokens]
        if self.context_weight:
            should += [
                (
                    Occur.Should,
                    Query.boost_query(Query.term_query(self._schema, "context", token, "freq"), self.context_weight),
                )
                for token in tokens
            ]
        return Query.boolean_query(should) if should else None

    def _selective(self, tokens: list[str]) -> list[str]:
        """The tokens of the `MAX_TERMS` rarest terms that occur at all; a repeated token keeps its weight."""
        distinct = set(tokens)
        if len(distinct) <= MAX_TERMS:
            return tokens
        rarity = ((self._searcher.doc_freq("body", token), token) for token in distinct)
        kept = {token for _, token in sorted(pair for pair in rarity if pair[0])[:MAX_TERMS]}
        return [token for token in tokens if token in kept]

    def _filters(self, terms: Sequence[str]) -> list[Any]:
        clean = sorted(_encodable(term) for term in terms)
        keys = groupby(clean, key=lambda term: term.partition("=")[0])
        return [Query.term_set_query(self._schema, "terms", list(values)) for _, values in keys]


def _written(index: Any, rows: Iterable[IndexRow], remove: Sequence[int], language: Language) -> Any:
    """Commit changes with one thread, so that the same rows give the same segments and the same order of ties."""
    index.register_tokenizer("honed", _analyzer(language))
    index.config_reader("manual")
    writer = index.writer(_WRITER_BYTES, 1)
    for rowid in remove:
        writer.delete_documents_by_term("rowid", rowid)
    for rowid, context, text, terms in rows:
        context, text = _encodable(context), _encodable(text)
        body = f"{context}\n{text}" if context else text
        filters = [_encodable(term) for term in terms]
        writer.add_document(tantivy.Document(rowid=rowid, body=body, context=context, terms=filters))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return index


def _schema() -> Any:
    builder = tantivy.SchemaBuilder()
    for name in ("body", "context"):
        builder.add_text_field(name, tokenizer_name="honed", index_option="freq")
    builder.add_text_field("terms", tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("rowid", indexed=True, fast=True)
    return builder.build()


def _analyzer(language: Language) -> Any:
    if language == "english":
        words = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        words = words.filter(Filter.remove_long(40)).filter(Filter.lowercase()).filter(Filter.ascii_fold())
        return words.filter(Filter.stopword("english")).filter(Filter.stemmer("english")).build()
    if language == "simple":
        words = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(_WORDS_OR_SIGNS))
        return words.filter(Filter.remove_long(40)).filter(Filter.lowercase()).filter(Filter.ascii_fold()).build()
    raise UsageError(f"There is no text language '{language}'.", hint=f"choose one of: {', '.join(LANGUAGES)}")


def _encodable(text: str) -> str:
    """Text without lone surrogates, which are not Unicode text and cannot be handed to tantivy."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _ranking(rowids: Sequence[int], scores: Sequence[float]) -> Ranking:
    ids, values = np.array(rowids, np.int64), np.array(scores, np.float32)
    order = np.lexsort((ids, -values))
    return ids[order], values[order]
