"""Where the time of bringing documents in goes, and how it grows.

    python benchmarks/ingest/run.py [--documents FOLDER] [--sizes 1000 10000 100000]

1. FOLDER of real files through `honed add`, stage by stage, with the default embedder: documents and passages a second.
2. Generated corpora of growing size through `honed import`, with the `hash:256` embedder (encoding costs the same for every
   passage and would hide the rest): seconds a stage, and the growth from size to size, where 1.0 is linear. One process each.
Writes RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
STAGES = ("read", "clusters", "embed", "index", "release")


def stages(session: Any, read: Callable[[], None]) -> dict[str, float]:
    """Seconds of each stage of `settle`, called one by one as it calls them."""
    from honed.dataset import prepare
    from honed.ingest.embed import embed_missing
    from honed.ingest.neardup import near_duplicates
    from honed.release.first import ensure_release

    times: dict[str, float] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = call()
        times[name] = time.perf_counter() - started
        return result

    timed("read", read)
    timed(
        "clusters", lambda: prepare.note_clusters(session.catalog, lambda texts: near_duplicates(texts, threshold=0.8))
    )
    embedder = session.live_embedder()
    timed("embed", lambda: embed_missing(session.catalog, embedder))
    generation = timed("index", lambda: session.catch_up(embedder, tell=lambda _: None))
    timed("release", lambda: ensure_release(session.workspace, session.catalog, session.settings, embedder, generation))
    times["passages"] = session.catalog.passage_count()
    return times


def generated(folder: Path, size: int) -> Path:
    """A corpus of documents of about 100 words with a zipf vocabulary."""
    folder.mkdir()
    rng = np.random.default_rng(size)
    words = np.array([f"w{number}" for number in range(50_000)])
    weights = 1.0 / np.arange(10, 50_010)
    weights /= weights.sum()
    with (folder / "corpus.jsonl").open("w") as file:
        for start in range(0, size, 1000):
            drawn = words[rng.choice(len(words), (min(1000, size - start), 100), p=weights)]
            for at, row in enumerate(drawn):
                text = " ".join(row)
                file.write(json.dumps({"id": f"d{start + at}", "title": text[:30], "text": text}) + "\n")
    return folder


def one_size(size: int) -> dict[str, float]:
    from honed.formats import read_beir
    from honed.ingest.importing import import_beir
    from honed.session import open_session
    from honed.workspace import create

    with tempfile.TemporaryDirectory() as name:
        place = create(Path(name) / "ws", 'embedder = "hash:256"\n')
        corpus = generated(Path(name) / "beir", size)
        with open_session(place, create=True) as session:
            return stages(session, lambda: import_beir(session.catalog, read_beir(corpus), passage_words=160))


def real_files(folder: Path) -> dict[str, float]:
    from honed.ingest.sandbox import Sandbox
    from honed.ingest.sync import Intake, sync
    from honed.session import open_session
    from honed.workspace import create

    with tempfile.TemporaryDirectory() as name:
        place = create(Path(name) / "ws", "")
        with open_session(place, create=True) as session, Sandbox() as sandbox:
            intake = Intake(place, session.catalog, sandbox, 160)
            times = stages(session, lambda: sync(intake, [folder]))
            times["documents"] = session.catalog.execute("SELECT count(*) FROM documents").fetchone()[0]
            return times


def table(real: dict[str, float] | None, sizes: Sequence[int], grown: list[dict[str, float]]) -> str:
    lines = ["# Bringing documents in", "", f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}.", ""]
    if real:
        total = sum(real[stage] for stage in STAGES)
        shares = ", ".join(f"{stage} {100 * real[stage] / total:.0f} %" for stage in STAGES)
        lines += [
            f"Real files: {real['documents']:.0f} documents, {real['passages']:.0f} passages in {total:.1f} s: "
            f"{real['documents'] / total:.1f} documents/s, {real['passages'] / total:.0f} passages/s. Shares: {shares}.",
            "",
        ]
    lines += [
        "| passages | " + " | ".join(f"{stage} s" for stage in STAGES) + " | all s | growth |",
        "|" + "---|" * (len(STAGES) + 3),
    ]
    for at, (size, row) in enumerate(zip(sizes, grown, strict=True)):
        total = sum(row[stage] for stage in STAGES)
        growth = "" if not at else f"{total / sum(grown[at - 1][s] for s in STAGES) / (size / sizes[at - 1]):.2f}"
        lines.append(
            f"| {size:,} | " + " | ".join(f"{row[stage]:.2f}" for stage in STAGES) + f" | {total:.1f} | {growth} |"
        )
    lines += [
        "",
        "Growth is the factor of time divided by the factor of size: 1.0 is linear, less is better than linear.",
        "",
        "`python benchmarks/ingest/run.py --documents FOLDER`",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_size(options.one)))
        return
    real = real_files(options.documents) if options.documents else None
    grown = []
    for size in options.sizes:
        done = subprocess.run([sys.executable, __file__, "--one", str(size)], check=True, stdout=subprocess.PIPE)
        grown.append(json.loads(done.stdout.splitlines()[-1]))
    text = table(real, options.sizes, grown)
    (HERE / "RESULTS.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
