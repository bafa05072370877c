"""Rung 3, minutes: the query tower alone, against all cached passage vectors. Nothing is embedded anew, the index stays.

Questions are short, so a step costs a tenth of one on passages, and every passage of the corpus is a negative for the price
of one matrix product. In the one published comparison this gives two thirds of what full tuning gives (arXiv:2601.04646).
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from honed.dataset.examples import Examples
from honed.evaluate.board import Choice
from honed.index.dense import DenseIndex
from honed.tune.batches import epoch_batches
from honed.tune.bench import Bench
from honed.tune.candidate import Candidate
from honed.tune.fit import Checkpoint, Fit, Schedule, fit
from honed.tune.objective import full_corpus_loss
from honed.tune.tower import LearningTower, save_tower


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a tower may learn."""

    epochs: int
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """The interpolation with the base that dev likes best."""

    share: float
    choice: Choice
    weights: dict[str, np.ndarray[Any, Any]]


def tune_query_tower(bench: Bench, limits: Limits) -> Candidate:
    """Train the query tower; dev picks the interpolation with the base and the fusion weight."""
    started = time.monotonic()
    recipe = bench.recipe
    tower = LearningTower.query_of(
        bench.model, max_tokens=recipe.query_tokens, threads=recipe.threads, bf16=recipe.bf16
    )
    trained, blend = learn_queries(tower, bench, bench.dense, limits)
    folder = bench.folder / "query-tower"
    save_tower(tower.tower, blend.weights, folder)
    return Candidate(
        name="query-tower",
        what=f"query tower, {blend.share:.0%} of the change, fusion weight {blend.choice.weight:.2f}",
        weight=blend.choice.weight,
        dev=blend.choice.scores,
        seconds=time.monotonic() - started,
        tried=len(recipe.shares),
        query_folder=folder,
        details={**asdict(trained), "share": blend.share, "epochs": limits.epochs},
    )


def learn_queries(tower: LearningTower, bench: Bench, dense: DenseIndex, limits: Limits) -> tuple[Fit, Blend]:
    """Train a query tower against the passages of an index, then pick on dev how much of the change is kept.

    Args:
        tower: Holds the weights to start from; holds the trained ones afterwards.
        dense: The passages that it learns to find, in the order of the task's row ids.
    """
    before = tower.weights()
    trained = _train(tower, bench, dense, limits)
    bench.tell(f"loss {trained.first_loss:.3f} -> {trained.last_loss:.3f} in {trained.steps} steps")
    blends = []
    for share in bench.recipe.shares:
        with tower.blended(before, share):
            queries = tower.encode(bench.dev.labelled.texts)
            blends.append(Blend(share, bench.dev.best_weight(bench.dev.pools(queries, dense)), tower.weights()))
    return trained, max(blends, key=lambda blend: blend.choice.mean)


def _train(tower: LearningTower, bench: Bench, dense: DenseIndex, limits: Limits) -> Fit:
    recipe, examples = bench.recipe, bench.examples
    torch.manual_seed(recipe.seed)
    parameters = tower.parameters(freeze_words=True)
    passages = torch.from_numpy(np.ascontiguousarray(dense.matrix[examples.columns].T)).to(tower.device)
    if recipe.bf16:
        passages = passages.bfloat16()
    tokens = tower.tokens(examples.texts)
    lengths = [len(ids) for ids in tokens]
    per_epoch = math.ceil(len(tokens) / recipe.batch)
    batches = [
        rows
        for epoch in range(limits.epochs)
        for rows in epoch_batches(lengths, recipe.batch, seed=recipe.seed, epoch=epoch)
    ]

    def loss_of(step: int) -> torch.Tensor:
        rows = batches[step]
        return full_corpus_loss(
            tower([tokens[row] for row in rows]),
            passages,
            [examples.positives[row] for row in rows],
            [examples.ignored[row] for row in rows],
            temperature=recipe.temperature,
        )

    schedule = Schedule(limits.epochs * per_epoch, recipe.query_rate, limits.seconds)
    key = checkpoint_key(dense, examples, asdict(recipe), limits.epochs)
    return fit(parameters, loss_of, schedule, checkpoint=Checkpoint(bench.folder, key))


def checkpoint_key(dense: DenseIndex, examples: Examples, recipe: dict[str, Any], epochs: int) -> str:
    """Hash of everything that training depends on: a checkpoint with another key is not this training's."""
    digest = hashlib.sha256(json.dumps([examples.texts, recipe, epochs], default=list).encode())
    digest.update(np.concatenate([*examples.positives, examples.columns]).tobytes())
    digest.update(np.ascontiguousarray(dense.matrix[:: max(1, len(dense) // 64)]).tobytes())
    return digest.hexdigest()[:16]
