"""Does tuning make retrieval of pictures better, under the command that a user types?

    python benchmarks/images/run.py PACKS [--budget 10m] [--only NAME ...] [--work DIR]

For every image pack (items.jsonl with groups, images/) below PACKS: import, `honed tune --role image-retriever --budget`. One JSON a
pack goes to results/, and RESULTS.md is written anew from all of them. The verdict is the one sealed look at test.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
NOTES = HERE / "NOTES.md"
METRICS = ("recall@1", "recall@10", "map")


def honed(folder: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "honed", "-w", str(folder), *arguments, "--json"]
    return json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | {"HONED_PROGRESS": "1"}).stdout
    )


def measure(pack: Path, folder: Path, budget: str) -> dict[str, Any]:
    if not (folder / "honed.toml").exists():
        subprocess.run([sys.executable, "-m", "honed", "init", str(folder)], check=True, stdout=subprocess.DEVNULL)
    imported = honed(folder, "import", str(pack))
    before = os.times().children_user
    turn = honed(folder, "tune", "--role", "image-retriever", "--budget", budget)
    return {
        "pack": pack.name,
        "budget": budget,
        "import_seconds": imported["seconds"],
        "cpu_seconds": round(os.times().children_user - before, 1),
        "turn": {key: value for key, value in turn.items() if key != "report"},
    }


def table() -> str:
    rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    lines = [
        "# Does tuning make retrieval of pictures better?",
        "",
        "Every picture of a test group asks for the others of its group among all other pictures of test. Recall@k: share of queries with",
        "a hit among the first k. Written by `python benchmarks/images/run.py PACKS`.",
        "",
        "| data | system | recall@1 | recall@10 | mAP | verdict | 95% CI (recall@1) | p | queries, groups | wall s | budget |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        turn = row["turn"]
        low, high = turn["delta"]["ci95"]
        for side in ("baseline", "candidate"):
            values = " | ".join(f"{turn[side]['metrics'][name]:.3f}" for name in METRICS)
            rest = (
                f"{turn['verdict'].upper()} | {100 * low:+.1f} .. {100 * high:+.1f} | {turn['delta']['p']:.4f} "
                f"| {turn['queries']}, {turn['clusters']} | {turn['seconds']:.0f} | {row['budget']}"
                if side == "candidate"
                else "| | | | | "
            )
            lines.append(f"| {row['pack']} | {turn[side]['name']} | {values} | {rest} |")
    lines += ["", "Rungs (dev recall@1, seconds):", ""]
    for row in rows:
        rungs = ", ".join(f"{one['rung']} {one['dev']:.3f} ({one['seconds']:.0f} s)" for one in row["turn"]["ladder"])
        lines.append(f"- {row['pack']}: untuned {next(iter(row['turn']['baseline']['dev'].values())):.3f}, {rungs}")
    return "\n".join([*lines, "", *(NOTES.read_text().splitlines() if NOTES.is_file() else [])]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packs", type=Path)
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--work", type=Path, default=Path("/tmp/honed-images"))
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    for pack in sorted(options.packs.iterdir()):
        if not (pack / "items.jsonl").is_file() or (options.only and pack.name not in options.only):
            continue
        result = measure(pack, options.work / pack.name, options.budget)
        (RESULTS / f"{pack.name}.json").write_text(json.dumps(result, indent=1) + "\n")
        (HERE / "RESULTS.md").write_text(table())
        print(pack.name, result["turn"]["verdict"], flush=True)


if __name__ == "__main__":
    main()
