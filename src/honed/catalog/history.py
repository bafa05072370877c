"""What happened: runs, looks at test sets, releases, and which release is live."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from honed.catalog.database import Catalog
from honed.errors import UsageError
from honed.workspace import finite


def now() -> str:
    """The present moment in UTC, to the second, ISO 8601."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


# -- runs ------------------------------------------------------------------------------------------------------------


def start_run(catalog: Catalog, run: str, kind: str, settings: dict[str, Any]) -> None:
    """Record that a run began; a run that is resumed keeps its first start."""
    with catalog.transaction():
        catalog.execute(
            "INSERT INTO runs VALUES (?, ?, 'running', ?, NULL, ?, NULL)"
            " ON CONFLICT (id) DO UPDATE SET state = 'running', ended = NULL",
            (run, kind, now(), json.dumps(settings)),
        )


def end_run(catalog: Catalog, run: str, state: str, result: dict[str, Any]) -> None:
    """Record how a run ended, inside the caller's transaction."""
    catalog.execute(
        "UPDATE runs SET state = ?, ended = ?, result = ? WHERE id = ?", (state, now(), json.dumps(finite(result)), run)
    )


def run_kinds(catalog: Catalog) -> set[str]:
    """The kinds of runs that there have been."""
    return {row[0] for row in catalog.execute("SELECT DISTINCT kind FROM runs")}


def unfinished_run(catalog: Catalog, kind: str) -> tuple[str, dict[str, Any]] | None:
    """Id and settings of the newest run of a kind that was interrupted, if the newest one was."""
    row = catalog.execute(
        "SELECT id, settings, state FROM runs WHERE kind = ? ORDER BY started DESC, rowid DESC LIMIT 1", (kind,)
    ).fetchone()
    return (row[0], json.loads(row[1])) if row and row[2] == "running" else None


def unfinished_runs(catalog: Catalog) -> list[tuple[str, str]]:
    """Id and kind of the runs that began and did not end."""
    return catalog.execute("SELECT id, kind FROM runs WHERE state = 'running' ORDER BY id").fetchall()


def run_states(catalog: Catalog) -> dict[str, str]:
    """Id -> "running", "done" or "failed" of every run."""
    return dict(catalog.execute("SELECT id, state FROM runs"))


def results(catalog: Catalog) -> Iterator[tuple[str, dict[str, Any]]]:
    """Id and result of every run that ended with one."""
    rows = catalog.execute("SELECT id, result FROM runs WHERE state = 'done' AND result IS NOT NULL")
    return ((run, json.loads(result)) for run, result in rows)


# -- the ledger of test reads ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LookRow:
    """A look at a test set as the catalog knows it.

    Attributes:
        test_set: Hash of its questions and judgements.
        run: What looked.
        role: What was tested.
        metric: The one that decided; "" for looks of older versions.
        questions: Hashes of the questions that decided, one behind the other; None for looks of older versions.
    """

    test_set: str
    run: str
    role: str
    metric: str
    questions: str | None


def looks(catalog: Catalog, role: str) -> list[LookRow]:
    """Every look at a test set of a role, oldest first."""
    rows = catalog.execute(
        "SELECT test_set, run, role, metric, questions FROM ledger WHERE role = ? ORDER BY seq", (role,)
    )
    return [LookRow(*row) for row in rows]


def note_look(catalog: Catalog, look: LookRow, *, everything: str) -> None:
    """Write down a look before it is taken, or at what a run has looked by now: a run has one row for a test set.

    Looks of older versions kept no questions. All that is in the test set by now (`everything`, as `look.questions`) is taken
    to have been looked at by them: rather too often than too seldom.
    """
    with catalog.transaction():
        run = catalog.execute
        run("UPDATE ledger SET questions = ? WHERE questions IS NULL AND role = ?", (everything, look.role))
        known = run(
            "UPDATE ledger SET questions = ? WHERE test_set = ? AND run = ?", (look.questions, look.test_set, look.run)
        )
        if not known.rowcount:
            run(
                "INSERT INTO ledger (test_set, run, role, metric, questions, at) VALUES (?, ?, ?, ?, ?, ?)",
                (look.test_set, look.run, look.role, look.metric, look.questions, now()),
            )


