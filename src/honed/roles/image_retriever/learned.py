"""The head by gradient: one matrix, from random numbers, under a supervised contrastive loss on cached descriptors.

The loss is the library's own, since its losses have been checked against their papers. On drawings (two folds over groups,
840 pictures to find, 3,056 numbers each) recall@1 of the discriminant is .823 and .836, and after 40 epochs from random numbers
.854 and .855, in 14 s of CPU. What did not help: to start from the discriminant (.801 before, .799 to .803 after), to leave out
numbers of a descriptor at random (.844, .839), a temperature of .2 (.830, .817), changed copies of the pictures among the cached
ones (with four the discriminant falls from .772 to .757).
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
from honed.models.vision.head import ImageHead
from honed.roles.image_retriever.bench import Descriptors, ImageBench
from honed.roles.image_retriever.candidate import ImageCandidate
from honed.roles.image_retriever.groups import group_batches
from honed.roles.image_retriever.projection import Projection
from honed.train.fit import Checkpoint, Fit, Schedule, fit


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


def tune_head(bench: ImageBench, seconds: float) -> ImageCandidate:
    """Learn a head on the cached descriptors of train.

    Raises:
        HonedError: Training failed; the candidate must not be used.
        MissingError: The package with the losses is not installed.
    """
    started = time.monotonic()
    head, trained = learn_head(bench, bench.train, seconds, checkpoint="head-" + training_key(bench))
    return ImageCandidate(
        "head",
        f"learned projection to {head.dimension} numbers",
        head,
        primary(bench.board, head.apply(bench.gallery)),
        time.monotonic() - started,
        1,
        details=asdict(trained),
    )


def learn_head(
    bench: ImageBench, descriptors: Descriptors, seconds: float = math.inf, *, checkpoint: str = ""
) -> tuple[ImageHead, Fit]:
    """A head learned from nothing on descriptors [n, d] of the bench's train pictures; with a name it survives a kill."""
    recipe = bench.recipe
    torch.set_num_threads(recipe.threads)
    projection = Projection.random(descriptors, bench.parts, max(recipe.widths), seed=recipe.seed)
    rows, labels = torch.from_numpy(descriptors), torch.from_numpy(bench.groups)
    loss = metric_loss(recipe.temperature)
    batches = [
        batch
        for epoch in range(recipe.head_epochs)
        for batch in group_batches(
            bench.groups, batch=recipe.batch, each=recipe.group_pictures, seed=recipe.seed, epoch=epoch
        )
    ]

    def loss_of(step: int) -> torch.Tensor:
        batch = torch.from_numpy(batches[step])
        value: torch.Tensor = loss(projection(rows[batch]), labels[batch])
        return value

    schedule = Schedule(len(batches), recipe.head_rate, seconds, weight_decay=0.0)
    kept = Checkpoint(bench.folder, checkpoint) if checkpoint else None
    trained = fit({"head": projection.matrix}, loss_of, schedule, checkpoint=kept)
    return projection.head(), trained


def training_key(bench: ImageBench, head: ImageHead | None = None, epochs: int = 0) -> str:
    """Hash of everything that a training depends on: a checkpoint with another key is not this training's."""
    start = head.key if head else ""
    digest = hashlib.sha256(json.dumps([asdict(bench.recipe), epochs, start], default=list).encode())
    digest.update(bench.groups.tobytes())
    digest.update(np.ascontiguousarray(bench.train[:: max(1, len(bench.train) // 64)]).tobytes())
    return digest.hexdigest()[:16]
