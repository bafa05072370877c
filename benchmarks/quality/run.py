"""Does tuning make retrieval better, under the command that a user types?

    python benchmarks/quality/run.py PACKS [--budget 10m] [--only NAME ...] [--work DIR]

For every pack (a BEIR folder below PACKS): import, `honed tune --budget`, then every untuned system and the live release on
test through the same search. One JSON a pack goes to results/, and RESULTS.md is written anew from all of them.
The machine must be idle: the plan depends on its speed. Imports are kept in DIR, so only the first run embeds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
NOTES = HERE / "NOTES.md"
"""What a person has to say about the runs; it is kept when the table is written anew."""

UNTUNED = ("bm25", "dense", "hybrid")


def honed(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a command in a workspace and return its JSON; progress goes to this program's stderr."""
    command = [sys.executable, "-m", "honed", "-w", str(folder), *arguments, "--json"]
    return json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | {"HONED_PROGRESS": "1"}).stdout
    )


def measure(pack: Path, folder: Path, budget: str) -> dict[str, Any]:
    """Import, tune and measure one pack."""
    if not (folder / "honed.toml").exists():
        subprocess.run([sys.executable, "-m", "honed", "init", str(folder)], check=True, stdout=subprocess.DEVNULL)
    imported = honed(folder, "import", str(pack))
    started, cpu = time.monotonic(), os.times()
    turn = honed(folder, "tune", "--budget", budget)
    wall, after_cpu = time.monotonic() - started, os.times()
    after = {system: honed(folder, "evaluate", "--system", system, "--split", "test") for system in (*UNTUNED, "live")}
    return {
        "pack": pack.name,
        "budget": budget,
        "passages": imported["passages"],
        "import_seconds": imported["seconds"],
        "untuned": {system: after[system]["metrics"] for system in UNTUNED},
        "live": after["live"]["metrics"],
        "turn": turn,
        "wall_seconds": round(wall, 1),
        "cpu_seconds": round(after_cpu.children_user - cpu.children_user, 1),
        "machine": machine(),
    }


def machine() -> str:
    """Processor and cores, as the system names them."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return f"{', '.join(sorted(names)) or 'unknown processor'}, {len(os.sched_getaffinity(0))} cores"


def table() -> str:
    """RESULTS.md from everything in results/."""
    rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    lines = [
        "# Does tuning make retrieval better?",
        "",
        "nDCG@10 on test. `best untuned` is the best of BM25, dense and hybrid **on test**, so nobody can say that the baseline was",
        "chosen badly. `gain` is live minus best untuned, in points; interval and p are those of the sealed test against the",
        "baseline that was chosen on dev. Written by `python benchmarks/quality/run.py PACKS`.",
        "",
        "| data | BM25 | dense | hybrid | live | gain | verdict | chosen | 95% CI | p | wall s | budget |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        untuned = {name: values["ndcg@10"] for name, values in row["untuned"].items()}
        live, turn = row["live"]["ndcg@10"], row["turn"]
        low, high = turn["delta"]["ci95"]
        lines.append(
            f"| {row['pack']} | {untuned['bm25']:.3f} | {untuned['dense']:.3f} | {untuned['hybrid']:.3f} | **{live:.3f}** "
            f"| {100 * (live - max(untuned.values())):+.1f} | {turn['verdict'].upper()} | {turn['candidate']['name']} "
            f"| {100 * low:+.1f} .. {100 * high:+.1f} | {turn['delta']['p']:.4f} | {row['wall_seconds']:.0f} | {row['budget']} |"
        )
    lines += ["", "Rungs (dev nDCG@10, seconds):", ""]
    for row in rows:
        rungs = ", ".join(
            f"{rung['rung']} {rung['dev']:.3f} ({rung['seconds']:.0f} s)" for rung in row["turn"]["ladder"]
        )
        lines.append(f"- {row['pack']}: {rungs}")
    lines += ["", *(NOTES.read_text().splitlines() if NOTES.is_file() else [])]
    machines = sorted({row["machine"] for row in rows})
    return "\n".join([*lines, "", f"Machine: {'; '.join(machines)}."]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packs", type=Path)
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--work", type=Path, default=Path("/tmp/honed-quality"))
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    for pack in sorted(options.packs.iterdir()):
        if not (pack / "qrels" / "test.tsv").is_file() or (options.only and pack.name not in options.only):
            continue
        result = measure(pack, options.work / pack.name, options.budget)
        (RESULTS / f"{pack.name}.json").write_text(json.dumps(result, indent=1) + "\n")
        (HERE / "RESULTS.md").write_text(table())
        print(pack.name, result["live"]["ndcg@10"], result["turn"]["verdict"], flush=True)


if __name__ == "__main__":
    main()
