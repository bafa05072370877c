"""What the catalog promises of itself, as questions that `honed doctor` asks, and the two things that mend or shrink it."""

from __future__ import annotations

import hashlib
import json

from honed.catalog.database import Catalog, embedded_text

LogRow = tuple[int, int, str]
"""Number, row id, "add" or "remove"."""

_TRIMMED = "changes_trimmed"
"""Key in `meta`: up to which number rows of the log of changes may be gone."""

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
"""Name and query of each count that has to be 0."""

_IMAGE_RULES = (
    (
        "images whose passage belongs to another document",
        "SELECT count(*) FROM images i JOIN passages p ON p.rowid = i.passage WHERE p.document != i.document",
    ),
    ("images without a size", "SELECT count(*) FROM images WHERE width < 1 OR height < 1 OR length(phash) != 8"),
)


def storage_faults(catalog: Catalog) -> list[str]:
    """Faults that SQLite's own check of every page and index reports; none if all is sound."""
    messages = [row[0] for row in catalog.execute("PRAGMA integrity_check(20)")]
    return [] if messages == ["ok"] else messages


def dangling_rows(catalog: Catalog) -> dict[str, int]:
    """Table -> how many of its rows refer to what is not there."""
    counts: dict[str, int] = {}
    for row in catalog.execute("PRAGMA foreign_key_check"):
        counts[row[0]] = counts.get(row[0], 0) + 1
    return counts


def broken_rules(catalog: Catalog) -> list[str]:
    """Rules that do not hold, each with the number of rows that break it."""
    return _broken(catalog, _RULES)


def broken_image_rules(catalog: Catalog) -> list[str]:
    """Rules of images that do not hold, each with the number of rows that break it."""
    return _broken(catalog, _IMAGE_RULES)


def _broken(catalog: Catalog, rules: tuple[tuple[str, str], ...]) -> list[str]:
    counts = ((what, int(catalog.execute(question).fetchone()[0])) for what, question in rules)
    return [f"{count:,} {what}" for what, count in counts if count]


def wrong_hashes(catalog: Catalog) -> int:
    """Number of passages that do not have the hash of their text."""
    return sum(
        hashlib.sha256(embedded_text(title, json.loads(headings), text).encode()).digest()[:16] != kept
        for title, headings, text, kept in catalog.execute("SELECT title, headings, text, text_hash FROM passages")
    )


def change_log(catalog: Catalog) -> list[LogRow]:
    """The whole log of changes of passages, in order."""
    return catalog.execute("SELECT seq, passage, op FROM changes ORDER BY seq").fetchall()


def image_log(catalog: Catalog) -> list[LogRow]:
    """The whole log of changes of images, in order."""
    return catalog.execute("SELECT seq, image, op FROM image_changes ORDER BY seq").fetchall()


def orphans(catalog: Catalog) -> int:
    """Number of documents without a source."""
    question = "SELECT count(*) FROM documents d WHERE NOT EXISTS (SELECT 1 FROM sources s WHERE s.document = d.id)"
    return int(catalog.execute(question).fetchone()[0])


def unused_judgements(catalog: Catalog) -> int:
    """Number of judgements of documents that are not there (now)."""
    question = (
        "SELECT count(*) FROM qrels r WHERE NOT EXISTS (SELECT 1 FROM documents d WHERE d.external_id = r.document)"
    )
    return int(catalog.execute(question).fetchone()[0])


def rebuild_lookups(catalog: Catalog) -> None:
    """Build the store's own look-up tables again from the rows."""
    catalog.execute("REINDEX")


# -- making it small -------------------------------------------------------------------------------------------------


def trimmed_to(catalog: Catalog) -> int:
    """Number up to which rows of the log of changes may be gone; 0 for none."""
    row = catalog.execute("SELECT value FROM meta WHERE key = ?", (_TRIMMED,)).fetchone()
    return int(row[0]) if row else 0


def trim_log(catalog: Catalog, upto: int) -> int:
    """Drop changes of passages up to a number, but never the last one, which carries the catalog's own; returns how many."""
    upto = min(upto, catalog.seq - 1)
    if upto <= trimmed_to(catalog):
        return 0
    with catalog.transaction():
        count = catalog.execute("DELETE FROM changes WHERE seq <= ?", (upto,)).rowcount
        catalog.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_TRIMMED, str(upto)))
    return count


def rewrite(catalog: Catalog) -> bool:
    """Rewrite the file without free pages and empty its log, which both may hold old text.

    Returns:
        Whether the log is empty; a process that is reading keeps it from being emptied.
    """
    catalog.execute("VACUUM")
    return not catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
