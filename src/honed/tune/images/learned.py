"""The head by gradient: a metric loss of pytorch-metric-learning moves the matrix on from the winner so far.

The library's own losses, since they have been checked against their papers. On drawings the discriminant leaves nothing to
gain (two of four folds over groups, 160 pixels: recall@1 .801 before, .799 to .803 after, with the supervised contrastive
and the multi-similarity loss, rates from 3e-5 to 1e-4); on groups that are no clouds of one shape it may.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict

import numpy as np
import torch

from honed.errors import missing_extra
from honed.models.vision.head import ImageHead
from honed.tune.fit import Checkpoint, Fit, Schedule, fit
from honed.tune.images.bench import ImageBench
from honed.tune.images.candidate import ImageCandidate, primary
from honed.tune.images.groups import group_batches
from honed.tune.images.projection import Projection


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


def tune_head(bench: ImageBench, best: ImageCandidate, seconds: float) -> ImageCandidate:
    """Train the matrix of the winner so far on cached descriptors; dev picks how much of the change is kept.

    Raises:
        HonedError: Training failed; the candidate must not be used.
        MissingError: The package with the losses is not installed.
    """
    started = time.monotonic()
    projection = Projection(best.head, bench.train)
    trained = _train(bench, projection, best.head, seconds)
    tries = []
    for share in bench.recipe.shares:
        head = projection.head(share)
        tries.append((primary(bench.board, head, bench.dev), head, share))
    scores, head, share = max(tries, key=lambda one: float(np.nanmean(one[0])))
    return ImageCandidate(
        "head",
        f"projection to {head.dimension} numbers, {share:.0%} of its change",
        head,
        scores,
        time.monotonic() - started,
        len(tries),
        details={**asdict(trained), "share": share},
    )


def _train(bench: ImageBench, projection: Projection, head: ImageHead, seconds: float) -> Fit:
    recipe = bench.recipe
    torch.set_num_threads(recipe.threads)
    descriptors, labels = torch.from_numpy(bench.train), torch.from_numpy(bench.groups)
    loss = metric_loss(recipe.temperature)
    batches = [
        batch
        for epoch in range(recipe.head_epochs)
        for batch in group_batches(
            bench.groups, batch=2 * recipe.batch, each=recipe.group_pictures, seed=recipe.seed, epoch=epoch
        )
    ]

    def loss_of(step: int) -> torch.Tensor:
        torch.manual_seed(recipe.seed * 1_000_003 + step)  # a resumed run leaves out the same numbers
        batch = torch.from_numpy(batches[step])
        value: torch.Tensor = loss(projection(descriptors[batch], noise=recipe.noise), labels[batch])
        return value

    schedule = Schedule(len(batches), recipe.head_rate, seconds, weight_decay=0.0)
    checkpoint = Checkpoint(bench.folder, "head-" + training_key(bench, head))
    return fit({"change": projection.change}, loss_of, schedule, checkpoint=checkpoint)


def training_key(bench: ImageBench, head: ImageHead, epochs: int = 0) -> str:
    """Hash of everything that a training depends on: a checkpoint with another key is not this training's."""
    digest = hashlib.sha256(json.dumps([asdict(bench.recipe), epochs], default=list).encode() + head.key.encode())
    digest.update(bench.groups.tobytes())
    digest.update(np.ascontiguousarray(bench.train[:: max(1, len(bench.train) // 64)]).tobytes())
    return digest.hexdigest()[:16]
