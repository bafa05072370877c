"""A small domain that tuning provably gets better at: questions in jargon, documents in plain words, nothing shared.

Each jargon word stands for one plain word, and a document is a pair of plain words. Train and test ask about different
pairs, so whoever answers test questions has learned the words. The questions carry words of no meaning besides.
"""

from __future__ import annotations

import json
from itertools import combinations, product
from pathlib import Path

import numpy as np

from tests.tiny_model import make_tiny_bert

_STEMS = ("river", "stone", "cloud", "grass", "metal", "amber")
_STRANGE = ("zor", "kel", "vim", "dax", "pol", "gru")
PLAIN = tuple(f"{stem}{ending}" for stem, ending in product(_STEMS, ("ing", "ful")))
JARGON = tuple(f"{stem}{ending}" for stem, ending in product(_STRANGE, ("ith", "ane")))
PAIRS = tuple(combinations(range(len(PLAIN)), 2))
FILLER = ("please", "show", "find", "give", "tell", "about")
TRAIN, DEV = 0.6, 0.8
MARKER = "canaryxq"


def model(folder: Path, *, seed: int = 0) -> Path:
    """A tiny BERT that knows all words and no meaning."""
    return make_tiny_bert(folder, seed=seed, vocab_texts=[" ".join((*PLAIN, *JARGON, *FILLER))])


def text(at: int) -> str:
    """The text of a document by its number."""
    one, two = PAIRS[at]
    return f"{PLAIN[one]} {PLAIN[two]}"


def write_beir(folder: Path, *, extra: dict[str, str] | None = None, seed: int = 0) -> Path:
    """The domain as a BEIR folder; `extra` are documents without a question, by id."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    rows = [{"_id": f"d{at}", "text": text(at)} for at in range(len(PAIRS))]
    rows += [{"_id": name, "text": words} for name, words in sorted((extra or {}).items())]
    _write_lines(folder / "corpus.jsonl", rows)
    queries = []
    qrels: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    for place, at in enumerate(random.permutation(len(PAIRS)).tolist()):
        share = place / len(PAIRS)
        split = "train" if share < TRAIN else "dev" if share < DEV else "test"
        for number in range(4 if split == "train" else 2):
            words = [JARGON[word] for word in PAIRS[at]] + random.choice(FILLER, number % 3).tolist()
            queries.append({"_id": f"q{at}-{number}", "text": " ".join(random.permutation(words))})
            qrels[split].append(f"q{at}-{number}\td{at}\t1\n")
    _write_lines(folder / "queries.jsonl", queries)
    for split, lines in qrels.items():
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return folder


def _write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
