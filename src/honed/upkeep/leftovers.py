"""What killed processes left: temporary files, half-built folders. None of it is ever read; all of it can go."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from honed.catalog import Catalog, documents, history, images, vectors
from honed.session import Session
from honed.upkeep.finding import Finding, plural, size
from honed.upkeep.needs import needed_spaces
from honed.workspace import TUNE_LOCK, Workspace

_TEMPORARY = re.compile(r"\..+\.[A-Za-z0-9_]{8}\.tmp|[0-9a-f]{64}\.\d+\.tmp")
"""Names that `write_atomic` and `put_blob` give to files that are not complete."""

_BUILDING = ".building-"


def writer(workspace: Workspace) -> int | None:
    """Process id of who is changing the workspace now or learns in it, by the lock files; None if nobody who lives does."""
    return next((number for name in ("lock", TUNE_LOCK) if (number := _holder(workspace.state / name))), None)


def tuner(workspace: Workspace) -> int | None:
    """Process id of the run that learns now; None if none does."""
    return _holder(workspace.state / TUNE_LOCK)


def _holder(lock: Path) -> int | None:
    try:
        number = int(lock.read_text().removeprefix("process "))
    except (OSError, ValueError):
        return None
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # it lives, under another user
    return number


def remains(workspace: Workspace, catalog: Catalog) -> list[Path]:
    """Files and folders that no living process and no record needs. Call it while nobody writes."""
    paths = [path for path in workspace.root.glob(".*.tmp") if _TEMPORARY.fullmatch(path.name)]
    for top in (workspace.state, workspace.runs):
        paths += _below(top)
    names = {release.name for release in history.releases(catalog)}
    if workspace.releases.is_dir():
        paths += [path for path in workspace.releases.iterdir() if path.is_dir() and path.name not in names]
    paths += _of_ended_runs(workspace, catalog)
    # A folder covers what is in it.
    whole = set(paths)
    return sorted(path for path in whole if not whole & set(path.parents))


def remove(paths: Iterable[Path]) -> int:
    """Delete files and folders; returns how many bytes they had."""
    freed = 0
    for path in paths:
        freed += weight(path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return freed


def weight(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.exists() else 0


def leftovers(session: Session) -> Iterator[Finding]:
    """Remains of killed processes, and what only takes up space."""
    busy = writer(session.workspace)
    if busy is not None and busy != os.getpid():
        message = f"Process {busy} is changing the workspace: what it is writing cannot be told from what a kill left."
        yield Finding("leftovers", "note", message, "honed doctor again when it has ended")
        return
    paths = remains(session.workspace, session.catalog)
    if paths:
        names = ", ".join(str(path.relative_to(session.workspace.root)) for path in paths[:3])
        more = f" and {len(paths) - 3:,} more" if len(paths) > 3 else ""
        message = f"{plural(len(paths), 'leftover')} of {size(sum(map(weight, paths)))}: {names}{more}."
        yield Finding("leftovers", "unfinished", message, "honed doctor --repair, or the next command", "leftovers")
    else:
        yield Finding("leftovers", "ok", "No killed process left anything.")
    unneeded = sum(map(weight, unneeded_blobs(session)))
    kept = unneeded_vectors(session)
    if unneeded or kept:
        message = f"{size(unneeded)} of originals and {plural(kept, 'vector')} belong to nothing that is there now."
        yield Finding("space", "note", message, "honed compact")


def unneeded_blobs(session: Session) -> list[Path]:
    """Originals of files that were removed or changed since, and renderings of their pictures."""
    wanted = documents.originals(session.catalog).keys() | set(images.medias(session.catalog)[1])
    return [path for path in session.workspace.blobs.glob("??/*") if path.name not in wanted and len(path.name) == 64]


def unneeded_vectors(session: Session) -> int:
    """How many vectors belong to no passage and no image, or to a space that neither a release nor an unfinished run uses."""
    return vectors.count_unneeded(session.catalog, spaces_to_keep(session))


def spaces_to_keep(session: Session) -> set[str] | None:
    """Spaces whose vectors are needed; None for all of them: an unfinished run may have embedded all passages in its own."""
    return None if history.unfinished_runs(session.catalog) else needed_spaces(session)


def _below(top: Path) -> list[Path]:
    """Temporary files and half-built folders, wherever they are; half-built folders are not entered."""
    paths = []
    for folder, names, files in os.walk(top):
        here = Path(folder)
        half = [name for name in names if name.startswith(_BUILDING)]
        paths += [here / name for name in half]
        names[:] = [name for name in names if name not in half]
        paths += [here / name for name in files if _TEMPORARY.fullmatch(name)]
    return paths


def _of_ended_runs(workspace: Workspace, catalog: Catalog) -> list[Path]:
    """Models and checkpoints in folders of runs that have ended, and folders of runs that never got recorded."""
    if not workspace.runs.is_dir():
        return []
    states = history.run_states(catalog)
    paths = []
    for folder in workspace.runs.iterdir():
        if not folder.is_dir():
            continue
        state = states.get(folder.name)
        if state is None and {path.name for path in folder.iterdir()} <= {"run.json"}:
            paths.append(folder)
        elif state in ("done", "failed"):
            paths += [path for path in folder.iterdir() if path.is_dir() or path.name.startswith("checkpoint-")]
    return paths
