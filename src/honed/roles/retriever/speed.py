"""Measure how fast this machine trains and encodes, on the user's own texts, in a few seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from honed.protocols import Embedder
from honed.roles.retriever.plan import Speed
from honed.roles.retriever.recipe import Recipe
from honed.train.tower import LearningTower

_PASSAGES = 64


def measure_speed(
    model: Path, embedder: Embedder, questions: Sequence[str], passages: Sequence[str], recipe: Recipe
) -> Speed:
    """Tokens a second of training in the faster precision, and passages a second of encoding."""
    sample = list(questions[:: max(1, len(questions) // recipe.batch)][: recipe.batch])
    rates = {bf16: _training_rate(model, sample, replace(recipe, bf16=bf16)) for bf16 in (False, True)}
    bf16 = rates[True] > rates[False]
    texts = list(passages[:: max(1, len(passages) // _PASSAGES)][:_PASSAGES])
    embedder.encode_document(texts[:4])
    started = time.monotonic()
    embedder.encode_document(texts)
    return Speed(rates[bf16], len(texts) / max(time.monotonic() - started, 1e-6), bf16)


def _training_rate(model: Path, sample: Sequence[str], recipe: Recipe) -> float:
    """Tokens a second through forward and backward; the first step warms up and is not counted."""
    tower = LearningTower.query_of(model, max_tokens=recipe.query_tokens, threads=recipe.threads, bf16=recipe.bf16)
    tower.parameters(freeze_words=True)
    tokens = sorted(tower.tokens(sample), key=len)
    best = 0.0
    for _ in range(3):
        started = time.monotonic()
        tower(tokens).sum().backward()  # type: ignore[no-untyped-call]
        best = max(best, sum(len(ids) for ids in tokens) / max(time.monotonic() - started, 1e-6))
    return best
