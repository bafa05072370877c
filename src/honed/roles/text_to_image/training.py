"""Text to image without CLIP: a matrix from the vectors of the release's text tower into the space of its image head.

The image side is locked and only the text side learns, against all cached pictures (LiT, Zhai et al. 2022,
arXiv:2111.07991). It starts from a ridge regression, which is most of it: on dev of two packs mAP of what is seen alone is .343
and .285 after the regression, .359 and .290 after training (captions alone: .372 and .260, half of them hidden).
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import dropout, normalize

from honed.errors import UsageError
from honed.evaluate.image_board import IMAGE_METRICS, TextBoard
from honed.evaluate.metrics import Scores
from honed.models.vision.head import ImageHead
from honed.roles.image_retriever.bench import Descriptors, ImageRecipe
from honed.roles.retriever.recipe import Tell
from honed.train.batches import epoch_batches
from honed.train.fit import Checkpoint, Fit, Schedule, fit
from honed.train.objective import full_corpus_loss
from honed.types import Vectors
from honed.workspace import read_json, write_json

BATCH = 256

LOST = 0.01
"""Of recall@1 that questions which are a title may lose on dev. Without captions that lead they lose most of it: 1.0 to .34 on
dev of emoji-images and to .07 on openclipart-images; with three that lead .99 and .98, with one 1.0 on emoji-images (weight 1).
It was .02 once: a candidate that lost .01 on 99 titles of dev lost .03 on those of test, and the gate refused it."""

UNLEARNT = -1.0
"""Stands for the share of the training where the prior is taken as it is."""

_FIRST = IMAGE_METRICS[0]

_Try = tuple[Scores, ImageHead, float, int, float]
"""Dev scores, head, share of the training, captions that lead, weight."""

Positives = list[NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class TextBench:
    """What the text side learns from and is picked by.

    Attributes:
        head: The image head, which stays.
        train: [n, d] descriptors of the train pictures by the encoder that goes with the head.
        texts: [p, t] vectors of texts about them; the same text may come with several pictures.
        pictures: [p] row of the picture that each text belongs to.
        dev: [k, d] descriptors of the dev pictures.
        questions: [q, t] vectors of the dev questions, in the order of the board.
        titles: A board of questions that are titles, and their vectors: what captions find already must still be found.
        prior: Text matrix that knows something before anything is learnt, as that of a CLIP's own text tower; else None.
    """

    head: ImageHead
    train: Descriptors
    texts: Vectors
    pictures: NDArray[np.int64]
    dev: Descriptors
    questions: Vectors
    board: TextBoard
    folder: Path
    recipe: ImageRecipe
    tell: Tell
    titles: tuple[TextBoard, Vectors] | None = None
    prior: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TextCandidate:
    """A way in which texts find pictures that competes on dev.

    Attributes:
        head: The image head with a text matrix.
        weight: Of what is seen against captions.
        leads: Captions that lead a question.
        dev: Average precision of every dev question.
    """

    name: str
    what: str
    head: ImageHead
    weight: float
    leads: int
    dev: Scores
    seconds: float
    tried: int
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Mean of the average precision on dev."""
        return float(np.nanmean(self.dev))

    def measure(self, board: TextBoard, questions: Vectors, descriptors: Descriptors) -> dict[str, Scores]:
        """Every metric on a board, from vectors of its questions and descriptors of its pictures."""
        vectors = self.head.apply(descriptors)
        return board.measure(board.seen(self.head.apply_text(questions), vectors, leads=self.leads), self.weight)

    def save(self, folder: Path) -> None:
        """Write the head, then `NAME.json`; the existence of the latter means that the rung is complete."""
        self.head.write(folder / f"{self.name}-head.safetensors")
        value = {key: entry for key, entry in asdict(self).items() if key != "head"}
        value["dev"] = self.dev.tolist()
        write_json(folder / f"{self.name}.json", value)

    @classmethod
    def load(cls, folder: Path, name: str = "text-heads") -> TextCandidate | None:
        """Read a finished rung's candidate, if it is finished.

        Raises:
            IntegrityError: Its head is damaged.
        """
        path = folder / f"{name}.json"
        if not path.is_file():
            return None
        value = read_json(path)
        value["dev"] = np.array(value["dev"], np.float64)
        return cls(head=ImageHead.read(folder / f"{name}-head.safetensors"), **value)


