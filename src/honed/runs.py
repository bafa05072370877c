"""A run: one execution that leaves files behind. It can be killed at any moment and goes on where it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from honed.catalog import Catalog, history
from honed.evaluate.ledger import Look, looks_elsewhere
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


def look_at(catalog: Catalog, test_set: str, run: str, experiment: dict[str, Any]) -> int:
    """Count a look at a test set before it is taken; returns how many there have been, those of other workspaces included.

    Args:
        test_set: Fingerprint of its questions and judgements.
        run: What looks; a run that is resumed is not counted twice.
        experiment: All that the run depends on; the same experiment in another workspace is no other look.
    """
    digest = hashlib.sha256(json.dumps(experiment, sort_keys=True).encode()).hexdigest()
    elsewhere = looks_elsewhere(Look(test_set, digest, history.identity(catalog)))
    return elsewhere + history.read_test_set(catalog, test_set, run)


def _unused(runs: Path, name: str) -> str:
    """The name, with a number behind it where a run of the same second has it: two runs never share a folder."""
    tries = (f"{name}-{number}" if number > 1 else name for number in count(1))
    return next(each for each in tries if not (runs / each).exists())


def _sweep(folder: Path) -> None:
    """Drop an abandoned run's checkpoints and models; its notes stay."""
    for path in folder.glob("checkpoint-*"):
        path.unlink(missing_ok=True)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
