"""A toy domain with a language of its own: questions use jargon, documents use plain words, nothing is shared.

Each jargon word stands for one plain word. A question names two jargon words and its document the two plain words that they
stand for. Train and test ask about different pairs, so whoever answers test questions has learned the words.
"""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np

from tests.tiny_model import make_tiny_bert

PLAIN = tuple(f"{stem}{ending}" for stem in ("river", "stone", "cloud", "grass", "metal") for ending in ("ing", "ful"))
JARGON = tuple(f"{stem}{ending}" for stem in ("zor", "kel", "vim", "dax", "pol") for ending in ("ith", "ane"))
PAIRS = tuple(combinations(range(len(PLAIN)), 2))


def document(pair: tuple[int, int]) -> str:
    """The text of one document."""
    return f"{PLAIN[pair[0]]} {PLAIN[pair[1]]}"


def question(pair: tuple[int, int], turned: bool = False) -> str:
    """A question about a document, in jargon."""
    left, right = pair[::-1] if turned else pair
    return f"{JARGON[left]} {JARGON[right]}"


def write_beir(folder: Path, *, seed: int = 0) -> Path:
    """The toy domain as a BEIR folder with train, dev and test."""
    (folder / "qrels").mkdir(parents=True)
    order = np.random.default_rng(seed).permutation(len(PAIRS))
    rows = [{"id": f"d{at}", "title": "", "text": document(pair)} for at, pair in enumerate(PAIRS)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    queries, qrels = [], {"train": [], "dev": [], "test": []}
    for place, at in enumerate(order.tolist()):
        split = "test" if place < 12 else "dev" if place < 22 else "train"
        for turned in (False, True):
            name = f"q{at}-{int(turned)}"
            queries.append({"id": name, "text": question(PAIRS[at], turned)})
            qrels[split].append(f"{name}\td{at}\t1\n")
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    for split, lines in qrels.items():
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return folder


def model(folder: Path) -> Path:
    """A tiny BERT that knows both languages' words and nothing about them."""
    return make_tiny_bert(folder, vocab_texts=[" ".join(PLAIN), " ".join(JARGON)])
