"""Measure and compare any systems on any split, through the very search that users get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from honed.catalog import history
from honed.dataset.task import Task, load_task
from honed.errors import UsageError
from honed.evaluate.comparison import Comparison, General, Measured, Questions, Trial, compare
from honed.evaluate.gate import GateSettings, Verdict, decide
from honed.evaluate.ledger import Looks
from honed.evaluate.metrics import Scores, per_query, reported
from honed.evaluate.probe import general_probe
from honed.evaluate.sets import text_set
from honed.evaluate.significance import judged
from honed.evaluate.slices import build_slices
from honed.evaluate.untuned import UNTUNED
from honed.release.build import manifest_of, row_of
from honed.release.open import embedder_of, open_release
from honed.runs import look_at
from honed.session import Session
from honed.types import Split

DEPTH = 100
"""Documents of a ranking that are measured and exported."""


def rankings(session: Session, system: str, task: Task, split: Split, depth: int = DEPTH) -> dict[str, Any]:
    """Documents of every query of a split, best first, with scores: query id -> [(document id, score)].

    Args:
        system: "live" or a release; or "bm25", "dense", "hybrid": the untuned systems.

    Raises:
        UsageError: There is no such system, or depth is not positive.
    """
    if depth < 1:
        raise UsageError(f"k must be at least 1, not {depth}.")
    release = release_of(session, system)
    _catch_up(session, release)
    retriever = open_release(session.workspace, session.catalog, session.settings, release)
    if system in UNTUNED:
        retriever = retriever.weighted(UNTUNED[system])
    labelled = task.splits[split]
    found: dict[str, Any] = {}
    for query, (rowids, scores) in zip(labelled.queries, retriever.rank(labelled.texts, depth=depth), strict=True):
        there = np.isin(rowids, task.rowids)  # not what another process added after the task was read
        rowids, scores = rowids[there], scores[there]
        at = task.passage_document[task.positions(rowids)]
        _, first = np.unique(at, return_index=True)
        rows = np.sort(first)[:depth]
        found[query.id] = [(task.documents[at[row]], float(scores[row])) for row in rows]
    return found


def release_of(session: Session, system: str) -> str:
    """The release behind a system's name; for the untuned ones the newest release that no tuning made."""
    if system not in UNTUNED:
        return system
    untuned = [row.name for row in history.releases(session.catalog) if row.run is None]
    return untuned[-1] if untuned else "live"


def _catch_up(session: Session, release: str) -> None:
    """Bring a release's index up to the catalog: one that is not live lags behind, and would be measured by less."""
    manifest = manifest_of(session.workspace, row_of(session.catalog, release))
    session.catch_up(embedder_of(session.workspace, manifest, session.settings), tell=lambda _: None)


def measure_system(session: Session, system: str, split: str) -> dict[str, Any]:
    """Means of all metrics of a system on a split, as the JSON that scripts rely on.

    Measuring chooses nothing, so it does not wear out the test set; `compare` and `tune`, which decide, are counted.

    Raises:
        UsageError: The split has no questions, or there is no such system.
    """
    task, name = split_task(session, split)
    row = row_of(session.catalog, release_of(session, system))
    scores = _scores(session, system, task, name)
    values = {metric: round(float(np.nanmean(array)), 4) for metric, array in scores.items()}
    return {
        "release": row.name,
        "system": system,
        "split": split,
        "queries": len(task.splits[name].queries),
        "clusters": task.splits[name].cluster_count,
        "labels": task.origin,
        "metrics": values,
    }


def compare_systems(session: Session, base: str, candidate: str, split: str) -> tuple[Comparison, Verdict]:
    """Two systems on one split, query by query, and what the gate would say."""
    task, name = split_task(session, split)
    labelled = task.splits[name]
    content = [content_of(session, system, release_of(session, system)) for system in (base, candidate)]
    scores = [_scores(session, system, task, name) for system in (base, candidate)]
    metric = session.settings.metric_retriever
    judged(scores[0][metric], scores[1][metric], labelled.clusters)
    looks = _looks(session, task, name, ("compare", *content))
    questions = Questions(
        [query.id for query in labelled.queries],
        labelled.clusters,
        build_slices(labelled.queries, relevant=[len(relevant) for relevant in labelled.relevant]),
    )
    told = looks.trial() if looks else {"proxy": task.origin == "proxy"}
    before, after = (looks.scores(array) if looks else array for array in scores)
    general = _general(session, base, candidate)
    comparison = compare(
        Measured(base, before),
        Measured(candidate, after),
        questions,
        metric=metric,
        trial=Trial(1, looks.reads if looks else 1, general, seed=session.settings.seed, **told),
    )
    return comparison, decide(comparison, GateSettings.of(session.settings))


def split_task(session: Session, split: str) -> tuple[Task, Split]:
    """The task, and the split by its checked name.

    Raises:
        UsageError: There is no such split, or no question in it.
    """
    if split not in get_args(Split):
        raise UsageError(f"There is no split '{split}'.", hint="splits are: train, dev, test")
    task = load_task(session.catalog)
    name: Split = split  # type: ignore[assignment]
    if not task.splits[name].queries:
        raise UsageError(
            f"There are no labelled questions in {split}.", hint="honed label FILE.csv, or honed import DIR"
        )
    return task, name


def content_of(session: Session, system: str, release: str) -> str:
    """What a system's name stands for at present: a comparison is counted by it, since "live" changes."""
    digest = row_of(session.catalog, release).manifest_sha256
    return f"{system} {digest}" if system in UNTUNED else digest


def _looks(session: Session, task: Task, split: Split, what: Sequence[str]) -> Looks | None:
    """Count a look at the test set before anybody sees a result; None for another split, which is not counted."""
    if split != "test":
        return None
    run = " ".join(what)
    experiment = {"workspace": history.identity(session.catalog), "what": run}
    return look_at(session.catalog, text_set(task, split, session.settings), run, experiment)


def _scores(session: Session, system: str, task: Task, split: Split) -> dict[str, Scores]:
    ranked = {query: [name for name, _ in found] for query, found in rankings(session, system, task, split).items()}
    labelled = task.splits[split]
    qrels = {
        query.id: _named(task, relevant) for query, relevant in zip(labelled.queries, labelled.relevant, strict=True)
    }
    metrics = reported(session.settings.metric_retriever)
    return per_query(ranked, qrels, metrics, queries=[query.id for query in labelled.queries])


def _named(task: Task, relevant: dict[int, int]) -> dict[str, int]:
    return {task.documents[document]: grade for document, grade in relevant.items()}


def _general(session: Session, base: str, candidate: str) -> General | None:
    """The general probe of both releases; None where the same model stands behind both names."""
    names = [release_of(session, system) for system in (base, candidate)]
    if names[0] == names[1]:
        return None
    before, after = (
        open_release(session.workspace, session.catalog, session.settings, name).embedder for name in names
    )
    return General(general_probe(before), general_probe(after))
