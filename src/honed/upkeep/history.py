"""Releases against their manifests, the live row, and runs that never ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from honed.catalog import history
from honed.errors import HonedError
from honed.release.build import manifest_of
from honed.release.manifest import faults
from honed.session import Session
from honed.upkeep.finding import Finding, plural
from honed.upkeep.leftovers import tuner


def releases(session: Session) -> Iterator[Finding]:
    """Every release: the manifest against the catalog's hash, every file against the manifest, the live one by name."""
    sound, broken = [], []
    rows = history.releases(session.catalog)
    for row in rows:
        reason = _fault(session, row)
        if reason:
            broken.append((row, reason))
        else:
            sound.append(row.name)
    for row, reason in broken:
        hint = f"restore .honed/releases/{row.name} from a backup"
        if row.live:
            hint += f", or honed promote {sound[-1]}" if sound else ", or make a new workspace"
        live = ", which is live," if row.live else ""
        yield Finding(f"release {row.name}", "wrong", f"Release {row.name}{live} is damaged: {reason}.", hint)
    live_name = next((row.name for row in rows if row.live), None)
    if live_name is None:
        yield from _nothing_live(session)
    elif live_name in sound:
        message = f"{live_name} is live; every file of {plural(len(sound), 'release')} matches its hash."
        yield Finding("releases", "ok", message)


def runs(session: Session) -> Iterator[Finding]:
    """Runs that began and did not end. They are not leftovers: the next `tune` goes on with them."""
    busy = tuner(session.workspace)
    for run, kind in history.unfinished_runs(session.catalog):
        if busy:
            yield Finding("runs", "note", f"Run {run} is under way in process {busy}, or waits for that one to end.")
            continue
        message = f"Run {run} was interrupted; its finished stages and its look at the test are kept."
        yield Finding("runs", "unfinished", message, f"honed {kind} with the same budget goes on with it")
    for path in lost_results(session):
        message = f"Run {path.parent.name} ended, but its result.json was not written."
        yield Finding("runs", "unfinished", message, "honed doctor --repair writes it from the catalog", "results")


def lost_results(session: Session) -> dict[Path, dict[str, Any]]:
    """File -> content of each `result.json` that the catalog knows and the run's folder lacks."""
    paths = {session.workspace.runs / run / "result.json": value for run, value in history.results(session.catalog)}
    return {path: value for path, value in paths.items() if path.parent.is_dir() and not path.exists()}


def _fault(session: Session, row: history.ReleaseRow) -> str:
    """What is wrong with a release, in words, or ""."""
    try:
        manifest = manifest_of(session.workspace, row)
        problems = faults(session.workspace.releases / row.name, manifest)
    except (HonedError, OSError, ValueError, TypeError) as error:
        return str(getattr(error, "message", error)).rstrip(".")
    return problems[0] if problems else ""


def _nothing_live(session: Session) -> Iterator[Finding]:
    if session.catalog.passage_count():
        message = "There are passages, but no release is live: the first `add` or `import` did not end."
        yield Finding("releases", "unfinished", message, "type the same honed add or honed import again")
    else:
        yield Finding("releases", "note", "Nothing is live yet.", "honed add PATH, or honed import DIR")
