"""The encoder's last blocks, minutes: learn on changed copies of the pictures, then fit the head anew.

Batches hold several pictures of each group, pulled together and apart from the others by a supervised contrastive loss on the
vectors of the head so far. All pictures of a workspace have to be encoded anew afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch

from honed.errors import UsageError
from honed.evaluate.image_board import primary
from honed.evaluate.metrics import Scores
from honed.models.vision.folder import write_encoder_folder
from honed.models.vision.head import ImageHead
from honed.roles.image_retriever.augment import Augmentation, augmented
from honed.roles.image_retriever.closed_stages import best_discriminant
from honed.roles.image_retriever.groups import group_batches
from honed.roles.image_retriever.learned import learn_head, metric_loss, training_key
from honed.roles.image_retriever.network import LearningEncoder, as_floats
from honed.roles.image_retriever.projection import Projection
from honed.roles.image_retriever.training import ENCODER, HEAD, Trainee, TrainingContext, head_of
from honed.train.fit import Checkpoint, Fit, Schedule, fit
from honed.tuning.candidate import Candidate

PACE = 0.3
"""The head moves at this share of the encoder's rate."""


@dataclass(frozen=True, slots=True)
class BlockLimits:
    """How long the encoder may learn, in which precision its frozen blocks run, and how many shares dev may compare."""

    epochs: int
    seconds: float
    bf16: bool = False
    shares: tuple[float, ...] = (1.0,)


def tune_blocks(context: TrainingContext, best: Candidate, limits: BlockLimits) -> Candidate:
    """Train the last blocks from the best candidate so far; dev picks how much of the change is kept.

    Raises:
        HonedError: Training failed; the candidate must not be used.
        UsageError: The encoder cannot learn.
    """
    started = time.monotonic()
    if context.trainee is None:
        raise UsageError("This image encoder cannot be trained here.", hint="use efficientnet-lite0, or a folder of it")
    recipe = context.recipe
    encoder = LearningEncoder(context.trainee.tower, first_block=recipe.first_block, bf16=limits.bf16)
    before = encoder.weights()
    trained = _train(context, context.trainee, encoder, head_of(best), limits)
    context.tell(f"loss {trained.first_loss:.3f} -> {trained.last_loss:.3f} in {trained.steps} steps")
    variants = list(_variants(context, context.trainee, encoder, before, limits))
    best_variant = max(variants, key=lambda variant: float(np.nanmean(variant.dev)))
    # The folder of the share that was chosen is the one that is kept; the others' go when the run's folder goes.
    return Candidate(
        "blocks",
        f"blocks from {recipe.first_block} on, {best_variant.share:.0%} of their change, and a new head",
        best_variant.dev,
        time.monotonic() - started,
        len(variants),
        files={
            HEAD: context.write_head("blocks", best_variant.head),
            ENCODER: context.folder / _folder_name(best_variant.share),
        },
        details={**asdict(trained), "share": best_variant.share, "epochs": limits.epochs},
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Variant:
    share: float
    head: ImageHead
    dev: Scores


def _folder_name(share: float) -> str:
    return f"image-encoder-{share:.0%}".rstrip("%")


def _variants(
    context: TrainingContext,
    trainee: Trainee,
    encoder: LearningEncoder,
    before: dict[str, np.ndarray],
    limits: BlockLimits,
) -> Iterator[_Variant]:
    after = encoder.weights()
    for share in limits.shares:
        encoder.blend(before, after, share)
        folder = write_encoder_folder(context.folder / _folder_name(share), encoder.weights(), encoder.config)
        gallery = trainee.encode_all(folder)
        train = gallery[context.rows]
        head, scores, _, _ = best_discriminant(context, train, gallery)
        yield _Variant(share, head, scores)
        learned, _ = learn_head(context, train)
        yield _Variant(share, learned, primary(context.board, learned.apply(gallery)))


def _train(
    context: TrainingContext, trainee: Trainee, encoder: LearningEncoder, head: ImageHead, limits: BlockLimits
) -> Fit:
    recipe = context.recipe
    torch.set_num_threads(recipe.threads)
    projection = Projection.of(head, context.train, context.parts, pace=PACE)
    labels, loss, how = torch.from_numpy(context.groups), metric_loss(recipe.temperature), Augmentation()
    batches = [
        batch
        for epoch in range(limits.epochs)
        for batch in group_batches(
            context.groups, batch=recipe.batch, each=recipe.group_pictures, seed=recipe.seed, epoch=epoch
        )
    ]

    def loss_of(step: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
        batch = batches[step]
        pictures = augmented(as_floats(trainee.train[batch]), how, generator)
        value: torch.Tensor = loss(projection(encoder(pictures)), labels[torch.from_numpy(batch)])
        return value

    schedule = Schedule(len(batches), recipe.block_rate, limits.seconds)
    checkpoint = Checkpoint(context.folder, "blocks-" + training_key(context, head, limits.epochs))
    return fit({**encoder.parameters, "head": projection.matrix}, loss_of, schedule, checkpoint=checkpoint)
