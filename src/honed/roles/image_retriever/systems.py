"""Measure and compare what sees pictures on any split, by the very descriptors, heads and boards of a turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from honed.catalog import history, images
from honed.dataset.images import Pictures, load_image_task
from honed.errors import UsageError
from honed.evaluate.comparison import Comparison
from honed.evaluate.gate import GateSettings, Verdict, decide
from honed.evaluate.image_exam import ImageExam, ImagePaper, sit_images
from honed.evaluate.ledger import TestSet, count
from honed.evaluate.sets import picture_set
from honed.evaluate.significance import judged
from honed.imaging.ground import gallery
from honed.ingest.describe import describe_missing
from honed.models.vision.head import ImageHead
from honed.protocols import ImageEncoder
from honed.release.build import manifest_of, row_of
from honed.release.manifest import Manifest
from honed.release.open import image_encoder_of, image_head_of
from honed.runs import look_at
from honed.session import Session
from honed.turn import Gallery
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


def split_pictures(session: Session, split: str) -> tuple[Pictures, Split]:
    """The grouped pictures of a split, and the split by its checked name.

    Raises:
        UsageError: There is no such split, or no picture in it has another of its group.
    """
    name = next((each for each in SPLITS if each == split), None)
    if name is None:
        raise UsageError(f"There is no split '{split}'.", hint="splits are: train, dev, test")
    pictures = load_image_task(session.catalog, seed=session.settings.seed).splits[name]
    if not pictures.pairs:
        raise UsageError(
            f"There are no groups of pictures in {split}.",
            hint="honed label FILE.csv (columns image,group), honed label --by-folder DIR, or honed import an image pack",
        )
    return pictures, name


def measure_images(session: Session, system: str, split: str) -> dict[str, Any]:
    """Means of all metrics of a system on a split, in the frame of `measure.measure_system`. Chooses nothing: not counted.

    Raises:
        UsageError: The split has no groups, or there is no such system.
    """
    pictures, _ = split_pictures(session, split)
    sight = sight_of(session, system)
    paper, shown = _sat(session, system, sight, pictures)
    return {
        "release": sight.release,
        "system": system,
        "split": split,
        "queries": pictures.pairs,
        "clusters": len(np.unique(pictures.groups[shown.board.judged])),
        "labels": "groups",
        "metrics": {metric: round(float(np.nanmean(array)), 4) for metric, array in paper.scores.items()},
    }


def compare_images(session: Session, base: str, candidate: str, split: str) -> tuple[Comparison, Verdict]:
    """Two systems on one split, picture by picture, and what the gate would say; a look at test is counted.

    Raises:
        UsageError: The split has no groups, or there is no such system.
    """
    pictures, name = split_pictures(session, split)
    sights = [sight_of(session, system) for system in (base, candidate)]
    (first, shown), (second, _) = (
        _sat(session, system, sight, pictures) for system, sight in zip((base, candidate), sights, strict=True)
    )
    judged(first.scores[shown.board.metric], second.scores[shown.board.metric], shown.board.clusters)
    content = [f"{sight.encoder.space} {sight.head.key} {sight.neighbours}" for sight in sights]
    what = " ".join(("compare images", *content))
    experiment = {"workspace": history.identity(session.catalog), "what": what}
    test = pictures_set(session, pictures)
    if name == "test":
        looks = look_at(session.catalog, test, what, experiment)
        first, second = (replace(paper, scores=looks.scores(paper.scores)) for paper in (first, second))
    else:
        looks = count(test, ())
    comparison = ImageExam(shown.board, first, second, looks).compared(1, session.settings.seed)
    return comparison, decide(comparison, GateSettings.of(session.settings))


def image_rankings(session: Session, system: str, split: str, depth: int = DEPTH) -> dict[str, Any]:
    """The pictures that each picture of a split finds among the others: external id -> [(external id, score)], best first.

    Raises:
        UsageError: The split has no groups, there is no such system, or depth is not positive.
    """
    if depth < 1:
        raise UsageError(f"k must be at least 1, not {depth}.")
    pictures, _ = split_pictures(session, split)
    sight = sight_of(session, system)
    paper, shown = _sat(session, system, sight, pictures)
    found: dict[str, Any] = {}
    for query in np.flatnonzero(shown.board.judged).tolist():
        places, scores = shown.board.hits(paper.vectors, query, depth, neighbours=paper.neighbours)
        found[pictures.ids[query]] = [
            (pictures.ids[place], score) for place, score in zip(places.tolist(), scores.tolist(), strict=True)
        ]
    return found


def pictures_set(session: Session, pictures: Pictures) -> TestSet:
    """Pictures of a split as the ledger knows them."""
    records = images.by_rowid(session.catalog, pictures.rowids)
    medias = [records[rowid].media for rowid in pictures.rowids.tolist()]
    return picture_set(medias, pictures.ids, pictures.groups, session.settings)


def _sat(session: Session, system: str, sight: Seeing, pictures: Pictures) -> tuple[ImagePaper, Gallery]:
    describe_missing(session.workspace, session.catalog, sight.encoder)
    shown = gallery(session, sight.encoder, pictures)
    vectors = sight.head.apply(shown.descriptors)
    return sit_images(shown.board, system, vectors, sight.neighbours), shown
