"""Measure and compare what sees pictures on any split, by the very descriptors, heads and boards of a turn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from honed.catalog import history
from honed.dataset.images import ImageTask, Pictures, load_image_task
from honed.errors import UsageError
from honed.evaluate.comparison import Comparison
from honed.evaluate.gate import GateSettings, Verdict, decide
from honed.evaluate.image_board import IMAGE_METRICS, ImageBoard
from honed.ingest.describe import describe_missing
from honed.models.vision.head import ImageHead
from honed.protocols import ImageEncoder
from honed.release.build import manifest_of, row_of
from honed.release.manifest import Manifest
from honed.release.open import image_encoder_of, image_head_of
from honed.roles.image_retriever.evaluation import ImageExam, ImagePaper, sit_images
from honed.roles.image_retriever.snapshot import gallery, known_by
from honed.runs import look_at
from honed.session import Session
from honed.types import SPLITS, Split

UNTUNED = "untuned"
"""The configured encoder's descriptors as they are."""

DEPTH = 100
"""Pictures of a ranking that are exported."""


@dataclass(frozen=True, slots=True)
class Seeing:
    """How a system sees: its encoder, its head, and how many neighbours expand a query; `release` is where it comes from."""

    release: str
    encoder: ImageEncoder
    head: ImageHead
    neighbours: int = 0


def sight_of(session: Session, system: str) -> Seeing:
    """What a system sees with.

    Args:
        session: Open workspace.
        system: "live", a release, or "untuned".

    Raises:
        UsageError: There is no such system.
        MissingError: Nothing is live, or the image encoder is not installed.
    """
    row = row_of(session.catalog, _untuned(session) if system == UNTUNED else system)
    manifest = manifest_of(session.workspace, row)
    if system == UNTUNED:
        plain = replace(manifest, images=None)
        encoder = image_encoder_of(session.workspace, plain, session.settings)
        return Seeing(row.name, encoder, image_head_of(session.workspace, plain, encoder))
    encoder = image_encoder_of(session.workspace, manifest, session.settings)
    neighbours = manifest.images.neighbours if manifest.images else 0
    return Seeing(row.name, encoder, image_head_of(session.workspace, manifest, encoder), neighbours)


def _untuned(session: Session) -> str:
    """The newest release whose image side nobody tuned."""

    def plain(manifest: Manifest) -> bool:
        return manifest.images is None or not manifest.images.head

    rows = history.releases(session.catalog)
    return next((row.name for row in reversed(rows) if plain(manifest_of(session.workspace, row))), "live")


def task_of(session: Session, split: str) -> tuple[ImageTask, Split]:
    """All pictures, and a split by its checked name.

    Raises:
        UsageError: There is no such split, or no picture in it has another of its group.
    """
    name = next((each for each in SPLITS if each == split), None)
    if name is None:
        raise UsageError(f"There is no split '{split}'.", hint="splits are: train, dev, test")
    task = load_image_task(session.catalog, seed=session.settings.seed)
    if not task.splits[name].pairs:
        raise UsageError(
            f"There are no groups of pictures in {split}.",
            hint="honed label FILE.csv (columns image,group), honed label --by-folder DIR, or honed import an image pack",
        )
    return task, name


def measure_images(session: Session, system: str, split: str) -> dict[str, Any]:
    """Means of all metrics of a system on a split, in the frame of `measure.measure_system`. Chooses nothing: not counted.

    Raises:
        UsageError: The split has no groups, or there is no such system.
    """
    task, name = task_of(session, split)
    sight = sight_of(session, system)
    paper, board = _sat(session, system, sight, task, name)
    return {
        "release": sight.release,
        "system": system,
        "split": split,
        "queries": int(board.judged.sum()),
        "clusters": len(np.unique(board.groups[board.queries][board.judged])),
        "labels": "groups",
        "metrics": {metric: round(float(np.nanmean(paper.scores[metric])), 4) for metric in IMAGE_METRICS},
    }


def compare_images(session: Session, base: str, candidate: str, split: str) -> tuple[Comparison, Verdict]:
    """Two systems on one split, picture by picture, and what the gate would say; a look at test is counted.

    Raises:
        UsageError: The split has no groups, or there is no such system.
    """
    task, name = task_of(session, split)
    sights = [sight_of(session, system) for system in (base, candidate)]
    what = f"compare images {base} {candidate}"
    experiment = {"workspace": history.identity(session.catalog), "what": what}
    reads = look_at_pictures(session, task.splits[name], what, experiment) if name == "test" else 1
    (first, board), (second, _) = (
        _sat(session, system, sight, task, name) for system, sight in zip((base, candidate), sights, strict=True)
    )
    comparison = ImageExam(board, first, second, reads).compared(1, session.settings.seed)
    return comparison, decide(comparison, GateSettings.of(session.settings))


def image_rankings(session: Session, system: str, split: str, depth: int = DEPTH) -> dict[str, Any]:
    """The pictures that each picture of a split finds among all others: external id -> [(external id, score)], best first.

    The figures of a document are named by its id and their number. Copies score 2 or 4 above their cosine: they come first.

    Raises:
        UsageError: The split has no groups, there is no such system, or depth is not positive.
    """
    if depth < 1:
        raise UsageError(f"k must be at least 1, not {depth}.")
    task, name = task_of(session, split)
    paper, board = _sat(session, system, sight_of(session, system), task, name)
    rankings: dict[str, Any] = {}
    for query in np.flatnonzero(board.judged).tolist():
        places, scores = board.hits(paper.vectors, query, depth, neighbours=paper.neighbours)
        rankings[board.ids[board.queries[query]]] = [
            (board.ids[place], score) for place, score in zip(places.tolist(), scores.tolist(), strict=True)
        ]
    return rankings


def look_at_pictures(session: Session, pictures: Pictures, run: str, experiment: dict[str, Any]) -> int:
    """Count a look at the pictures of a test set before it is taken; returns how many there have been.

    Older ledgers know a set by the numbers of its groups: both count, and the larger number is the truth.
    """
    names = (known_by(pictures.ids, pictures.groups), repr((pictures.ids, pictures.groups.tolist())))
    return max(look_at(session.catalog, hashlib.sha256(each.encode()).hexdigest(), run, experiment) for each in names)


def _sat(session: Session, system: str, sight: Seeing, task: ImageTask, split: Split) -> tuple[ImagePaper, ImageBoard]:
    describe_missing(session.workspace, session.catalog, sight.encoder)
    every = gallery(session, sight.encoder, task)
    board = every.board(split)
    return sit_images(board, system, sight.head.apply(every.descriptors), sight.neighbours), board
