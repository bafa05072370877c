"""Every hostile case through the sandbox, in Markdown tables: `python benchmarks/hostile/run.py`."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.ingest.hostile import CASES, PARSED, SECRET, Case

from honed.ingest.limits import OCR_LIMITS, PARSE_LIMITS
from honed.ingest.sandbox import Sandbox
from honed.types import Rejection

RESULTS = Path(__file__).with_name("RESULTS.md")
MIB = 1 << 20
HEAD = "| Case | Bytes | Outcome | Seconds | CPU s | Peak MB |\n|---|---:|---|---:|---:|---:|"
NOTE = """Contract of each case: parsed, or rejected with a code that is named for it; nothing of /etc/passwd in the outcome; the
honest file after it is read. Seconds are what the caller waits, the file already written; peak memory counts the libraries
that the fork shares with its server. On a machine that is busy otherwise the seconds grow and only processor time is judged."""
PICTURES = (".avif", ".bmp", ".gif", ".jpg", ".png", ".tiff", ".webp")
"""What is visited a second time where text recognition is installed."""


@dataclass(frozen=True)
class Contract:
    title: str
    seconds: float
    bytes: int


@dataclass(frozen=True)
class Row:
    text: str
    code: str
    problem: str
    seconds: float
    cpu: float
    megabytes: float


def main() -> int:
    plain = Contract("Without text recognition", 5.0, PARSE_LIMITS.memory_bytes)
    scans = Contract(
        "Images and scanned pages, with text recognition", OCR_LIMITS.wall_seconds, OCR_LIMITS.memory_bytes
    )
    load = os.getloadavg()[0]
    with Sandbox(ocr=False) as sandbox:
        protection = str(sandbox.protection)
        rows = run(CASES, sandbox, plain)
    pictures = [
        case
        for case, row in zip(CASES, rows, strict=True)
        if row.code == "ocr-missing" or (row.code == PARSED and case.suffix in PICTURES)
    ]
    with Sandbox() as sandbox:
        recognised = run(pictures, sandbox, scans) if sandbox.ocr else []
    machine = f"{os.cpu_count()} cores, load {load:.1f} at the start, run at nice {os.nice(0)}. In force: {protection}."
    parts = ["# Hostile files", "`python benchmarks/hostile/run.py`", NOTE, machine]
    parts += section(plain, rows) + section(scans, recognised)
    RESULTS.write_text("\n\n".join(parts) + "\n")
    return 1 if any(row.problem for row in rows + recognised) else 0


def run(cases: Sequence[Case], sandbox: Sandbox, contract: Contract) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        honest = folder / "honest.txt"
        honest.write_text("A line of honest text, which has to be read after every hostile file.")
        sandbox.parse(honest)
        return [measure(case, folder, sandbox, contract) for case in cases]


def measure(case: Case, folder: Path, sandbox: Sandbox, contract: Contract) -> Row:
    path = case.write(folder)
    size = path.stat().st_size
    sandbox.last = None
    start = time.monotonic()
    outcome = sandbox.parse(path)
    seconds = time.monotonic() - start
    path.unlink()
    cpu, peak = (sandbox.last.cpu_seconds, sandbox.last.peak_bytes) if sandbox.last else (0.0, 0)
    code = outcome.code if isinstance(outcome, Rejection) else PARSED
    checks = {
        f"{code} was not to be expected": code in case.allowed.split("|"),
        "too slow": cpu <= contract.seconds
        and (seconds <= contract.seconds or os.getloadavg()[0] > (os.cpu_count() or 1)),
        "too large": peak <= contract.bytes,
        "disclosed": SECRET not in repr(outcome),
        "the next file suffered": not isinstance(sandbox.parse(folder / "honest.txt"), Rejection),
    }
    problem = "; ".join(text for text, holds in checks.items() if not holds)
    text = f"| {case.name} | {size:,} | {code} | {seconds:.2f} | {cpu:.2f} | {peak / MIB:.0f} |"
    print(text + (f"   <-- {problem}" if problem else ""), file=sys.stderr)
    return Row(text, code, problem, seconds, cpu, peak / MIB)


def section(contract: Contract, rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    good = sum(not row.problem for row in rows)
    summary = (
        f"{good} of {len(rows)} cases keep the contract ({contract.seconds:.0f} s, {contract.bytes // MIB} MB). "
        f"Slowest {max(row.seconds for row in rows):.2f} s, {max(row.cpu for row in rows):.2f} s of processor time, "
        f"largest {max(row.megabytes for row in rows):.0f} MB."
    )
    print(f"{contract.title}: {summary}")
    return [f"## {contract.title}", summary, HEAD + "\n" + "\n".join(row.text for row in rows)]


if __name__ == "__main__":
    raise SystemExit(main())
