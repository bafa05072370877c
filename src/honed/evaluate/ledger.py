"""Looks at test sets from every workspace of this account: throwing a workspace away makes no test set fresh again.

The catalog counts the looks of its own workspace. This file, `looks.jsonl` in `$HONED_STATE` (by default
`$XDG_STATE_HOME/honed` or `~/.local/state/honed`), remembers those of the others: hashes only, one line a look. The
same experiment in another workspace (same version, recipe, data and budget: a demo run again) is no new look, since nothing
was chosen in between.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """One look: at which test set, by which experiment (a hash of all that it depends on), in which workspace."""

    test_set: str
    experiment: str
    workspace: str


def ledger_path() -> Path:
    """Where this account's looks are kept."""
    if chosen := os.environ.get("HONED_STATE"):
        return Path(chosen) / "looks.jsonl"
    state = os.environ.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    return Path(state) / "honed" / "looks.jsonl"


def looks_elsewhere(look: Look) -> int:
    """Note a look before it is taken; returns how many other experiments of other workspaces had this test set.

    Where the file cannot be written, a warning says so and only what can be read counts.
    """
    path = ledger_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            known = set(_looks(file.read()))
            if look not in known:
                file.write(json.dumps(asdict(look)) + "\n")
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        _log.warning("Looks at test sets cannot be kept in %s: %s", path, error)
        known = set()
    return len(
        {
            other.experiment
            for other in known
            if other.test_set == look.test_set
            and other.workspace != look.workspace
            and other.experiment != look.experiment
        }
    )


def _looks(text: str) -> Iterator[Look]:
    """The looks of a file's text; a line that a power cut left half written is skipped."""
    for line in text.splitlines():
        try:
            yield Look(**json.loads(line))
        except (ValueError, TypeError):
            continue
