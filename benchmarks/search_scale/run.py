"""How the derived indexes grow: build, size, opening, dense and BM25 search at 1,000 to 100,000 passages.

    OMP_NUM_THREADS=1 python benchmarks/search_scale/run.py > benchmarks/search_scale/RESULTS.md

Seeded synthetic data: zipf words (120 a passage, 50,000 different ones), vectors of 384 numbers in unevenly filled
clusters of low rank. Queries are blurred passages (cosine about .8). Times are CPU times of one thread, so that
a busy machine does not change them. Under four minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from honed.index.generation import Generation, open_current
from honed.index.refresh import refresh
from honed.index.rows import RowIds
from honed.types import Vectors

SPACE = "5ca1e" + "0" * 59
DIMENSION = 384
WORDS = 50_000
QUERIES = 300
BATCH = 256
ADDED = 100


@dataclass(frozen=True)
class Change:
    seq: int
    rowid: int
    op: str


@dataclass
class SyntheticCatalog:
    """The first `count` of many passages; growing it is an `honed add`."""

    words: NDArray[np.int32]
    matrix: Vectors
    count: int
    first: int = field(init=False)

    def __post_init__(self) -> None:
        self.first = self.count

    @property
    def seq(self) -> int:
        return 1 + self.count - self.first

    def changes_since(self, seq: int) -> Sequence[Change]:
        return [Change(1 + n, self.first + n, "add") for n in range(seq, self.seq)]

    def index_rows(self, rowids: RowIds | None = None) -> Iterator[tuple[int, str, str, tuple[str, ...]]]:
        for row in range(1, self.count + 1) if rowids is None else rowids.tolist():
            words = [f"w{word}" for word in self.words[row].tolist()]
            yield row, " ".join(words[:5]), " ".join(words[5:]), ("lang=en", f"source={row % 100}")

    def vectors(self, space: str, rowids: RowIds | None = None) -> tuple[RowIds, Vectors]:
        rows = np.arange(1, self.count + 1) if rowids is None else rowids
        return rows, self.matrix[rows]


def unit(rows: NDArray[np.float32]) -> Vectors:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def passages(count: int, rng: np.random.Generator) -> tuple[NDArray[np.int32], Vectors]:
    share = np.cumsum(1 / np.arange(1, WORDS + 1))
    words = np.searchsorted(share / share[-1], rng.random((count, 120), np.float32)).astype(np.int32)
    clusters = max(8, count // 250)
    size = rng.pareto(1.5, clusters) + 0.2
    topic = rng.choice(clusters, count, p=size / size.sum())
    centres = rng.standard_normal((clusters, DIMENSION), np.float32) + 0.5 * rng.standard_normal(DIMENSION, np.float32)
    spread = rng.standard_normal((32, DIMENSION), np.float32)
    rows = centres[topic] + 0.16 * rng.standard_normal((count, 32), np.float32) @ spread
    return words, unit(rows + 0.2 * rng.standard_normal((count, DIMENSION), np.float32))


def percentiles(call: Callable[[int], object], count: int) -> tuple[float, float]:
    """CPU milliseconds of single calls, p50 and p99, after a tenth as warm-up."""
    for number in range(count // 10):
        call(number)
    took = np.empty(count)
    for number in range(count):
        start = time.process_time()
        call(number)
        took[number] = time.process_time() - start
    return float(np.percentile(took, 50)) * 1e3, float(np.percentile(took, 99)) * 1e3


def seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def queries(generation: Generation, rng: np.random.Generator) -> tuple[Vectors, list[str]]:
    rows = generation.dense.matrix[rng.integers(0, len(generation.rowids), QUERIES)]
    noise = unit(rng.standard_normal(rows.shape, np.float32))
    share = 1 / np.arange(1, WORDS + 1)
    words = rng.choice(WORDS, (QUERIES, 8), p=share / share.sum())
    return unit(rows + 0.75 * noise), [" ".join(f"w{word}" for word in row) for row in words]


def recall(generation: Generation, asked: Vectors) -> float:
    exact = generation.rowids[np.argsort(-(asked @ generation.dense.matrix.T), axis=1)[:, :10]]
    found = generation.dense.search(asked, 10)[1]
    return float(np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(exact, found, strict=True)]))


def measure(catalog: SyntheticCatalog, root: Path, rng: np.random.Generator) -> dict[str, float]:
    found: dict[str, float] = {}
    found["build s"] = seconds(lambda: refresh(catalog, root, SPACE))
    catalog.count += ADDED
    found[f"add {ADDED} s"] = seconds(lambda: refresh(catalog, root, SPACE))
    generation = open_current(root, SPACE)
    assert generation is not None
    files = generation.manifest.files.items()
    found["dense MB"] = sum(file.size for name, file in files if name.startswith("dense")) / 1e6
    found["BM25 MB"] = sum(file.size for name, file in files if name.startswith("lexical")) / 1e6
    found["open ms"] = min(seconds(lambda: open_current(root, SPACE)) for _ in range(5)) * 1e3
    asked, texts = queries(generation, rng)
    dense, lexical = generation.dense, generation.lexical
    found["dense p50 ms"], found["dense p99 ms"] = percentiles(lambda n: dense.search(asked[n : n + 1], 100), QUERIES)
    found["dense queries/s"] = BATCH / seconds(lambda: dense.search(asked[:BATCH], 100))
    allowed = lexical.rows(["source=7"])
    one_percent = percentiles(lambda n: dense.search(asked[n : n + 1], 100, allowed=allowed), QUERIES)
    found["1% filter p50 ms"] = one_percent[0]
    found["dense recall@10"] = recall(generation, asked)
    found["BM25 p50 ms"], found["BM25 p99 ms"] = percentiles(lambda n: lexical.search(texts[n], 100), QUERIES)
    found["BM25 queries/s"] = QUERIES / seconds(lambda: lexical.search_many(texts, 100))
    return found


def table(results: dict[int, dict[str, float]]) -> Iterator[str]:
    sizes = list(results)
    yield "| | " + " | ".join(f"{size:,}" for size in sizes) + " |"
    yield "|---|" + "---:|" * len(sizes)
    for name in results[sizes[0]]:
        yield f"| {name} | " + " | ".join(f"{results[size][name]:,.4g}" for size in sizes) + " |"


def growth(results: dict[int, dict[str, float]]) -> Iterator[str]:
    """Cost at one size over cost at the size before; at or below the growth of the corpus is linear or better."""
    sizes = list(results)
    yield "| times the corpus | " + " | ".join(f"x{b / a:.3g}" for a, b in pairwise(sizes)) + " |"
    yield "|---|" + "---:|" * (len(sizes) - 1)
    for name in results[sizes[0]]:
        if "recall" in name:
            continue
        rising = -1 if name.endswith("/s") else 1
        ratios = [(results[b][name] / results[a][name]) ** rising for a, b in pairwise(sizes)]
        label = name.replace("queries/s", "s a query")
        yield f"| {label} | " + " | ".join(f"x{ratio:.2f}" for ratio in ratios) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 50_000, 100_000])
    arguments = parser.parse_args()
    start = time.perf_counter()
    results = {}
    for size in arguments.sizes:
        rng = np.random.default_rng(size)
        words, matrix = passages(size + 1, rng)
        root = Path(tempfile.mkdtemp())
        try:
            results[size] = measure(SyntheticCatalog(words, matrix, size - ADDED), root, rng)
        finally:
            shutil.rmtree(root)
        print(f"{size} passages, {time.perf_counter() - start:.0f} s so far", file=sys.stderr)
    load = os.getloadavg()[1]
    print("# Growth of the derived indexes\n")
    print("`OMP_NUM_THREADS=1 python benchmarks/search_scale/run.py > benchmarks/search_scale/RESULTS.md`\n")
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {threads} thread, load {load:.1f}. ", end="")
    print("Times are CPU times. Exact up to 50,000 passages, inverted lists above; k = 100.\n")
    print("\n".join(table(results)))
    print("\n## Growth\n")
    print("Cost of each column over the column before. At or below the growth of the corpus: linear or better.")
    print(
        "Exact search is faster than that while the vectors fit a cache (1,000) and slower when they leave it (50,000);"
    )
    print("the step to 100,000 is where inverted lists are trained and stored beside the vectors.\n")
    print("\n".join(growth(results)))


if __name__ == "__main__":
    main()
