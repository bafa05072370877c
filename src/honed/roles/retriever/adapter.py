"""Rung 2, seconds: one matrix on the query side, over cached vectors. No text is encoded and the index stays."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from torch.nn.functional import normalize

from honed.models.adapter import adapted
from honed.models.weights import write_weights
from honed.roles.retriever.training import TrainingContext, Variant, best_allowed
from honed.train.batches import epoch_batches
from honed.train.fit import Fit, Schedule, fit
from honed.train.objective import full_corpus_loss
from honed.tuning.candidate import Candidate
from honed.types import Vectors

TIE = 1e-3
"""Pull towards the identity: with a few hundred questions a free matrix of 150,000 numbers learns them by heart."""


def tune_adapter(context: TrainingContext, seconds: float) -> Candidate:
    """Train `q + q W` from W = 0; dev picks how much of it is kept and the fusion weight."""
    started = time.monotonic()
    matrix, trained = _train(context, seconds)
    variants = []
    for share in context.recipe.shares:
        choice = context.weighed(adapted(context.dev_queries, share * matrix), context.dense)
        variants.append(Variant(share, choice, context.general.drop(adapted(context.general.queries, share * matrix))))
    best = best_allowed(variants, context.general.allowed)
    path = context.folder / "adapter.safetensors"
    write_weights(path, {"adapter": (best.share * matrix).astype(np.float32)})
    return Candidate(
        name="adapter",
        what=f"query-side matrix, {best.share:.0%} of it, {best.choice.retrieval}",
        dev=best.choice.scores,
        seconds=time.monotonic() - started,
        tried=len(context.recipe.shares),
        files={"adapter": path},
        values={"retrieval": best.choice.retrieval.as_dict()},
        details={
            "steps": trained.steps,
            "first_loss": trained.first_loss,
            "last_loss": trained.last_loss,
            "share": best.share,
            "general_drop": best.drop,
        },
    )


def _train(context: TrainingContext, seconds: float) -> tuple[Vectors, Fit]:
    recipe, examples = context.recipe, context.examples
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    queries = torch.from_numpy(np.ascontiguousarray(context.train_queries))
    passages = torch.from_numpy(np.ascontiguousarray(context.dense.matrix[examples.columns].T))
    size = queries.shape[1]
    weight = torch.nn.Parameter(torch.zeros(size, size))
    per_epoch = math.ceil(len(examples) / recipe.batch)
    batches = [
        batch
        for epoch in range(recipe.adapter_epochs)
        for batch in epoch_batches([1] * len(examples), recipe.batch, seed=recipe.seed, epoch=epoch)
    ]

    def loss_of(step: int) -> torch.Tensor:
        rows = batches[step]
        moved = normalize(queries[rows] @ (torch.eye(size) + weight), dim=-1)
        loss = full_corpus_loss(
            moved,
            passages,
            [examples.positives[row] for row in rows],
            [examples.ignored[row] for row in rows],
            temperature=recipe.temperature,
        )
        return loss + TIE * weight.square().sum()

    steps = recipe.adapter_epochs * per_epoch
    trained = fit({"adapter": weight}, loss_of, Schedule(steps, recipe.adapter_rate, seconds, weight_decay=0.0))
    return weight.detach().numpy().copy(), trained
