"""The truth, checked: SQLite's own rules, the catalog's rules, and the original files by their names."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from honed.catalog import Catalog
from honed.catalog.database import embedded_text
from honed.session import Session
from honed.upkeep.finding import Finding, plural
from honed.upkeep.needs import original_files, trimmed_to
from honed.workspace import sha256_file

BACKUP = "restore .honed/catalog.db from a backup, or add the documents again in a new workspace"
SAMPLE = 64
"""Blobs that are hashed without `--deep`; the size of every one is compared."""

_OF_AN_INDEX = re.compile(r"row \d+ missing from index|wrong # of entries in index|non-unique entry in index")

_RULES = (
    (
        "documents without a passage",
        "SELECT count(*) FROM documents d WHERE NOT EXISTS (SELECT 1 FROM passages p WHERE p.document = d.rowid)",
    ),
    (
        "documents that are not whole: their passages are not numbered from 0 without a gap",
        "SELECT count(*) FROM (SELECT 1 FROM passages GROUP BY document HAVING min(ordinal) != 0"
        " OR max(ordinal) != count(*) - 1 OR count(DISTINCT ordinal) != count(*))",
    ),
    (
        "sources that have neither a document nor a reason",
        "SELECT count(*) FROM sources WHERE document IS NULL AND code = ''",
    ),
    ("questions of an unknown split", "SELECT count(*) FROM queries WHERE split NOT IN ('train', 'dev', 'test')"),
    (
        "changes of the live release that the audit log does not know",
        "SELECT count(*) FROM live WHERE release IS NOT (SELECT after FROM audit ORDER BY seq DESC LIMIT 1)",
    ),
    ("looks at a test set that are numbered wrongly", "SELECT count(*) != coalesce(max(seq), 0) FROM ledger"),
)
"""What has to be 0, and the question that counts it."""


def integrity(catalog: Catalog) -> Iterator[Finding]:
    """SQLite's check of every page and index, and of every reference between tables."""
    messages = [row[0] for row in catalog.connection.execute("PRAGMA integrity_check(20)")]
    if messages == ["ok"]:
        yield Finding("catalog", "ok", "Every page, index and value is sound (integrity_check).")
    elif all(_OF_AN_INDEX.search(message) for message in messages):
        hint = "honed doctor --repair builds the catalog's own indexes again"
        yield Finding("catalog", "wrong", f"An index inside of the catalog is damaged: {messages[0]}.", hint, "reindex")
    else:
        yield Finding("catalog", "wrong", f"The catalog is damaged: {messages[0]}.", BACKUP)
    dangling = catalog.connection.execute("PRAGMA foreign_key_check").fetchall()
    for table in sorted({row[0] for row in dangling}):
        count = sum(row[0] == table for row in dangling)
        yield Finding("catalog", "wrong", f"{plural(count, 'row')} of '{table}' refer to what is not there.", BACKUP)


def rules(catalog: Catalog) -> Iterator[Finding]:
    """What the catalog promises beyond SQLite: whole documents, right hashes, a complete log of changes."""
    broken = [
        f"{count:,} {what}"
        for what, question in _RULES
        if (count := int(catalog.connection.execute(question).fetchone()[0]))
    ]
    hashes = _wrong_hashes(catalog)
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
    wanted = original_files(session.catalog)
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


def _wrong_hashes(catalog: Catalog) -> int:
    rows = catalog.connection.execute("SELECT title, headings, text, text_hash FROM passages")
    wrong = 0
    for title, headings, text, kept in rows:
        found = hashlib.sha256(embedded_text(title, json.loads(headings), text).encode()).digest()[:16]
        wrong += found != kept
    return wrong


def _gaps(catalog: Catalog) -> list[str]:
    """What is amiss in the log of changes of the passages, in words."""
    rows = catalog.connection.execute("SELECT seq, passage, op FROM changes ORDER BY seq").fetchall()
    live = {row[0] for row in catalog.connection.execute("SELECT rowid FROM passages")}
    return log_faults(rows, live, trimmed_to(catalog), what="passage")


def log_faults(rows: list[tuple[int, int, str]], live: set[int], start: int, *, what: str) -> list[str]:
    """What is amiss in a log of changes, in words.

    Args:
        rows: (number, row id, "add" or "remove"), in order; those up to `start` may be gone.
        live: Row ids that are there now.
        what: Whose log it is.
    """
    if not rows:
        return [f"{plural(len(live), what)} that the log of changes does not know"] if live else []
    found = []
    if rows[0][0] > start + 1 or rows[-1][0] - rows[0][0] + 1 != len(rows):
        found.append("rows missing in the log of changes")
    last = {rowid: op for _, rowid, op in rows}
    added = {rowid for rowid, op in last.items() if op == "add"}
    unknown = live - added if not start else live & (last.keys() - added)
    if unknown or added - live:
        found.append(f"{plural(len(unknown | (added - live)), what)} that the log of changes tells wrongly")
    return found


def _loose_ends(catalog: Catalog) -> Iterator[Finding]:
    """What is allowed, and worth a word."""
    one = catalog.connection.execute
    orphans = one(
        "SELECT count(*) FROM documents d WHERE NOT EXISTS (SELECT 1 FROM sources s WHERE s.document = d.id)"
    ).fetchone()[0]
    if orphans:
        message = f"{plural(orphans, 'document')} without a source: an older state of files that were being changed."
        yield Finding("documents", "unfinished", message, "honed add again, or honed doctor --repair", "orphans")
    dangling = one(
        "SELECT count(*) FROM qrels r WHERE NOT EXISTS (SELECT 1 FROM documents d WHERE d.external_id = r.document)"
    ).fetchone()[0]
    if dangling:
        message = (
            f"{plural(dangling, 'judgement')} name documents that are not there (now); they are kept and not used."
        )
        yield Finding("judgements", "note", message, "honed add the documents again if they should count")
