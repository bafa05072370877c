"""Every hostile case through the sandbox, in one Markdown table: `python benchmarks/hostile/run.py`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.ingest.hostile import CASES, PARSED, SECRET, Case

from honed.ingest.sandbox import Sandbox
from honed.types import Rejection

RESULTS = Path(__file__).with_name("RESULTS.md")
MOST_SECONDS, MOST_BYTES = 5.0, 512 << 20
CONTROL = "A line of honest text, which has to be read after every hostile file."


def main() -> int:
    rows: list[str] = []
    failures = 0
    slowest = largest = 0.0
    with tempfile.TemporaryDirectory() as name, Sandbox() as sandbox:
        folder = Path(name)
        control = folder / "control.txt"
        control.write_text(CONTROL)
        sandbox.parse(control)
        protection = str(sandbox.protection)
        for case in CASES:
            row, problem, seconds, peak = _measure(case, folder, sandbox, control)
            rows.append(row)
            failures += bool(problem)
            slowest, largest = max(slowest, seconds), max(largest, peak)
            print(row + (f"   <-- {problem}" if problem else ""), file=sys.stderr)
    summary = (
        f"{len(CASES)} cases, {len(CASES) - failures} as they should be. Slowest {slowest:.1f} s, largest {largest:.0f} MB. "
        f"Protection in force: {protection}."
    )
    head = "| Case | Bytes | Outcome | Seconds | CPU s | Peak MB |\n|---|---:|---|---:|---:|---:|"
    note = (
        "Contract of each case: parsed or rejected with a code that is named for it, within 5 s and 512 MB, nothing of "
        "/etc/passwd in the outcome, and the honest file after it is read. `Sandbox` with its default limits."
    )
    RESULTS.write_text(
        f"# Hostile files\n\n`python benchmarks/hostile/run.py`\n\n{summary}\n\n{note}\n\n{head}\n"
        + "\n".join(rows)
        + "\n"
    )
    print(summary)
    return 1 if failures else 0


def _measure(case: Case, folder: Path, sandbox: Sandbox, control: Path) -> tuple[str, str, float, float]:
    path = case.write(folder)
    size = path.stat().st_size
    sandbox.last = None
    start = time.monotonic()
    outcome = sandbox.parse(path)
    seconds = time.monotonic() - start
    ended = sandbox.last
    path.unlink()
    code = outcome.code if isinstance(outcome, Rejection) else PARSED
    peak = ended.peak_bytes if ended else 0
    after = sandbox.parse(control)
    problems = [
        text
        for wrong, text in (
            (
                code not in case.allowed,
                f"{code} is not in {sorted(case.allowed)}: {outcome.reason if isinstance(outcome, Rejection) else ''}",
            ),
            (seconds > MOST_SECONDS, "too slow"),
            (peak > MOST_BYTES, "too large"),
            (SECRET in repr(outcome), "disclosed"),
            (isinstance(after, Rejection), "the next file suffered"),
        )
        if wrong
    ]
    cpu = ended.cpu_seconds if ended else 0.0
    row = f"| {case.name} | {size:,} | {code} | {seconds:.2f} | {cpu:.2f} | {peak / (1 << 20):.0f} |"
    return row, "; ".join(problems), seconds, peak / (1 << 20)


if __name__ == "__main__":
    raise SystemExit(main())
