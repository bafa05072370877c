"""300 random `kill -9` over add, import, tune, promote, rollback and compact: `nice -n 10 python benchmarks/kill/run.py`."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.upkeep.killing import COMMANDS, Tally, saved_states
from tests.upkeep.nursery import HEAVY, Nursery
from tests.upkeep.place import Place, prepare

RESULTS = Path(__file__).with_name("RESULTS.md")
KILLS = {"add": 90, "import": 70, "tune": 24, "promote": 46, "rollback": 28, "compact": 42}
NOTE = """\
One workspace: 66 documents and 212 questions imported, files added, three releases in two or three embedding spaces. Each row: the
workspace is put back, the command is started, SIGKILL comes after a random share (uniform, 0 to 1) of the time that the
command last took unhurt. It runs as `honed.cli.main()` in a child forked from a process that has loaded the libraries, so
that kills fall on work and not on imports, with a durable commit after each file, every 16 rows and every 16 vectors, and a
checkpoint every 0.3 s, so that a small workspace has as many moments between two commits as a large one.

After the kill the harness opens the workspace and checks: every acknowledged document is there, word for word, and found by
its words; every other one is whole (old or new) or absent; questions are complete; the live release is the old or the new
one and answers; `honed doctor --deep` finds nothing wrong, and nothing unfinished that `--repair` or the next command does
not clear. Then the same command is typed again and must end as if it had never been killed: exactly the documents on disk;
an interrupted `tune` goes on with the same run and ends proven, with r2 live, one look at the test set and no third release;
`promote` leaves one row in the audit log; after `compact` no byte of the workspace holds a deleted word. Last,
`honed doctor --deep --repair` must leave nothing to say.

"Done, not said": the kill came after the command's last commit, before it printed its result. A `rollback` of that kind is
not typed again, because it would go forward: look at `honed releases` first. "Resumed": typed again, it ended so.

Without a clock: `tests/upkeep/test_failpoints.py` kills `add` and `promote` before and after every fsync, rename and COMMIT,
`tests/upkeep/test_kill.py` does so with the end of a turn, from the sealed test on, and one test plants a fault (a document
that is committed before its passages) to show that the harness sees one.
"""


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--share", type=float, default=1.0, help="of the 300 kills")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--only", default=",".join(KILLS))
    chosen = arguments.parse_args()
    started = time.monotonic()
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as name, Nursery(HEAVY) as nursery:
        place = prepare(Path(name), nursery)
        saved_states(place)
        print(f"prepared in {time.monotonic() - started:.0f} s", file=sys.stderr)
        for command in chosen.only.split(","):
            count = max(1, round(KILLS[command] * chosen.share))
            tallies[command] = kill_often(place, command, count, np.random.default_rng(chosen.seed))
    text = table(tallies, time.monotonic() - started, chosen.seed)
    print(text)
    if chosen.share == 1.0 and set(tallies) == set(KILLS):
        RESULTS.write_text(f"# kill -9\n\n`nice -n 10 python benchmarks/kill/run.py`\n\n{text}\n{NOTE}")
    return 1 if any(tally.violations for tally in tallies.values()) else 0


def kill_often(place: Place, command: str, count: int, random: np.random.Generator) -> Tally:
    """Kill a command `count` times at random moments; the first time it runs unhurt, to see how long it takes."""
    unhurt = Tally()
    COMMANDS[command](place, {}, random, unhurt)
    tally = Tally(seconds=unhurt.seconds, violations=unhurt.violations)
    for number in range(count):
        after = float(random.uniform(0.0, tally.seconds))
        known = len(tally.violations)
        COMMANDS[command](place, {"kill_after": after}, random, tally)
        for sentence in tally.violations[known:]:
            print(f"{command} {number}, killed after {after:.3f} s: {sentence}", file=sys.stderr)
        if number % 10 == 9:
            print(f"{command}: {number + 1} of {count}, {tally.hit} hit", file=sys.stderr)
    return tally


def table(tallies: dict[str, Tally], seconds: float, seed: int) -> str:
    """One row a command, and the sum."""
    rows = [
        (name, tally.kills, tally.hit, tally.finished, tally.resumed, len(tally.violations), f"{tally.seconds:.2f}")
        for name, tally in tallies.items()
    ]
    sums = [sum(int(row[at]) for row in rows) for at in range(1, 6)]
    lines = [
        "| Command | Kills | Hit the running process | Done, not said | Resumed | Violations | Seconds unhurt |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *("| " + " | ".join(map(str, row)) + " |" for row in rows),
        "| **all** | " + " | ".join(f"**{number}**" for number in sums) + " | |",
    ]
    machine = f"{len(os.sched_getaffinity(0))} cores, Linux {platform.release()}, Python {platform.python_version()}"
    when = datetime.now(UTC).date().isoformat()
    lines += ["", f"{seconds / 60:.1f} minutes, seed {seed}, {machine}, load {os.getloadavg()[1]:.1f}, {when}.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
