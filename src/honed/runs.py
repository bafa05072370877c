"""A run: one execution that leaves files behind. It can be killed at any moment and goes on where it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count as numbers
from pathlib import Path
from typing import Any

from honed.catalog import Catalog, history
from honed.errors import UsageError
from honed.evaluate.ledger import Look, Looks, Noted, TestSet, count, joined, looks_noted
from honed.evaluate.significance import confidence_after, least_clusters
from honed.evaluate.wording import percent, plural
from honed.workspace import Workspace, write_json


@dataclass(frozen=True, slots=True)
class Run:
    """A run under way.

    Attributes:
        id: Date, time and kind; also the name of its folder below `runs/`.
        folder: For people: plan, candidates, comparison, report.
        resumed: Whether an earlier process began it.
    """

    id: str
    folder: Path
    resumed: bool


def open_run(workspace: Workspace, catalog: Catalog, kind: str, settings: dict[str, Any]) -> Run:
    """Go on with the newest run of this kind if it was interrupted under the same settings, or begin one."""
    settings = json.loads(json.dumps(settings))  # as the catalog gives them back: a tuple is a list there
    unfinished = history.unfinished_run(catalog, kind)
    if unfinished is not None:
        name, before = unfinished
        folder = workspace.runs / name
        if before == settings and folder.is_dir():
            history.start_run(catalog, name, kind, settings)
            return Run(name, folder, resumed=True)
        with catalog.transaction():
            history.end_run(catalog, name, "failed", {"reason": "interrupted, then begun anew with other settings"})
        _sweep(folder)
    name = _unused(workspace.runs, datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S-") + kind)
    folder = workspace.runs / name
    folder.mkdir(parents=True)
    write_json(folder / "run.json", {"run": name, "kind": kind, "settings": settings})
    history.start_run(catalog, name, kind, settings)
    return Run(name, folder, resumed=False)


def look_at(catalog: Catalog, test: TestSet, run: str, experiment: dict[str, Any]) -> Looks:
    """Count a look at a test set before it is taken; returns what is known of it (see `evaluate.ledger` for the rule).

    Args:
        test: Its questions.
        run: What looks; a run that is resumed is not counted twice.
        experiment: All that the run depends on; the same experiment in another workspace is no other look.

    Raises:
        UsageError: There is no question to decide with; then no look is counted.
    """
    look = Look(test.names[0], _digest(experiment), history.identity(catalog), test.role, test.metric)
    looks = _counted(catalog, test, run, looks_noted(look, note=False))
    if not looks.deciding.any():
        raise UsageError(
            f"None of the {plural(len(test.questions), 'test question')} can decide anything.",
            hint="add labels: honed label FILE.csv",
        )
    keys = "".join(key for key, deciding in zip(test.keys, looks.deciding, strict=True) if deciding)
    noted = looks_noted(replace(look, questions=keys))  # what another process noted meanwhile is among them
    rows = history.looks(catalog, test.role)
    before = next((row.questions for row in rows if (row.test_set, row.run) == (test.names[0], run)), None) or ""
    row = history.LookRow(test.names[0], run, test.role, test.metric, joined(before, keys))
    history.note_look(catalog, row, everything="".join(test.keys))
    return _counted(catalog, test, run, noted)


def looks_ahead(catalog: Catalog, test: TestSet, kind: str, experiment: dict[str, Any] | None = None) -> Looks:
    """Count earlier looks at a test set before anything is tuned for it. This is no look itself.

    Args:
        test: Its questions.
        kind: Of the run that is to look; if one of this kind was interrupted after its look, that is the same look.
        experiment: As `look_at` takes it; None where it is not known yet: then the looks of this catalog alone count.

    Raises:
        UsageError: Nothing could be proven on it, however good the candidate is.
    """
    unfinished = history.unfinished_run(catalog, kind)
    noted = Noted([], [])
    if experiment is not None:
        noted = looks_noted(Look(test.names[0], _digest(experiment), history.identity(catalog)), note=False)
    looks = _counted(catalog, test, unfinished[0] if unfinished else "", noted)
    clusters = len(set(test.clusters[looks.deciding].tolist()))
    confidence = confidence_after(looks.reads)
    if clusters < least_clusters(confidence):
        raise UsageError(_too_few(test, looks, clusters, confidence), hint=_more(test, looks))
    return looks


def _digest(experiment: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(experiment, sort_keys=True).encode()).hexdigest()


def _counted(catalog: Catalog, test: TestSet, run: str, noted: Noted) -> Looks:
    """All earlier looks at this test set but those of the run itself.

    A look of this workspace that kept no questions is taken to have been at all of them, as `note_look` takes it.
    """
    here = [
        Look(test.names[0] if row.questions is None else row.test_set, row.run, "", questions=row.questions or "")
        for row in history.looks(catalog, test.role)
        if (row.run, row.test_set) != (run, test.names[0])
    ]
    return count(test, noted.elsewhere, here, noted.here)


def _too_few(test: TestSet, looks: Looks, clusters: int, confidence: float) -> str:
    kind = "titles, which stand in for questions," if test.proxy else "test questions"
    which = f"{kind} that nobody has looked at" if test.fresh_only else kind
    size = f"The {int(looks.deciding.sum())} {which} lie in {plural(clusters, 'cluster')} of documents that belong together"
    after = f" ({percent(confidence)} after {looks.reads - 1} earlier looks)" if looks.reads > 1 else ""
    return f"{size}; {least_clusters(confidence)} are the fewest on which a gain can be proven{after}."


def _more(test: TestSet, looks: Looks) -> str:
    if test.proxy:
        return "add more documents, or label questions: honed label FILE.csv (columns question,source)"
    if looks.reads > 1 and looks.fresh.any():
        return "honed tune --fresh tests on the questions that nobody has looked at; or add labels of other documents"
    return "add labels whose answers stand in other documents: honed label FILE.csv, or honed import DIR"


def _unused(runs: Path, name: str) -> str:
    """The name, with a number behind it where a run of the same second has it: two runs never share a folder."""
    tries = (f"{name}-{number}" if number > 1 else name for number in numbers(1))
    return next(candidate for candidate in tries if not (runs / candidate).exists())


def _sweep(folder: Path) -> None:
    """Drop an abandoned run's checkpoints and models; its notes stay."""
    for path in folder.glob("checkpoint-*"):
        path.unlink(missing_ok=True)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
