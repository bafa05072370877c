"""The truth, checked: SQLite's own rules, the catalog's rules, and the original files by their names."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

from honed.catalog import Catalog, documents
from honed.catalog import integrity as checks
from honed.session import Session
from honed.upkeep.finding import Finding, plural
from honed.workspace import sha256_file

BACKUP = "restore .honed/catalog.db from a backup, or add the documents again in a new workspace"
SAMPLE = 64
"""Blobs that are hashed without `--deep`; the size of every one is compared."""

_OF_AN_INDEX = re.compile(r"row \d+ missing from index|wrong # of entries in index|non-unique entry in index")


def integrity(catalog: Catalog) -> Iterator[Finding]:
    """SQLite's check of every page and index, and of every reference between tables."""
    messages = checks.storage_faults(catalog)
    if not messages:
        yield Finding("catalog", "ok", "Every page, index and value is sound (integrity_check).")
    elif all(_OF_AN_INDEX.search(message) for message in messages):
        hint = "honed doctor --repair builds the catalog's own indexes again"
        yield Finding("catalog", "wrong", f"An index inside of the catalog is damaged: {messages[0]}.", hint, "reindex")
    else:
        yield Finding("catalog", "wrong", f"The catalog is damaged: {messages[0]}.", BACKUP)
    for table, count in sorted(checks.dangling_rows(catalog).items()):
        yield Finding("catalog", "wrong", f"{plural(count, 'row')} of '{table}' refer to what is not there.", BACKUP)


def rules(catalog: Catalog) -> Iterator[Finding]:
    """What the catalog promises beyond SQLite: whole documents, right hashes, a complete log of changes."""
    broken = checks.broken_rules(catalog)
    hashes = checks.wrong_hashes(catalog)
    if hashes:
        broken.append(f"{plural(hashes, 'passage')} whose text does not match its hash")
    broken += _gaps(catalog)
    for sentence in broken:
        yield Finding("rules", "wrong", f"There are {sentence}.", BACKUP)
    if not broken:
        yield Finding("rules", "ok", "Documents are whole, texts match their hashes, the log of changes is complete.")
    yield from _loose_ends(catalog)


def blobs(session: Session, *, deep: bool) -> Iterator[Finding]:
    """The original files, against the sha256 that is their name: all of them with `deep`, else a sample."""
    wanted = documents.originals(session.catalog)
    names = sorted(wanted)
    sample = set(names if deep else random.sample(names, min(SAMPLE, len(names))))
    bad = []
    for name in names:
        path = session.workspace.blob(name)
        if not path.is_file():
            bad.append((name, "is missing"))
        elif path.stat().st_size != wanted[name].size or (name in sample and sha256_file(path) != name):
            bad.append((name, "does not match its name"))
    for name, what in bad[:10]:
        source = Path(wanted[name].path)
        hint = f"the truth is {source} as it was: put it back there, then honed doctor --repair"
        there = source.is_file() and sha256_file(source) == name
        if there:
            hint = f"honed doctor --repair copies it from {source}"
        yield Finding("blobs", "wrong", f"The original of {source} {what}.", hint, "blobs" if there else "")
    if len(bad) > 10:
        yield Finding("blobs", "wrong", f"So it is with {len(bad) - 10:,} more originals.", "honed doctor --json")
    if not bad:
        how = "" if len(sample) == len(names) else f", {len(sample)} of them hashed (--deep hashes all)"
        yield Finding("blobs", "ok", f"{plural(len(names), 'original')} kept{how}.")


def _gaps(catalog: Catalog) -> list[str]:
    """What is amiss in the log of changes of the passages, in words."""
    live = set(documents.rowids(catalog).tolist())
    return log_faults(checks.change_log(catalog), live, checks.trimmed_to(catalog), what="passage")


def log_faults(rows: list[tuple[int, int, str]], live: set[int], start: int, *, what: str) -> list[str]:
    """What is amiss in a log of changes, in words.

    Args:
        rows: (number, row id, "add" or "remove"), in order; those up to `start` may be gone.
        live: Row ids that are there now.
        what: Whose log it is.
    """
    if not rows:
        return [f"{plural(len(live), what)} that the log of changes does not know"] if live else []
    problems = []
    if rows[0][0] > start + 1 or rows[-1][0] - rows[0][0] + 1 != len(rows):
        problems.append("rows missing in the log of changes")
    last = {rowid: op for _, rowid, op in rows}
    added = {rowid for rowid, op in last.items() if op == "add"}
    unknown = live - added if not start else live & (last.keys() - added)
    if unknown or added - live:
        problems.append(f"{plural(len(unknown | (added - live)), what)} that the log of changes tells wrongly")
    return problems


def _loose_ends(catalog: Catalog) -> Iterator[Finding]:
    """What is allowed, and worth a word."""
    orphans = checks.orphans(catalog)
    if orphans:
        message = f"{plural(orphans, 'document')} without a source: an older state of files that were being changed."
        yield Finding("documents", "unfinished", message, "honed add again, or honed doctor --repair", "orphans")
    dangling = checks.unused_judgements(catalog)
    if dangling:
        message = (
            f"{plural(dangling, 'judgement')} name documents that are not there (now); they are kept and not used."
        )
        yield Finding("judgements", "note", message, "honed add the documents again if they should count")
