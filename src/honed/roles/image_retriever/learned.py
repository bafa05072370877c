"""The head by gradient: one matrix, from random numbers, under a supervised contrastive loss on cached descriptors.

The loss is the library's own, since its losses have been checked against their papers.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import asdict

import numpy as np
import torch

from honed.errors import missing_extra
from honed.evaluate.image_board import primary
from honed.index.images import Descriptors
from honed.models.vision.head import ImageHead
from honed.roles.image_retriever.groups import group_batches
from honed.roles.image_retriever.projection import Projection
from honed.roles.image_retriever.training import HEAD, TrainingContext
from honed.train.fit import Checkpoint, Fit, Schedule, fit
from honed.tuning.candidate import Candidate


def metric_loss(temperature: float) -> torch.nn.Module:
    """Supervised contrastive loss (Khosla et al. 2020, arXiv:2004.11362), `loss(vectors, labels)`.

    Raises:
        MissingError: The package is not installed.
    """
    try:
        from pytorch_metric_learning.losses import SupConLoss  # type: ignore[import-untyped]
    except ImportError as error:
        raise missing_extra("pytorch-metric-learning", "tune") from error
    loss: torch.nn.Module = SupConLoss(temperature=temperature)
    return loss


def tune_head(context: TrainingContext, seconds: float) -> Candidate:
    """Learn a head on the cached descriptors of train.

    Raises:
        HonedError: Training failed; the candidate must not be used.
        MissingError: The package with the losses is not installed.
    """
    started = time.monotonic()
    head, trained = learn_head(context, context.train, seconds, checkpoint="head-" + training_key(context))
    return Candidate(
        "head",
        f"learned projection to {head.dimension} numbers",
        primary(context.board, head.apply(context.gallery)),
        time.monotonic() - started,
        1,
        files={HEAD: context.write_head("head", head)},
        details=asdict(trained),
    )


def learn_head(
    context: TrainingContext, descriptors: Descriptors, seconds: float = math.inf, *, checkpoint: str = ""
) -> tuple[ImageHead, Fit]:
    """A head learned from nothing on descriptors [n, d] of the context's train pictures; with a name it survives a kill."""
    recipe = context.recipe
    torch.set_num_threads(recipe.threads)
    projection = Projection.random(descriptors, context.parts, max(recipe.widths), seed=recipe.seed)
    rows, labels = torch.from_numpy(descriptors), torch.from_numpy(context.groups)
    loss = metric_loss(recipe.temperature)
    batches = [
        batch
        for epoch in range(recipe.head_epochs)
        for batch in group_batches(
            context.groups, batch=recipe.batch, each=recipe.group_pictures, seed=recipe.seed, epoch=epoch
        )
    ]

    def loss_of(step: int) -> torch.Tensor:
        batch = torch.from_numpy(batches[step])
        value: torch.Tensor = loss(projection(rows[batch]), labels[batch])
        return value

    schedule = Schedule(len(batches), recipe.head_rate, seconds, weight_decay=0.0)
    kept = Checkpoint(context.folder, checkpoint) if checkpoint else None
    trained = fit({"head": projection.matrix}, loss_of, schedule, checkpoint=kept)
    return projection.head(), trained


def training_key(context: TrainingContext, head: ImageHead | None = None, epochs: int = 0) -> str:
    """Hash of everything that a training depends on: a checkpoint with another key is not this training's."""
    start = head.key if head else ""
    digest = hashlib.sha256(json.dumps([asdict(context.recipe), epochs, start], default=list).encode())
    digest.update(context.groups.tobytes())
    digest.update(np.ascontiguousarray(context.train[:: max(1, len(context.train) // 64)]).tobytes())
    return digest.hexdigest()[:16]
