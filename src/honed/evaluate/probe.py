"""Does an embedder still know everyday language? A small test that has nothing to do with anyone's domain.

A model that is tuned on one domain can forget the rest, and a test set of that domain cannot see it. The probe is 120
questions of daily life, each with the passage that answers it, in groups whose passages share a topic; question and
passage share few words, so it is meaning that has to match. Written for Honed, under its licence.
"""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np

from honed.protocols import Embedder
from honed.types import Vectors


def general_probe(embedder: Embedder) -> float:
    """Mean nDCG@10 of the 120 questions over the 120 passages, 0 to 1.

    The more noise is added to a model's weights, the lower it gets, down towards chance.
    """
    pairs = general_pairs()
    questions, passages = [question for question, _ in pairs], [passage for _, passage in pairs]
    return general_score(embedder.encode_query(questions), embedder.encode_document(passages))


def general_score(queries: Vectors, passages: Vectors) -> float:
    """The probe's value from vectors of its questions and passages, [120, d] each, in the order of `general_pairs`."""
    scores = queries @ passages.T
    own = np.diagonal(scores)[:, None]
    # Ties count against the embedder: one that maps all texts to the same point knows nothing.
    ranks = (scores >= own).sum(axis=1)
    return float(np.where(ranks <= 10, 1.0 / np.log2(ranks + 1.0), 0.0).mean())


def general_pairs() -> list[tuple[str, str]]:
    """The questions of the probe and the passage that answers each."""
    text = (files("honed.evaluate") / "data" / "general.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return [(row["question"], row["passage"]) for row in rows]