def tune_text(bench: TextBench, seconds: float = math.inf) -> TextCandidate:
    """Learn the text matrix; dev picks how much of the training is kept, how many captions lead, and the weight.

    Raises:
        HonedError: Training failed; the candidate must not be used.
        UsageError: There are no texts to learn from.
    """
    started, recipe = time.monotonic(), bench.recipe
    if not len(bench.texts):
        raise UsageError("No train picture has a caption.", hint="captions come from file names, alt text, or a pack")
    vectors = bench.head.apply(bench.train)
    texts, positives = _by_text(bench.texts, bench.pictures)
    start = regression(bench.texts, vectors[bench.pictures], recipe.text_ridge, prior=bench.prior)
    after, trained = _train(bench, texts, positives, vectors, start, seconds)
    bench.tell(f"loss {trained.first_loss:.3f} -> {trained.last_loss:.3f} in {trained.steps} steps")
    dev = bench.head.apply(bench.dev)
    tries = []
    matrices = [(share, (1 - share) * start + share * after) for share in recipe.text_shares]
    if bench.prior is not None:  # nothing learnt: only weight and leads are
        matrices.append((UNLEARNT, bench.prior))
    for share, mixed in matrices:
        matrix = np.ascontiguousarray(mixed, np.float32)
        head = ImageHead(bench.head.centre, bench.head.matrix, matrix)
        for leads in recipe.leads:
            seen = bench.board.seen(head.apply_text(bench.questions), dev, leads=leads)
            for weight in recipe.text_weights:
                tries.append((bench.board.measure(seen, weight)[bench.board.metric], head, share, leads, weight))
    scores, head, share, leads, weight = _picked(bench, dev, tries)
    return TextCandidate(
        "text-heads",
        f"texts and pictures in one space, weight {weight:.1f} against captions, {leads} of which lead",
        head,
        weight,
        leads,
        scores,
        time.monotonic() - started,
        len(tries),
        {
            **asdict(trained),
            "share": share,
            "captions_alone": float(np.nanmean(bench.board.described()[bench.board.metric])),
        },
    )


def _picked(bench: TextBench, dev: Vectors, tries: list[_Try]) -> _Try:
    """The best try of those under which a title still finds its picture; where none is such, the one that loses fewest."""
    ranked = sorted(tries, key=lambda one: -float(np.nanmean(one[0])))
    if bench.titles is None or not len(bench.titles[0].ids):
        return ranked[0]
    board, titles = bench.titles
    least = float(np.nanmean(board.described()[_FIRST])) - LOST
    found = []
    for one in ranked:
        _, head, _, leads, weight = one
        seen = board.seen(head.apply_text(titles), dev, leads=leads)
        found.append(float(np.nanmean(board.measure(seen, weight)[_FIRST])))
        if found[-1] >= least:
            return one
    return ranked[int(np.argmax(found))]


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
    bench: TextBench, texts: Vectors, positives: Positives, vectors: Vectors, start: NDArray[np.float32], seconds: float
) -> tuple[NDArray[np.float32], Fit]:
    recipe = bench.recipe
    torch.set_num_threads(recipe.threads)
    matrix = torch.nn.Parameter(torch.from_numpy(start.copy()))
    given, columns = torch.from_numpy(texts), torch.from_numpy(np.ascontiguousarray(vectors.T))
    nothing = np.empty(0, np.int64)
    batches = [
        rows
        for epoch in range(recipe.text_epochs)
        for rows in epoch_batches([1] * len(texts), BATCH, seed=recipe.seed, epoch=epoch)
    ]

    def loss_of(step: int) -> torch.Tensor:
        torch.manual_seed(recipe.seed * 1_000_003 + step)  # a resumed run leaves out the same numbers
        rows = batches[step]
        queries = normalize(dropout(given[torch.from_numpy(rows)], recipe.text_noise) @ matrix, dim=1)
        own = [positives[row] for row in rows]
        temperature = recipe.text_temperature
        there = full_corpus_loss(queries, columns, own, [nothing] * len(own), temperature=temperature)
        shown, back = _reversed(own)
        pictures = columns[:, torch.from_numpy(shown)].T
        return there + full_corpus_loss(pictures, queries.T, back, [nothing] * len(back), temperature=temperature)

    schedule = Schedule(len(batches), recipe.text_rate, seconds, weight_decay=0.0)
    checkpoint = Checkpoint(bench.folder, "text-" + _key(bench))
    trained = fit({"matrix": matrix}, loss_of, schedule, checkpoint=checkpoint)
    return matrix.detach().numpy().copy(), trained


def _reversed(positives: Positives) -> tuple[NDArray[np.int64], Positives]:
    """The pictures of a batch, and for each the texts of the batch that are said of it."""
    shown, place = np.unique(np.concatenate(positives), return_inverse=True)
    texts = np.repeat(np.arange(len(positives)), [len(own) for own in positives])
    return shown, [texts[place == row] for row in range(len(shown))]


def _key(bench: TextBench) -> str:
    """Hash of everything that the training depends on."""
    digest = hashlib.sha256(json.dumps(asdict(bench.recipe), default=list).encode() + bench.head.key.encode())
    digest.update(
        bench.pictures.tobytes() + np.ascontiguousarray(bench.texts[:: max(1, len(bench.texts) // 64)]).tobytes()
    )
    return digest.hexdigest()[:16]
