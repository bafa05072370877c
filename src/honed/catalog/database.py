"""The connection to the catalog: durable writes, many readers, and what the derived indexes ask for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread, current_thread
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from honed.catalog.schema import FORMAT, MIGRATIONS, TABLES, question_key
from honed.errors import BusyError, IntegrityError, MissingError, UsageError
from honed.types import Vectors

BATCH = 500
"""Bound parameters a statement: far below SQLite's limit, large enough to be cheap."""

StorageError = sqlite3.DatabaseError
"""Raised by SQLite when the file is damaged."""

BUSY_SECONDS = 30
"""Seconds that a writer waits for another one."""


@dataclass(frozen=True, slots=True)
class Change:
    """One passage that came or went."""

    seq: int
    rowid: int
    op: Literal["add", "remove"]


class Catalog:
    """An open catalog, safe to share between threads: each has a connection of its own, opened when it first asks.

    Reading needs no lock; writing happens inside `transaction()`, one writer at a time, and the others wait.
    `synchronous=FULL`: under simulated power loss NORMAL loses acknowledged commits, FULL none.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open a catalog.

        Raises:
            MissingError: There is none and `create` is false.
            IntegrityError: The file is not a catalog, or is damaged.
            UsageError: It was written by a newer version.
        """
        if not create and not path.is_file():
            raise MissingError(f"There is no catalog at {path}.", hint="honed init, then honed add PATH")
        self.path = path
        self._guard = Lock()
        self._connections: dict[Thread, sqlite3.Connection] = {}
        self._closed = False
        try:
            try:
                self._prepare(create)
            except BaseException:
                self.close()
                raise
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                raise _busy(path) from error
            hint = "restore it from a backup, or add the documents again"
            if isinstance(error, sqlite3.OperationalError) and "no such table" not in str(error):  # the machine's no
                hint = f"check that {path.parent} is there and that you may write to it"
            raise IntegrityError(f"{path} cannot be read as a catalog: {error}", hint=hint) from error

    @property
    def _connection(self) -> sqlite3.Connection:
        """The calling thread's connection."""
        return self._connections.get(current_thread()) or self._connect()

    def _connect(self) -> sqlite3.Connection:
        with self._guard:
            if self._closed:
                raise sqlite3.ProgrammingError(f"{self.path} is closed.")
            for thread in [thread for thread in self._connections if not thread.is_alive()]:
                self._connections.pop(thread).close()
            # Only its own thread uses it, but whoever closes the catalog closes it.
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._connections[current_thread()] = connection
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _prepare(self, create: bool) -> None:
        run = self.execute
        if create:
            with self.transaction():
                if not run("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                    for statement in _statements(TABLES):
                        run(statement)
                    run("INSERT INTO meta VALUES ('format', ?)", (str(FORMAT),))
        version = self._format()
        if version > FORMAT:
            raise UsageError(f"{self.path} was written by a newer version of Honed.", hint="pip install -U honed")
        if version < FORMAT:
            self._migrate()

    def _format(self) -> int:
        row = self.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        return int(row[0]) if row else FORMAT + 1

    def _migrate(self) -> None:
        """Bring an older file up, in one transaction: who opens it next, or after a kill, sees the old form or the new one.

        Reading commands do it too, so that none has to know two forms. A reader of the older version that has the file
        open goes on searching undisturbed: of what search reads nothing is changed.
        """
        self._connection.create_function("question_key", 1, question_key, deterministic=True)
        with self.transaction():
            for number in range(self._format(), FORMAT):  # another process may have done it meanwhile
                for statement in _statements(MIGRATIONS[number]):
                    self.execute(statement)
            self.execute("UPDATE meta SET value = ? WHERE key = 'format'", (str(FORMAT),))

    def close(self) -> None:
        """Close the connections of all threads; safe to call twice."""
        with self._guard:
            self._closed = True
            while self._connections:
                self._connections.popitem()[1].close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. What was written is durable when the block ends. Another thread's or process's is waited for.

        Raises:
            BusyError: Somebody else has been writing for half a minute.
        """
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise _busy(self.path) from error
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite has rolled back by itself when the disk is full
                connection.execute("ROLLBACK")
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads of the block, in this thread, see one moment of the catalog, whatever others write meanwhile."""
        connection = self._connection
        if connection.in_transaction:
            yield
            return
        connection.execute("BEGIN")
        try:
            yield
        finally:
            connection.execute("COMMIT")

    # -- for this room -------------------------------------------------------------------------------------------

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        """One statement in the calling thread's connection. SQL is written in this room alone; others call its verbs."""
        return self._connection.execute(statement, parameters)

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> sqlite3.Cursor:
        """One statement for each row, as `execute`."""
        return self._connection.executemany(statement, rows)

    def over(
        self, head: str, column: str, rowids: NDArray[np.int64] | None, *parameters: object
    ) -> Iterator[tuple[Any, ...]]:
        """Run a SELECT over all rows, or over given row ids in batches, ordered by `column`."""
        if rowids is None:
            yield from self.execute(f"{head} ORDER BY {column}", parameters)
            return
        wanted = np.sort(rowids).tolist()
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            marks = ",".join("?" * len(batch))
            yield from self.execute(f"{head} WHERE {column} IN ({marks}) ORDER BY {column}", (*parameters, *batch))

    # -- for the derived indexes ---------------------------------------------------------------------------------

    @property
    def seq(self) -> int:
        """Number of the last change to the passages; 0 when there was none."""
        return int(self.execute("SELECT coalesce(max(seq), 0) FROM changes").fetchone()[0])

    def changes_since(self, seq: int) -> list[Change]:
        """Passages that came and went after a change number, in order."""
        rows = self.execute("SELECT seq, passage, op FROM changes WHERE seq > ? ORDER BY seq", (seq,))
        return [Change(*row) for row in rows]

    def passage_count(self) -> int:
        """Number of passages."""
        return int(self.execute("SELECT count(*) FROM passages").fetchone()[0])

    def index_rows(self, rowids: NDArray[np.int64] | None = None) -> Iterator[tuple[int, str, str, tuple[str, ...]]]:
        """Live passages as (rowid, context line, text, filter terms), in rowid order."""
        head = (
            "SELECT p.rowid, p.title, p.headings, p.text, d.language, d.media_type, d.external_id, d.meta"
            " FROM passages p JOIN documents d ON d.rowid = p.document"
        )
        for row in self.over(head, "p.rowid", rowids):
            rowid, title, headings, text, language, media_type, external_id, meta = row
            parts = [title, *(heading for heading in json.loads(headings) if heading != title)]
            terms = {"lang": language, "type": media_type, "document": external_id, **json.loads(meta)}
            yield rowid, " | ".join(part for part in parts if part), text, filter_terms(terms)

    def vectors(self, space: str, rowids: NDArray[np.int64] | None = None) -> tuple[NDArray[np.int64], Vectors]:
        """Row ids and unit vectors of the live passages that have a vector in a space, in rowid order."""
        head = "SELECT p.rowid, v.vector FROM passages p JOIN vectors v ON v.text_hash = p.text_hash AND v.space = ?"
        rows = list(self.over(head, "p.rowid", rowids, space))
        if not rows:
            return np.empty(0, np.int64), np.empty((0, 0), np.float32)
        kept = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        matrix = np.frombuffer(b"".join(row[1] for row in rows), np.float32).reshape(len(rows), -1)
        return kept, matrix

    def missing_vectors(self, space: str) -> list[tuple[bytes, str]]:
        """(hash, text to embed) of the live passages without a vector in a space; each text once."""
        rows = self.execute(
            "SELECT p.text_hash, p.title, p.headings, p.text FROM passages p WHERE NOT EXISTS"
            " (SELECT 1 FROM vectors v WHERE v.space = ? AND v.text_hash = p.text_hash) GROUP BY p.text_hash",
            (space,),
        )
        return [(row[0], embedded_text(row[1], json.loads(row[2]), row[3])) for row in rows]

    def put_vectors(self, space: str, hashes: Sequence[bytes], matrix: Vectors) -> None:
        """Keep vectors by the hash of their text; one durable transaction."""
        rows = ((space, key, vector.tobytes()) for key, vector in zip(hashes, matrix.astype(np.float32), strict=True))
        with self.transaction():
            self.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)


def _busy(path: Path) -> BusyError:
    return BusyError(f"{path} is being written by another process.", hint="wait until it ends, then try again")


def embedded_text(title: str, headings: Sequence[str], text: str) -> str:
    """Title and heading path as a first line, then the text (as `Passage.embedded_text`)."""
    context = " | ".join(part for part in (title, *(heading for heading in headings if heading != title)) if part)
    return f"{context}\n{text}" if context else text


def filter_terms(meta: dict[str, object]) -> tuple[str, ...]:
    """Metadata as `key=value` terms; lists give one term an item, nested objects none."""
    terms = []
    for key, value in meta.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str | int | float | bool) and item != "":
                terms.append(f"{key}={str(item).lower() if isinstance(item, bool) else item}")
    return tuple(terms)


def _statements(script: str) -> Iterator[str]:
    """Split a script into statements, so that all of them run inside one transaction."""
    pending = ""
    for line in script.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
