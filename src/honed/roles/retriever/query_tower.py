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
from honed.evaluate.probe import general_pairs
from honed.index.dense import DenseIndex
from honed.roles.retriever.training import TrainingContext, Variant, best_allowed
from honed.train.batches import epoch_batches
from honed.train.fit import Checkpoint, Fit, Schedule, fit
from honed.train.objective import full_corpus_loss
from honed.train.replay import Replay
from honed.train.tower import LearningTower, save_tower
from honed.tuning.candidate import Candidate
from honed.types import Vectors


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a tower may learn."""

    epochs: int
    seconds: float


def tune_query_tower(context: TrainingContext, limits: Limits) -> Candidate:
    """Train the query tower; dev picks the interpolation with the base and the fusion weight."""
    started = time.monotonic()
    recipe = context.recipe
    tower = LearningTower.query_of(
        context.model, max_tokens=recipe.query_tokens, threads=recipe.threads, bf16=recipe.bf16
    )
    trained, best = learn_queries(tower, context, context.dense, context.general.passages, limits)
    folder = context.folder / "query-tower"
    moved = save_tower(tower, folder, share=best.share)
    return Candidate(
        name="query-tower",
        what=f"query tower, {best.share:.0%} of the change, {best.choice.retrieval}",
        dev=best.choice.scores,
        seconds=time.monotonic() - started,
        tried=len(recipe.shares),
        files={"query-tower": folder},
        values={"retrieval": best.choice.retrieval.as_dict()},
        details=details(trained, best, limits, moved),
    )


def details(trained: Fit, best: Variant, limits: Limits, moved: float) -> dict[str, Any]:
    """What the report and the run's JSON say of a tower; `moved` is of the weights that were saved."""
    return {**asdict(trained), "moved": moved, "share": best.share, "general_drop": best.drop, "epochs": limits.epochs}


def learn_queries(
    tower: LearningTower, context: TrainingContext, dense: DenseIndex, general: Vectors, limits: Limits
) -> tuple[Fit, Variant]:
    """Train a query tower against the passages of an index, then pick on dev how much of the change is kept.

    Args:
        tower: Holds the weights to start from; holds the chosen interpolation afterwards.
        context: Data and recipe.
        dense: The passages that it learns to find, in the order of the task's row ids.
        general: The passages of the general probe in the same space.
        limits: How long.
    """
    before = tower.weights()
    trained = _train(tower, context, dense, limits)
    context.tell(f"loss {trained.first_loss:.3f} -> {trained.last_loss:.3f} in {trained.steps} steps")
    questions = [question for question, _ in general_pairs()]
    variants = []
    for share in context.recipe.shares:
        with tower.blended(before, share):
            choice = context.weighed(tower.encode(context.dev.labelled.texts), dense)
            variants.append(Variant(share, choice, context.general.drop(tower.encode(questions), general)))
    best = best_allowed(variants, context.general.allowed)
    tower.blend(before, best.share)
    return trained, best


def _train(tower: LearningTower, context: TrainingContext, dense: DenseIndex, limits: Limits) -> Fit:
    recipe, examples = context.recipe, context.examples
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

    replay = Replay(tower, size=recipe.replay, seed=recipe.seed) if recipe.replay else None

    def loss_of(step: int) -> torch.Tensor:
        rows = batches[step]
        loss = full_corpus_loss(
            tower([tokens[row] for row in rows]),
            passages,
            [examples.positives[row] for row in rows],
            [examples.ignored[row] for row in rows],
            temperature=recipe.temperature,
        )
        return loss + recipe.replay_weight * replay.loss(step) if replay else loss

    schedule = Schedule(limits.epochs * per_epoch, recipe.query_rate, limits.seconds)
    key = checkpoint_key(dense, examples, asdict(recipe), limits.epochs)
    return fit(parameters, loss_of, schedule, checkpoint=Checkpoint(context.folder, key))


def checkpoint_key(dense: DenseIndex, examples: Examples, recipe: dict[str, Any], epochs: int) -> str:
    """Hash of everything that training depends on: a checkpoint with another key is not this training's."""
    digest = hashlib.sha256(json.dumps([examples.texts, recipe, epochs], default=list).encode())
    digest.update(np.concatenate([*examples.positives, examples.columns]).tobytes())
    digest.update(np.ascontiguousarray(dense.matrix[:: max(1, len(dense) // 64)]).tobytes())
    return digest.hexdigest()[:16]
