"""`honed compact`: afterwards no file of the workspace holds a word of a document that was deleted.

A kill at any moment leaves a sound workspace, and compacting again ends the work: each step deletes only what nothing needs,
and the catalog's own rewriting (VACUUM) is one transaction.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from honed.catalog import Catalog, documents, images, integrity, judgements, vectors
from honed.errors import BusyError
from honed.index.generation import CURRENT, generation_folders, open_current, space_folder
from honed.index.refresh import refresh
from honed.session import Session
from honed.upkeep.leftovers import remains, remove, spaces_to_keep, unneeded_blobs, weight
from honed.upkeep.needs import needed_spaces, needed_towers
from honed.upkeep.pictures import index_again, needed_eyes
from honed.upkeep.reports import redact

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Compacted:
    """What was dropped.

    Attributes:
        documents: Without a source: what an interrupted `add` had not come to delete.
        questions: That titles of deleted documents stood in for.
        vectors: Of no passage, or of a space that nothing needs.
        originals: Files that nothing needs.
        changes: Rows of the log of changes that every index has followed.
        quotes: Passages taken out of old reports because they are not in the catalog any more.
        bytes_before: Size of everything below the state folder and the runs.
        held: Indexes with deleted words that a running reader still holds open.
    """

    documents: int
    questions: int
    vectors: int
    originals: int
    changes: int
    quotes: int
    bytes_before: int
    bytes_after: int
    held: tuple[str, ...]


def compact(session: Session, tell: Tell) -> Compacted:
    """Make deleted text vanish from catalog, indexes, originals, caches and reports; needs both locks.

    Raises:
        BusyError: Another process has been reading the catalog for half a minute, so its log cannot be emptied.
        HonedError: A release cannot be read, so nobody knows what it needs; nothing was deleted.
    """
    before = _weight(session)
    spaces = needed_spaces(session)
    towers = needed_towers(session) | needed_eyes(session)
    tell("dropping what nothing needs")
    orphans, questions, dropped = _rows(session)
    remove(remains(session.workspace, session.catalog))
    trim = _followed(session, spaces)
    for space in sorted(spaces):
        if (space_folder(session.workspace.index, space) / CURRENT).exists():
            tell(f"building the index of the space {space[:12]} from nothing")
            refresh(session.catalog, session.workspace.index, space, settings=session.index_settings, rebuild=True)
    held = _indexes(session, spaces)
    index_again(session, tell)
    changes = integrity.trim_log(session.catalog, 0 if held else trim)
    originals = unneeded_blobs(session)
    remove(originals)
    remove(path for path in session.workspace.cache.glob("encoders/*") if path.name not in towers)
    quotes = redact(session)
    tell("rewriting the catalog")
    _rewrite(session.catalog)
    return Compacted(
        orphans, questions, dropped, len(originals), changes, quotes, before, _weight(session), tuple(held)
    )


def _rows(session: Session) -> tuple[int, int, int]:
    """Documents without a source, questions made of titles that are gone, vectors of nothing: dropped in one transaction."""
    spaces = spaces_to_keep(session)
    with session.catalog.transaction():
        orphans = documents.drop_orphans(session.catalog)
        images.forget_groups(session.catalog)
        questions = judgements.forget_lost_proxies(session.catalog)
        return orphans, questions, vectors.drop_unneeded(session.catalog, spaces)


def _followed(session: Session, spaces: set[str]) -> int:
    """The change number that every index has reached: a reader that holds one may still ask for what came after."""
    reached = [session.catalog.seq]
    for space in spaces:
        generation = open_current(session.workspace.index, space)
        if generation is not None:
            reached.append(generation.seq)
    return min(reached)


def _indexes(session: Session, spaces: set[str]) -> list[str]:
    """Remove the indexes of spaces that nothing needs; returns the older generations that a reader keeps alive."""
    root = session.workspace.index
    wanted = {space_folder(root, space) for space in spaces}
    held = []
    for folder in root.iterdir() if root.is_dir() else ():
        if folder not in wanted:
            shutil.rmtree(folder, ignore_errors=True)
        elif (folder / CURRENT).is_file():
            current = (folder / CURRENT).read_text(encoding="ascii").strip()
            held += [str(path.relative_to(root)) for path in generation_folders(folder) if path.name != current]
    return held


def _rewrite(catalog: Catalog) -> None:
    if not integrity.rewrite(catalog):
        raise BusyError(
            "Another process is reading the catalog, so its log could not be emptied of deleted text.",
            hint="honed compact again when it has ended",
        )


def _weight(session: Session) -> int:
    return weight(session.workspace.state) + weight(session.workspace.runs)
