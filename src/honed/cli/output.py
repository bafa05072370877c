"""Output of commands: data on stdout, everything else on stderr, JSON when it is asked for."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from honed.errors import HonedError
from honed.workspace import finite


def emit(value: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Write a result: one JSON object, or text for a person."""
    line = json.dumps(finite(value), ensure_ascii=False, allow_nan=False) if as_json else text
    write(line + "\n")


def write(text: str) -> None:
    """Write to stdout at once. A reader that went away (`| head`) is no error: the rest is dropped."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(line: str) -> None:
    """One line on stderr that a user should read: what was skipped, what was assumed."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def tell(line: str) -> None:
    """One line of progress on stderr, where somebody watches (see `watched`)."""
    if watched():
        note(line)


def watched() -> bool:
    """Whether progress is shown: on a terminal, or where HONED_PROGRESS is set (for logs of long runs)."""
    return sys.stderr.isatty() or bool(os.environ.get("HONED_PROGRESS"))


def report_error(error: HonedError) -> int:
    """Write an error as a sentence and a hint; returns the exit code."""
    sys.stderr.write(f"error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")
    return error.exit_code


class Progress:
    """A counter with the time left: one line that is rewritten on a terminal, a line every ten seconds in a watched log."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.started = self.last = time.monotonic()

    def __call__(self, done: int, total: int, _: str = "") -> None:
        """Show that `done` of `total` are done."""
        if not watched():
            return
        now = time.monotonic()
        live = sys.stderr.isatty()
        if now - self.last < (0.1 if live else 10.0) and done < total:
            return
        self.last = now
        spent = now - self.started
        left = spent / max(done, 1) * (total - done)
        line = f"{self.what}: {done:,} of {total:,}" + (f", about {left:.0f} s left" if 0 < done < total else "")
        sys.stderr.write(f"\r\x1b[K{line}" + ("\n" if done >= total else "") if live else f"{line}\n")
        sys.stderr.flush()


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))] if rows else []
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def duration(text: str) -> float:
    """Seconds of a duration such as 90, 90s, 10m, 2h.

    Raises:
        UsageError: It is not a duration.
    """
    from honed.errors import UsageError

    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e7:
        raise UsageError(f"'{text}' is not a duration.", hint="write 90s, 10m or 2h")
    return seconds
