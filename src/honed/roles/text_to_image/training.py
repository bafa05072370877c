"""Text to image without CLIP: a matrix from the vectors of the release's text tower into the space of its image head.

The image side is locked and only the text side learns, against all cached pictures (LiT, Zhai et al. 2022,
arXiv:2111.07991). It starts from a ridge regression, which is most of it.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import dropout, normalize

from honed.errors import UsageError
from honed.evaluate.image_board import IMAGE_METRICS, TextBoard
from honed.evaluate.metrics import Scores
from honed.index.images import Descriptors
from honed.models.vision.head import ImageHead
from honed.roles.text_to_image.plan import STAGE
from honed.roles.text_to_image.recipe import TextRecipe
from honed.roles.text_to_image.systems import HEAD
from honed.train.batches import epoch_batches
from honed.train.fit import Checkpoint, Fit, Schedule, fit
from honed.train.objective import full_corpus_loss
from honed.tuning.candidate import Candidate
from honed.tuning.role import Progress
from honed.types import Vectors

LOST = 0.01
"""Of recall@1 that questions which are a title may lose on dev: without captions that lead they lose most of it. What is lost
here is lost about three times as much on the titles of test, and the gate refuses it."""

UNLEARNT = -1.0
"""Stands for the share of the training where the prior is taken as it is."""

Positives = list[NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class TextContext:
    """What the text side learns from and is picked by.

    Attributes:
        head: The image head, which stays.
        train: [n, d] descriptors of the train pictures by the encoder that goes with the head.
        texts: [p, t] vectors of texts about them; the same text may come with several pictures.
        pictures: [p] row of the picture that each text belongs to.
        gallery: [k, d] descriptors of all pictures.
        questions: [q, t] vectors of the dev questions, in the order of the board.
        titles: A board of questions that are titles, and their vectors: what captions find already must still be found.
        prior: Text matrix that knows something before anything is learnt, as that of a CLIP's own text tower; else None.
    """

    head: ImageHead
    train: Descriptors
    texts: Vectors
    pictures: NDArray[np.int64]
    gallery: Descriptors
    questions: Vectors
    board: TextBoard
    folder: Path
    recipe: TextRecipe
    tell: Progress
    titles: tuple[TextBoard, Vectors] | None = None
    prior: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Variant:
    """A text matrix with the numbers that dev picks, and what it scores there."""

    dev: Scores
    head: ImageHead
    share: float
    leads: int
    weight: float

    @property
    def mean(self) -> float:
        return float(np.nanmean(self.dev))

    def scores(self, board: TextBoard, questions: Vectors, pictures: Vectors) -> dict[str, Scores]:
        """Every metric on a board, from vectors of its questions and of its pictures."""
        return board.measure(board.seen(self.head.apply_text(questions), pictures, leads=self.leads), self.weight)


def tune_text(context: TextContext, seconds: float = math.inf) -> Candidate:
    """Learn the text matrix; dev picks how much of the training is kept, how many captions lead, and the weight.

    Raises:
        HonedError: Training failed; the candidate must not be used.
        UsageError: There are no texts to learn from.
    """
    started, recipe, board = time.monotonic(), context.recipe, context.board
    if not len(context.texts):
        raise UsageError("No train picture has a caption.", hint="captions come from file names, alt text, or a pack")
    vectors = context.head.apply(context.train)
    texts, positives = _by_text(context.texts, context.pictures)
    start = regression(context.texts, vectors[context.pictures], recipe.ridge, prior=context.prior)
    after, trained = _train(context, (texts, positives), vectors, start, seconds)
    context.tell(f"loss {trained.first_loss:.3f} -> {trained.last_loss:.3f} in {trained.steps} steps")
    variants = _variants(context, start, after)
    best = _picked(context, variants)
    path = context.folder / f"{STAGE}-head.safetensors"
    best.head.write(path)
    return Candidate(
        STAGE,
        f"texts and pictures in one space, weight {best.weight:.1f} against captions, {best.leads} of which lead",
        best.dev,
        time.monotonic() - started,
        len(variants),
        files={HEAD: path},
        values={"weight": best.weight, "leads": best.leads},
        details={
            **asdict(trained),
            "share": best.share,
            "captions_alone": float(np.nanmean(board.described()[board.metric])),
        },
    )


def _variants(context: TextContext, start: NDArray[np.float32], after: NDArray[np.float32]) -> list[_Variant]:
    """Every share of the training under every number of leading captions and every weight."""
    recipe, board, pictures = context.recipe, context.board, context.head.apply(context.gallery)
    matrices = [(share, (1 - share) * start + share * after) for share in recipe.shares]
    if context.prior is not None:  # nothing learnt: only weight and leads are
        matrices.append((UNLEARNT, context.prior))
    result = []
    for share, mixed in matrices:
        head = ImageHead(context.head.centre, context.head.matrix, np.ascontiguousarray(mixed, np.float32))
        for leads in recipe.leads:
            seen = board.seen(head.apply_text(context.questions), pictures, leads=leads)
            for weight in recipe.weights:
                result.append(_Variant(board.measure(seen, weight)[board.metric], head, share, leads, weight))
    return result


def _picked(context: TextContext, variants: list[_Variant]) -> _Variant:
    """The best of those under which a title still finds its picture; where none is such, the one that loses fewest."""
    ranked = sorted(variants, key=lambda variant: -variant.mean)
    if context.titles is None or not len(context.titles[0].ids):
        return ranked[0]
    (board, titles), pictures, first = context.titles, context.head.apply(context.gallery), IMAGE_METRICS[0]
    least = float(np.nanmean(board.described()[first])) - LOST
    kept = []
    for variant in ranked:
        kept.append(float(np.nanmean(variant.scores(board, titles, pictures)[first])))
        if kept[-1] >= least:
            return variant
    return ranked[int(np.argmax(kept))]


def regression(
    texts: Vectors, targets: Vectors, ridge: float, *, prior: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """The matrix [t, m] that brings texts [p, t] nearest to the vectors [p, m] of their pictures.

    Args:
        texts: Unit vectors; the same text may come with several pictures.
        targets: Of the pictures.
        ridge: In mean variances of the texts.
        prior: What the ridge draws towards [t, m]; None is zero.
    """
    gram = texts.T.astype(np.float64) @ texts
    pull = ridge * np.trace(gram) / len(gram)
    wanted = texts.T.astype(np.float64) @ targets + (0.0 if prior is None else pull * prior)
    return np.linalg.solve(gram + pull * np.eye(len(gram)), wanted).astype(np.float32)


def _by_text(texts: Vectors, pictures: NDArray[np.int64]) -> tuple[Vectors, Positives]:
    """Each text once, with all pictures that it is said of: one that is said of many must not push them apart."""
    index: dict[bytes, list[int]] = {}
    for row, vector in enumerate(texts):
        index.setdefault(vector.tobytes(), []).append(row)
    first = [rows[0] for rows in index.values()]
    return texts[first], [np.unique(pictures[rows]) for rows in index.values()]


def _train(
    context: TextContext,
    examples: tuple[Vectors, Positives],
    vectors: Vectors,
    start: NDArray[np.float32],
    seconds: float,
) -> tuple[NDArray[np.float32], Fit]:
    recipe, (texts, positives) = context.recipe, examples
    torch.set_num_threads(recipe.threads)
    matrix = torch.nn.Parameter(torch.from_numpy(start.copy()))
    given, columns = torch.from_numpy(texts), torch.from_numpy(np.ascontiguousarray(vectors.T))
    nothing = np.empty(0, np.int64)
    batches = [
        rows
        for epoch in range(recipe.epochs)
        for rows in epoch_batches([1] * len(texts), recipe.batch, seed=recipe.seed, epoch=epoch)
    ]

    def loss_of(step: int) -> torch.Tensor:
        torch.manual_seed(recipe.seed * 1_000_003 + step)  # a resumed run leaves out the same numbers
        rows = batches[step]
        queries = normalize(dropout(given[torch.from_numpy(rows)], recipe.noise) @ matrix, dim=1)
        own = [positives[row] for row in rows]
        temperature = recipe.temperature
        there = full_corpus_loss(queries, columns, own, [nothing] * len(own), temperature=temperature)
        pictured, back = _reversed(own)
        pictures = columns[:, torch.from_numpy(pictured)].T
        return there + full_corpus_loss(pictures, queries.T, back, [nothing] * len(back), temperature=temperature)

    schedule = Schedule(len(batches), recipe.rate, seconds, weight_decay=0.0)
    checkpoint = Checkpoint(context.folder, "text-" + _key(context))
    trained = fit({"matrix": matrix}, loss_of, schedule, checkpoint=checkpoint)
    return matrix.detach().numpy().copy(), trained


def _reversed(positives: Positives) -> tuple[NDArray[np.int64], Positives]:
    """The pictures of a batch, and for each the texts of the batch that are said of it."""
    pictured, place = np.unique(np.concatenate(positives), return_inverse=True)
    texts = np.repeat(np.arange(len(positives)), [len(own) for own in positives])
    return pictured, [texts[place == row] for row in range(len(pictured))]


def _key(context: TextContext) -> str:
    """Hash of everything that the training depends on."""
    digest = hashlib.sha256(json.dumps(asdict(context.recipe), default=list).encode() + context.head.key.encode())
    digest.update(
        context.pictures.tobytes() + np.ascontiguousarray(context.texts[:: max(1, len(context.texts) // 64)]).tobytes()
    )
    return digest.hexdigest()[:16]
