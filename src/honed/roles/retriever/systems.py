"""Any text system on any split, through the very search that users get: a release, or a plain system."""

from __future__ import annotations

import numpy as np

from honed.answer.retrieve import Retriever
from honed.catalog import documents, history
from honed.dataset.task import Labelled, Task, load_task
from honed.errors import UsageError
from honed.evaluate.metrics import per_query, reported
from honed.evaluate.probe import general_probe
from honed.evaluate.untuned import plain_system
from honed.release.build import manifest_of, row_of
from honed.release.open import embedder_of, open_release
from honed.roles.retriever.evaluation import sliced
from honed.roles.retriever.snapshot import test_set
from honed.session import Session
from honed.tuning.role import Measurement, Rankings, checked_split
from honed.types import Split

DEPTH = 100
"""Documents of a ranking that are measured."""


def measured(session: Session, system: str, split: str, metric: str) -> Measurement:
    """Every metric of a system for every question of a split.

    Raises:
        UsageError: There is no such system or split, or no question in it.
    """
    task, name = _split(session, split)
    labelled = task.splits[name]
    row = row_of(session.catalog, _release_of(session, system))
    retriever = _opened(session, system, row.name)
    test = test_set(task, name, metric, fresh_only=session.settings.test == "fresh")
    names = {query: [name for name, _ in hits] for query, hits in _documents(retriever, task, labelled, DEPTH).items()}
    qrels = {
        query.id: {task.documents[document]: grade for document, grade in relevant.items()}
        for query, relevant in zip(labelled.queries, labelled.relevant, strict=True)
    }
    ids = [query.id for query in labelled.queries]
    return Measurement(
        system=system,
        release=row.name,
        digest=f"{system} {row.manifest_sha256}" if plain_system(system) else row.manifest_sha256,
        scores=per_query(names, qrels, reported(test.metric), queries=ids),
        questions=sliced(labelled, task, lambda rowids: documents.by_rowid(session.catalog, rowids)),
        test=test,
        unit="titles" if test.proxy else "questions",
        labels=task.origin,
        general=general_probe(retriever.embedder),
    )


def rankings(session: Session, system: str, split: str, depth: int) -> Rankings:
    """Documents of every question of a split, best first, with scores.

    Args:
        system: "live" or a release; or what nobody tuned: "bm25", "dense", "fusion" (also "hybrid"), "rrf", "default".

    Raises:
        UsageError: There is no such system or split, or depth is not positive.
    """
    if depth < 1:
        raise UsageError(f"k must be at least 1, not {depth}.")
    task, name = _split(session, split)
    retriever = _opened(session, system, _release_of(session, system))
    return _documents(retriever, task, task.splits[name], depth)


def _documents(retriever: Retriever, task: Task, labelled: Labelled, depth: int) -> dict[str, list[tuple[str, float]]]:
    result = {}
    for query, (rowids, scores) in zip(labelled.queries, retriever.rank(labelled.texts, depth=depth), strict=True):
        there = np.isin(rowids, task.rowids)  # not what another process added after the task was read
        rowids, scores = rowids[there], scores[there]
        at = task.passage_document[task.positions(rowids)]
        _, first = np.unique(at, return_index=True)
        result[query.id] = [(task.documents[at[row]], float(scores[row])) for row in np.sort(first)[:depth]]
    return result


def _release_of(session: Session, system: str) -> str:
    """The release behind a system's name; for the plain ones the newest release that no tuning made."""
    if not plain_system(system):
        return system
    untuned = [row.name for row in history.releases(session.catalog) if row.run is None]
    return untuned[-1] if untuned else "live"


def _opened(session: Session, system: str, release: str) -> Retriever:
    """A system, ready to search. A release that is not live lags behind, and would be measured by less: it catches up."""
    manifest = manifest_of(session.workspace, row_of(session.catalog, release))
    session.catch_up(embedder_of(session.workspace, manifest, session.settings), tell=lambda _: None)
    retriever = open_release(session.workspace, session.catalog, session.settings, release)
    plain = plain_system(system)
    return retriever.under(plain) if plain else retriever


def _split(session: Session, split: str) -> tuple[Task, Split]:
    """The task, and the name of a split, checked."""
    task, name = load_task(session.catalog), checked_split(split)
    if not task.splits[name].queries:
        raise UsageError(
            f"There are no labelled questions in {split}.", hint="honed label FILE.csv, or honed import DIR"
        )
    return task, name
