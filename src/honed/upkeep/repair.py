"""`honed doctor --repair`: rebuild what is derived and clear away what kills left. The truth is never guessed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from honed.catalog import documents, history, integrity, vectors
from honed.errors import HonedError
from honed.index.generation import CURRENT, open_current, space_folder
from honed.index.refresh import refresh
from honed.release.build import live_manifest, manifests
from honed.release.open import embedder_of
from honed.session import Session, open_session
from honed.upkeep.derived import damaged_graphs, damaged_vectors
from honed.upkeep.doctor import examine
from honed.upkeep.finding import Action, Checkup, plural, size
from honed.upkeep.history import lost_results
from honed.upkeep.leftovers import remains, remove
from honed.upkeep.pictures import describe_again, render_again
from honed.workspace import Workspace, sha256_file, write_json


def repair(workspace: Workspace, *, deep: bool = False) -> tuple[list[str], Checkup]:
    """Do what the findings of an examination allow, under both locks; returns what was done, and what is found now.

    Raises:
        BusyError: Another process is changing the workspace, or learns in it.
    """
    done: list[str] = []
    with workspace.tuning(), workspace.writing():
        before = examine(workspace, deep=deep)
        wanted = before.actions
        if wanted:
            with open_session(workspace) as session:
                for action, act in _ACTS:
                    if action in wanted:
                        done += act(session)
        return done, examine(workspace, deep=deep) if wanted else before


def _reindex(session: Session) -> list[str]:
    integrity.rebuild_lookups(session.catalog)
    return ["built the catalog's own indexes again"]


def _leftovers(session: Session) -> list[str]:
    paths = remains(session.workspace, session.catalog)
    return [f"removed {plural(len(paths), 'leftover')} of {size(remove(paths))}"]


def _orphans(session: Session) -> list[str]:
    with session.catalog.transaction():
        count = documents.drop_orphans(session.catalog)
    return [f"removed {plural(count, 'document')} without a source", *_catch_up(session)]


def _cache(session: Session) -> list[str]:
    bad = damaged_graphs(session.workspace.cache)
    for folder in bad:
        shutil.rmtree(folder, ignore_errors=True)
    return [f"removed {plural(len(bad), 'cached graph')}; they are built again when they are needed"]


def _blobs(session: Session) -> list[str]:
    done = []
    for name, original in documents.originals(session.catalog).items():
        kept, source = session.workspace.blob(name), Path(original.path)
        if kept.is_file() and kept.stat().st_size == original.size and sha256_file(kept) == name:
            continue
        if source.is_file() and sha256_file(source) == name:
            kept.unlink(missing_ok=True)
            session.workspace.put_blob(source)
            done.append(f"copied the original of {source} again")
    return done


def _vectors(session: Session) -> list[str]:
    """Drop damaged vectors. If all have the right form but others come out of the model, drop all of the live space."""
    bad = damaged_vectors(session.catalog)
    with session.catalog.transaction():
        if bad:
            vectors.forget(session.catalog, bad)
        else:
            vectors.forget_space(session.catalog, live_manifest(session.workspace, session.catalog).space)
    return [
        f"dropped {plural(len(bad), 'damaged vector') if bad else 'all vectors of the live space'}",
        *_rebuild(session),
    ]


def _results(session: Session) -> list[str]:
    lost = lost_results(session)
    for path, value in lost.items():
        write_json(path, value)
    return [f"wrote {path}" for path in lost]


def _catch_up(session: Session) -> list[str]:
    """Embed what has no vector and follow the catalog."""
    if history.live_release(session.catalog) is None:
        return []
    lines: list[str] = []
    generation = session.catch_up(session.live_embedder(), tell=lines.append)
    return [*lines, f"brought the index up to change {generation.seq:,}"]


def _rebuild(session: Session) -> list[str]:
    """Build the live index, and those of other releases that cannot be opened, from nothing."""
    done = []
    root = session.workspace.index
    live = live_manifest(session.workspace, session.catalog) if history.live_release(session.catalog) else None
    for manifest in {manifest.space: manifest for manifest in manifests(session.workspace, session.catalog)}.values():
        own = live is not None and manifest.space == live.space
        there = (space_folder(root, manifest.space) / CURRENT).exists()
        if own or (there and open_current(root, manifest.space, verify="hashes") is None):
            refresh(session.catalog, root, manifest.space, settings=session.index_settings, rebuild=True)
            done.append(f"built the index of the space {manifest.space[:12]} from the catalog")
    if live is not None:
        try:
            embedder = embedder_of(session.workspace, live, session.settings)
        except HonedError as error:
            return [*done, f"encoded nothing, because the model is not usable: {error.message}"]
        session.catch_up(embedder, tell=done.append)
    return done


_ACTS: tuple[tuple[Action, Callable[[Session], list[str]]], ...] = (
    ("reindex", _reindex),
    ("leftovers", _leftovers),
    ("orphans", _orphans),
    ("cache", _cache),
    ("blobs", _blobs),
    ("pictures", render_again),
    ("descriptors", describe_again),
    ("vectors", _vectors),
    ("rebuild", _rebuild),
    ("index", _catch_up),
    ("results", _results),
)
