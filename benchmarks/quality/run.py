"""Does tuning make retrieval better, and than what? All of it under the commands that a user types, in one run a pack.

    python benchmarks/quality/run.py PACKS [--budget 10m] [--only NAME ...] [--work DIR] [--peer]

For every pack (a BEIR folder below PACKS): import, `honed tune --budget`, then on test, through the same search: what anybody
can build (plain BM25, vectors, their z-scores and reciprocal ranks fused at equal weight), the release before tuning (without
labels, and as labels choose it), the live release; beside them bm25s, another library's BM25, over the same title and text.
With --peer the documented recipe of sentence-transformers runs in the same run (benchmarks/peer_recipe). One JSON a pack goes
to results/, and RESULTS.md is written anew from all of them. The machine must be idle: the plan depends on its speed. Imports
are kept in DIR, so only the first run embeds.
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

import numpy as np

HERE = Path(__file__).parent
RESULTS = HERE / "results"
NOTES = HERE / "NOTES.md"
"""What a person has to say about the runs; it is kept when the table is written anew."""
PEER = HERE.parent / "peer_recipe"

PLAIN = ("bm25", "bm25-all-words", "dense", "fusion", "rrf")
"""What anybody can build; the best of them on test is what a gain is counted from."""

SYSTEMS = (*PLAIN, "default", "r1", "live")


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
    tuned = honed(folder, "tune", "--budget", budget)
    wall, after_cpu = time.monotonic() - started, os.times()
    means = {system: honed(folder, "evaluate", "--system", system, "--split", "test")["metrics"] for system in SYSTEMS}
    return {
        "pack": pack.name,
        "budget": budget,
        "passages": imported["passages"],
        "import_seconds": imported["seconds"],
        "plain": {system: means[system] for system in PLAIN} | {"bm25s": bm25s(pack)},
        "unlabelled": means["default"],
        "labelled": means["r1"],
        "live": means["live"],
        "tuned": {key: value for key, value in tuned.items() if key != "report"},  # a place on this machine
        "wall_seconds": round(wall, 1),
        "cpu_seconds": round(after_cpu.children_user - cpu.children_user, 1),
        "machine": machine(),
    }


def bm25s(pack: Path) -> dict[str, float] | None:
    """The library bm25s with its defaults and a stemmer over title and text; None where it is not installed."""
    from honed.evaluate.metrics import METRICS, means, per_query
    from honed.formats import read_beir

    try:
        import bm25s as library
        import Stemmer
    except ModuleNotFoundError:
        print("bm25s is not installed, so its column stays empty: pip install bm25s PyStemmer", file=sys.stderr)
        return None
    beir = read_beir(pack)
    rows = list(beir.corpus())
    names = np.array([row.id for row in rows])
    stemmer = Stemmer.Stemmer("english")
    texts = [f"{row.title}\n{row.text}" for row in rows]
    index = library.BM25()
    index.index(library.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    asked = [query for query in beir.queries if query.split == "test"]
    tokens = library.tokenize([query.text for query in asked], stopwords="en", stemmer=stemmer, show_progress=False)
    found, _ = index.retrieve(tokens, k=min(100, len(names)), show_progress=False)
    rankings = {query.id: names[row].tolist() for query, row in zip(asked, found, strict=True)}
    relevant: dict[str, dict[str, int]] = {}
    for judged in beir.qrels:
        relevant.setdefault(judged.query, {})[judged.document] = judged.grade
    scores = per_query(rankings, relevant, METRICS, queries=list(rankings))
    return {metric: round(value, 4) for metric, value in means(scores).values.items()}


def machine() -> str:
    """Processor and cores, as the system names them."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return f"{', '.join(sorted(names)) or 'unknown processor'}, {len(os.sched_getaffinity(0))} cores"


def table() -> str:
    """RESULTS.md from everything in results/."""
    rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    rows = [row for row in rows if "plain" in row]  # files of the runs before hold other systems
    lines = [
        "# Does tuning make retrieval better, and than what?",
        "",
        "nDCG@10 on test. BM25 is plain: title and text, stemmed, without stop words; fusion is of z-scores, RRF of ranks, both at",
        "equal weight. `before` is the release that `honed import` makes, without labels and as labels choose it; `after` is what is",
        "live after `honed tune`. `gain` is after minus the best plain system **on test** (bm25s included), in points, so nobody can",
        "say that the baseline was chosen badly; interval and p are those of the sealed test against the baseline that was chosen",
        "where nothing was fitted. `recipe` is the better of sentence-transformers' documented recipe alone and fused with BM25",
        "(benchmarks/peer_recipe). Written by `python benchmarks/quality/run.py PACKS`.",
        "",
        "| data | BM25 | with stop words | bm25s | dense | fusion | RRF | before, no labels | before, labels | after | gain | recipe | verdict | chosen | 95% CI | p | wall s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        *(_row(row) for row in rows),
        "",
        "Stages (dev nDCG@10, seconds):",
        "",
    ]
    for row in rows:
        stages = ", ".join(
            f"{stage['stage']} {stage['dev']:.3f} ({stage['seconds']:.0f} s)" for stage in row["tuned"]["stages"]
        )
        lines.append(f"- {row['pack']}: {stages}. Chosen: {row['tuned']['candidate']['what']}")
    lines += ["", *(NOTES.read_text().splitlines() if NOTES.is_file() else [])]
    machines = sorted({f"{row['machine']}, budget {row['budget']}" for row in rows})
    return "\n".join([*lines, "", f"Machine: {'; '.join(machines)}."]) + "\n"


def _row(row: dict[str, Any]) -> str:
    plain = {name: values["ndcg@10"] for name, values in row["plain"].items() if values}
    live, tuned = row["live"]["ndcg@10"], row["tuned"]
    low, high = tuned["delta"]["ci95"]
    cells = [
        row["pack"],
        *(
            f"{plain[name]:.3f}" if name in plain else ""
            for name in ("bm25", "bm25-all-words", "bm25s", "dense", "fusion", "rrf")
        ),
        *(f"{row[name]['ndcg@10']:.3f}" for name in ("unlabelled", "labelled")),
        f"**{live:.3f}**",
        f"{100 * (live - max(plain.values())):+.1f}",
        _recipe(row["pack"]),
        tuned["verdict"].upper(),
        tuned["candidate"]["name"],
        f"{100 * low:+.1f} .. {100 * high:+.1f}",
        f"{tuned['delta']['p']:.4f}",
        f"{row['wall_seconds']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _recipe(pack: str) -> str:
    path = PEER / "results" / f"{pack}.json"
    if not path.is_file():
        return ""
    found = json.loads(path.read_text())
    return f"{max(found['dense'], found['rrf']):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packs", type=Path)
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--work", type=Path, default=Path("/tmp/honed-quality"))
    parser.add_argument("--peer", action="store_true", help="Run the peer's recipe on the same packs, too.")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    for pack in sorted(options.packs.iterdir()):
        if not (pack / "qrels" / "test.tsv").is_file() or (options.only and pack.name not in options.only):
            continue
        result = measure(pack, options.work / pack.name, options.budget)
        (RESULTS / f"{pack.name}.json").write_text(json.dumps(result, indent=1) + "\n")
        if options.peer:
            recipe = [sys.executable, str(PEER / "run.py"), str(options.packs), "--only", pack.name]
            subprocess.run([*recipe, "--quality", str(RESULTS)], check=True, stdout=subprocess.DEVNULL)
        (HERE / "RESULTS.md").write_text(table())
        print(pack.name, result["live"]["ndcg@10"], result["tuned"]["verdict"], flush=True)


if __name__ == "__main__":
    main()