def identity(catalog: Catalog) -> str:
    """A name of this workspace that no other has; made when first asked for, by a writer."""
    key = "identity"
    with catalog.transaction():
        catalog.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, uuid.uuid4().hex))
    return str(catalog.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])


# -- releases --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """A release as the catalog knows it."""

    number: int
    manifest_sha256: str
    created: str
    run: str | None
    note: str
    live: bool

    @property
    def name(self) -> str:
        """What a user types: r1, r2, ..."""
        return f"r{self.number}"


def next_release_number(catalog: Catalog) -> int:
    """The number that the next release will get; numbers are never used twice."""
    row = catalog.execute("SELECT seq FROM sqlite_sequence WHERE name = 'releases'").fetchone()
    return int(row[0]) + 1 if row else 1


def add_release(catalog: Catalog, number: int, manifest_sha256: str, *, run: str | None, note: str) -> None:
    """Record a release whose folder is complete, inside the caller's transaction."""
    catalog.execute("INSERT INTO releases VALUES (?, ?, ?, ?, ?)", (number, manifest_sha256, now(), run, note))


def releases(catalog: Catalog) -> list[ReleaseRow]:
    """All releases, oldest first."""
    rows = catalog.execute(
        "SELECT r.number, r.manifest_sha256, r.created, r.run, r.note, l.release IS NOT NULL"
        " FROM releases r LEFT JOIN live l ON l.release = r.number ORDER BY r.number"
    )
    return [
        ReleaseRow(number, digest, created, run, note, bool(live)) for number, digest, created, run, note, live in rows
    ]


def live_release(catalog: Catalog) -> int | None:
    """Number of the live release."""
    row = catalog.execute("SELECT release FROM live").fetchone()
    return int(row[0]) if row else None


def previous_live(catalog: Catalog) -> int | None:
    """The release that was live before the present one: each rollback takes one step further back, as `undo` does."""
    trail: list[int] = []
    for action, after in catalog.execute("SELECT action, after FROM audit ORDER BY seq"):
        if action == "rollback" and len(trail) > 1:
            trail.pop()
        elif not trail or trail[-1] != after:
            trail.append(int(after))
    return trail[-2] if len(trail) > 1 else None


def check_live(catalog: Catalog, expected: int | None) -> None:
    """Make sure that what somebody saw live still is.

    Raises:
        UsageError: Another release went live in the meantime.
    """
    current = live_release(catalog)
    if current != expected:
        raise UsageError(
            f"r{current} went live while this ran, which started from {f'r{expected}' if expected else 'no release'}; "
            "nothing was made live.",
            hint="look at `honed releases`, then type the same command again: it starts from what is live then",
        )


def switch_live(catalog: Catalog, action: str, expected: int | None, target: int, reason: str) -> None:
    """Make a release live by compare-and-swap, with its audit row, inside the caller's transaction.

    Raises:
        UsageError: Another release went live in the meantime.
    """
    check_live(catalog, expected)
    catalog.execute("INSERT OR REPLACE INTO live VALUES (1, ?)", (target,))
    catalog.execute(
        "INSERT INTO audit (at, action, before, after, reason) VALUES (?, ?, ?, ?, ?)",
        (now(), action, expected, target, reason),
    )


def audit(catalog: Catalog) -> list[dict[str, Any]]:
    """Every change of the live release, oldest first."""
    rows = catalog.execute("SELECT at, action, before, after, reason FROM audit ORDER BY seq")
    return [dict(zip(("at", "action", "before", "after", "reason"), row, strict=True)) for row in rows]
