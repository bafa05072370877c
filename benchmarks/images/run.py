"""Does tuning make what sees and draws pictures better, under the command that a user types?

    python benchmarks/images/run.py PACKS [--role image-retriever] [--budget 10m] [--only NAME ...] [--work DIR]
    python benchmarks/images/run.py PACKS --role text-to-image
    python benchmarks/images/run.py PACKS --role image-generator --budget 30m --only emoji-images

For every image pack (items.jsonl with groups or tags, images/) below PACKS: import into a workspace, `honed tune --role ROLE --budget`.
A pack's workspace below --work is kept: the roles run in it one after the other, as a user would run them. One JSON a pack and role
goes to results/, and RESULTS.md is written anew from all of them. The verdict is the one sealed look at test.
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


def measure(pack: Path, folder: Path, role: str, budget: str) -> dict[str, Any]:
    if not (folder / "honed.toml").exists():
        subprocess.run([sys.executable, "-m", "honed", "init", str(folder)], check=True, stdout=subprocess.DEVNULL)
    imported = honed(folder, "import", str(pack))
    before = os.times().children_user
    tuned = honed(folder, "tune", "--role", role, "--budget", budget)
    return {
        "pack": pack.name,
        "role": role,
        "budget": budget,
        "import_seconds": imported["seconds"],
        "cpu_seconds": round(os.times().children_user - before, 1),
        "tuned": {key: value for key, value in tuned.items() if key != "report"},
    }


def written(role: str) -> list[dict[str, Any]]:
    """Results of a role; those from before there were roles are of pictures."""
    rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    return [row for row in rows if row.get("role", "image-retriever") == role]


def line(row: dict[str, Any], system: dict[str, Any], *, verdict: bool = False) -> str:
    tuned = row["tuned"]
    low, high = tuned["delta"]["ci95"]
    values = " | ".join(f"{system['metrics'][name]:.3f}" for name in METRICS)
    rest = (
        f"{tuned['verdict'].upper()} | {100 * low:+.1f} .. {100 * high:+.1f} | {tuned['delta']['p']:.4f} "
        f"| {tuned['queries']}, {tuned['clusters']} | {tuned['seconds']:.0f} | {row['budget']}"
        if verdict
        else "| | | | | "
    )
    return f"| {row['pack']} | {system['name']} | {values} | {rest} |"


def columns(metric: str, groups: str) -> list[str]:
    return [
        "",
        f"| data | system | recall@1 | recall@10 | mAP | verdict | 95% CI ({metric}) | p | queries, {groups} | wall s | budget |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]


def pictures() -> list[str]:
    rows = written("image-retriever")
    lines = [
        "# Does tuning make retrieval of pictures better?",
        "",
        "Every picture of a test group asks for the others of its group among all other pictures of the pack, ranked as live search ranks",
        "them: near-copies first. Recall@k: share of queries with a hit among the first k. Written by `python benchmarks/images/run.py PACKS`.",
        *columns("recall@1", "groups"),
    ]
    for row in rows:
        tuned = row["tuned"]
        lines += [line(row, tuned["baseline"]), line(row, tuned["candidate"], verdict=True)]
    lines += ["", "Stages (dev recall@1, seconds):", ""]
    for row in rows:
        stages = ", ".join(
            f"{stage['stage']} {stage['dev']:.3f} ({stage['seconds']:.0f} s)" for stage in row["tuned"]["stages"]
        )
        lines.append(f"- {row['pack']}: untuned {next(iter(row['tuned']['baseline']['dev'].values())):.3f}, {stages}")
    return [*lines, "", *(NOTES.read_text().splitlines() if NOTES.is_file() else [])]


def words() -> list[str]:
    rows = written("text-to-image")
    if not rows:
        return []
    lines = [
        "",
        "# Do words find pictures better when they are tuned to what is seen?",
        "",
        "Keywords that a picture's title lacks ask for the pictures of test that carry them, among all pictures of the pack; pictures of train and",
        "dev that carry them too are taken out of the ranking. Search knows all titles and keywords, as it ships. mAP decides. The baseline is",
        "what dev chose among the systems that search captions alone; the others are measured beside it. Written by",
        "`python benchmarks/images/run.py PACKS --role text-to-image`.",
        *columns("mAP", "clusters"),
    ]
    for row in rows:
        base, candidate = row["tuned"]["baseline"], row["tuned"]["candidate"]
        chosen = {**base, "name": f"{base['name']}, the baseline"}
        lines += [line(row, one) for one in (*base["others"], chosen)] + [line(row, candidate, verdict=True)]
    lines += ["", *knowing_less(rows)]
    lines += ["", "On dev (mAP):", ""]
    for row in rows:
        before = ", ".join(f"{name} {value:.3f}" for name, value in row["tuned"]["baseline"]["dev"].items())
        after = ", ".join(
            f"{stage['stage']} {stage['dev']:.3f} ({stage['seconds']:.0f} s)" for stage in row["tuned"]["stages"]
        )
        lines.append(f"- {row['pack']}: {before}; {after}: {row['tuned']['candidate']['what']}")
    return lines


def knowing_less(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "The same questions if search knew less, mAP of the baseline and of the candidate (reported, not deciding):",
        "",
        "| data | if search knew | baseline | candidate |",
        "|---|---|---|---|",
    ]
    for row in rows:
        for known, systems in row["tuned"].get("if_search_knew", {}).items():
            before, after = (system["map"] for system in systems.values())
            lines.append(f"| {row['pack']} | {known} | {before:.3f} | {after:.3f} |")
    return lines


def drawings() -> list[str]:
    rows = written("image-generator")
    if not rows:
        return []
    lines = [
        "",
        "# Does the image generator draw what was retrieved, and does retrieval matter?",
        "",
        "Every picture of test is drawn by its title and style from the three pictures that live search finds for its title (itself left",
        "out), from three random ones, and from none, by the same painter with the same noise. Distance: 1 minus the cosine of",
        "the judge's feature maps of the drawing and the true picture, over four blocks (0 the same). Near-copies: drawings nearer to a",
        "reference than 1 in 20 of real pairs are. Written by `python benchmarks/images/run.py PACKS --role image-generator --budget 30m`.",
        "",
        "| data | references | distance | KID | lower than random | near-copies | verdict | p | queries, groups | wall s | budget |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        tuned, drawn = row["tuned"], row["tuned"]["drawn"]
        for kind in ("none", "random", "retrieved"):
            values = f"{drawn['distance'][kind]:.3f} | {drawn['kid'][kind]:.3f}"
            rest = "| | | | | | "
            if kind == "retrieved":
                rest = (
                    f"{100 * drawn['lower_than_random']:.1f} % | {100 * drawn['near_copies']:.1f} % | {tuned['verdict'].upper()} "
                    f"| {tuned['delta']['p']:.4f} | {tuned['queries']}, {tuned['clusters']} | {tuned['seconds']:.0f} | {row['budget']}"
                )
            lines.append(f"| {row['pack']} | {kind} | {values} | {rest} |")
    lines += ["", "Painter:", ""]
    for row in rows:
        learned = row["tuned"]["stages"][0]
        steps = f"{learned['details']['steps']:,} steps in {learned['details']['seconds']:.0f} s"
        judge = row["tuned"]["drawn"].get(
            "judge", "EfficientNet-Lite0, WHICH ALSO TRAINED THE PAINTER (a run of before that was mended)"
        )
        lines.append(
            f"- {row['pack']}: {row['tuned']['candidate']['what']}, {steps}, likeness on dev {learned['dev']:.3f}, judged by {judge}"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packs", type=Path)
    parser.add_argument(
        "--role", choices=("image-retriever", "text-to-image", "image-generator"), default="image-retriever"
    )
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--work", type=Path, default=Path("/tmp/honed-images"))
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    name = "{}.json" if options.role == "image-retriever" else f"{{}}-{options.role}.json"
    for pack in sorted(options.packs.iterdir()):
        if not (pack / "items.jsonl").is_file() or (options.only and pack.name not in options.only):
            continue
        result = measure(pack, options.work / pack.name, options.role, options.budget)
        (RESULTS / name.format(pack.name)).write_text(json.dumps(result, indent=1) + "\n")
        (HERE / "RESULTS.md").write_text("\n".join([*pictures(), *words(), *drawings()]) + "\n")
        print(pack.name, result["tuned"]["verdict"], flush=True)


if __name__ == "__main__":
    main()
