"""Bring the judgements into a state that can be learned from: clusters noted, splits fixed, proxy queries if there are none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from honed.catalog import Catalog, documents, images, judgements, splits
from honed.catalog.schema import question_key
from honed.dataset.clusters import document_clusters, query_clusters
from honed.dataset.splits import join
from honed.errors import InputError, UsageError
from honed.types import Passage, Qrel, Query, Split

NearDuplicates = Callable[[Sequence[str]], Sequence[int]]

MAX_PROXY = 3000
"""Proxy queries beyond this number tell nothing new about one fusion weight."""


def note_clusters(catalog: Catalog, near_duplicates: NearDuplicates) -> int:
    """Find the clusters of all documents and record them; returns how many there are. Nothing happens if none is new."""
    if documents.is_clustered(catalog):
        return len(set(documents.clusters(catalog).values()))
    texts: dict[str, list[str]] = {}
    titles: dict[str, str] = {}
    for _, name, passage in documents.passages(catalog):
        texts.setdefault(name, []).append(passage.text)
        titles.setdefault(name, passage.title)
    names = list(texts)
    labels = document_clusters(
        ["\n".join(texts[name]) for name in names], [titles[name] for name in names], near_duplicates
    )
    documents.set_clusters(catalog, dict(zip(names, labels.tolist(), strict=True)))
    return len(set(labels.tolist()))


def fix_splits(
    catalog: Catalog,
    given: Mapping[str, Split | None] | None = None,
    *,
    seed: int,
    origins: Sequence[judgements.Origin] = ("import", "labels"),
) -> tuple[str, ...]:
    """Store a split for every judged question that has none; returns notes for the user.

    What is stored never changes. The split that came with a new question is kept, unless the same words are stored under
    another id: those may have been learned from.

    Args:
        given: All splits that came with an import, those of questions that are stored already too; None where nothing came:
            then questions whose import was killed before this have the splits that they came with.
    """
    stored, qrels = splits.stored(catalog, "question"), judgements.qrels(catalog)
    questions = [(query, origin) for query, origin in judgements.by_origin(catalog, origins) if query.id in qrels]
    if given is None:
        given = {q.id: q.split for q, origin in questions if origin == "import" and q.id not in stored.names}
    names, texts = [query.id for query, _ in questions], [query.text for query, _ in questions]
    rows = [(name, question_key(text)) for name, text in zip(names, texts, strict=True)]
    assignment = join(
        names,
        [stored.of(*row) for row in rows],
        _clusters(catalog, texts, [qrels[name] for name in names]),
        seed=seed,
        brought=[given.get(name) for name in names],
    )
    new = {row[0]: split for row, split in zip(rows, assignment.splits, strict=True) if row not in stored.rows}
    if new:
        with catalog.transaction():
            judgements.set_splits(catalog, new)
    return assignment.notes


def _clusters(catalog: Catalog, texts: Sequence[str], qrels: Sequence[dict[str, int]]) -> NDArray[np.int64]:
    """[len(texts)] cluster of each query."""
    index: dict[str, int] = {}
    relevant = [{index.setdefault(d, len(index)): g for d, g in judged.items()} for judged in qrels]
    recorded = documents.clusters(catalog)
    labels = [recorded.get(document, -1 - position) for position, document in enumerate(index)]
    return query_clusters(texts, relevant, np.array(labels, np.int64))


def add_labels(catalog: Catalog, rows: Sequence[tuple[str, str, int]], *, seed: int) -> tuple[int, tuple[str, ...]]:
    """Take a label table (question, source, grade); returns how many questions were taken, and notes.

    A source matches a document by its id or path, or by the end of one of its paths when that is unambiguous. A question
    that was labelled before gets its judgements anew and keeps its split.

    Raises:
        InputError: No source of the table is known.
    """
    match = matched(catalog, {source for _, source, _ in rows})
    queries: dict[str, Query] = {}
    qrels, unknown = [], 0
    for question, source, grade in rows:
        if source not in match:
            unknown += 1
            continue
        name = "label-" + hashlib.sha256(question.encode()).hexdigest()[:16]
        queries[name] = Query(name, question)
        qrels.append(Qrel(name, match[source], grade))
    if not queries:
        raise InputError(
            "No source in the label table is a document of this workspace.",
            hint="`source` must be a path as `honed status --sources` lists it, or the end of one",
        )
    with catalog.transaction():
        judgements.add(catalog, queries.values(), qrels, origin="labels")
    notes = fix_splits(catalog, seed=seed)
    if unknown:
        notes = (f"{unknown} rows name a source that is not known, or not exactly one: left out.", *notes)
    return len(queries), notes


def matched(catalog: Catalog, sources: set[str]) -> dict[str, str]:
    """Source as a table names it -> external id of the one document that it means; what means none or several is left out."""
    named = documents.names(catalog)
    match = {source: named[source] for source in sources if source in named}
    tails: dict[str, set[str]] = {_tail(source): set() for source in sources - match.keys()}
    for name, document in named.items() if tails else ():
        parts = name.split("/")
        for start in range(len(parts)):
            if (tail := "/".join(parts[start:])) in tails:
                tails[tail].add(document)
    for source in sources - match.keys():
        if len(candidates := tails[_tail(source)]) == 1:
            match[source] = next(iter(candidates))
    return match


def _tail(source: str) -> str:
    """A path as somebody wrote it, without what leads to it from elsewhere."""
    parts = source.replace("\\", "/").split("/")
    return "/".join(parts[next((at for at, part in enumerate(parts) if part not in ("", ".", "..")), 0) :])


def add_proxy(catalog: Catalog, *, seed: int) -> int:
    """Make titles and headings stand in for questions, so that the fusion weight can at least be tuned; returns how many.

    The heading is taken out of nothing: the document keeps it, so the proxy is easier than a real question and favours
    keywords. A verdict that rests on it says so. A picture's caption is no proxy: it is all that is indexed of a picture.

    Raises:
        UsageError: There is nothing but pictures.
    """
    seen: dict[str, tuple[str, str]] = {}
    pictures, texts = {name for _, name in images.files(catalog)}, 0
    for _, name, passage in documents.passages(catalog):
        text = _proxy_text(passage)
        texts += name not in pictures
        if name not in pictures and len(text.split()) >= 2:
            seen.setdefault(text.casefold(), (text, name))
    if pictures and not texts:
        raise UsageError(
            "There are only pictures here, and no questions to tune search over text with.",
            hint="honed tune --role image-retriever",
        )
    rows = sorted(seen.values(), key=lambda row: hashlib.sha256(row[0].encode()).digest())[:MAX_PROXY]
    queries = [Query("proxy-" + hashlib.sha256(text.encode()).hexdigest()[:16], text) for text, _ in rows]
    qrels = [Qrel(query.id, name) for query, (_, name) in zip(queries, rows, strict=True)]
    with catalog.transaction():
        judgements.forget_proxies(catalog)
        judgements.add(catalog, queries, qrels, origin="proxy")
    fix_splits(catalog, seed=seed, origins=("proxy",))
    return len(queries)


def _proxy_text(passage: Passage) -> str:
    """The most specific human-made name of a passage."""
    return passage.headings[-1] if passage.headings else passage.title
