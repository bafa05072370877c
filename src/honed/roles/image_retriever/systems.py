"""What finds pictures by a picture: a release, or the encoder that nobody tuned; and any of them on any split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.catalog import history
from honed.dataset.images import ImageTask, load_image_task
from honed.errors import UsageError
from honed.evaluate.gallery import Gallery, load_gallery
from honed.evaluate.image_board import IMAGE_METRICS
from honed.evaluate.ledger import TestSet
from honed.ingest.describe import describe_missing
from honed.models.vision.head import ImageHead
from honed.protocols import ImageEncoder
from honed.release.build import manifest_of, part_of, row_of
from honed.release.manifest import IMAGE_RETRIEVER, Manifest
from honed.release.open import image_encoder_of, image_head_of
from honed.session import Session
from honed.tuning.role import Measurement, Rankings, checked_split
from honed.types import Split, Vectors

UNTUNED = "untuned"
"""The configured encoder's descriptors as they are."""


@dataclass(frozen=True, slots=True)
class System:
    """How pictures are seen: an encoder, a head, and how many neighbours expand a query.

    Attributes:
        release: Where it comes from.
    """

    name: str
    release: str
    encoder: ImageEncoder
    head: ImageHead
    neighbours: int = 0

    @property
    def digest(self) -> str:
        """Of everything that its rankings depend on."""
        return f"{self.encoder.space} {self.head.key} {self.neighbours}"


def tuned(manifest: Manifest) -> bool:
    """Whether the image side of a release was tuned."""
    return IMAGE_RETRIEVER in manifest.parts and "head" in manifest.parts[IMAGE_RETRIEVER].files


def system_of(session: Session, manifest: Manifest) -> System:
    """What a release sees with.

    Raises:
        MissingError: The image encoder is not installed.
    """
    encoder = image_encoder_of(session.workspace, manifest, session.settings)
    head = image_head_of(session.workspace, manifest, encoder)
    neighbours = part_of(session.workspace, manifest, IMAGE_RETRIEVER).values.get("neighbours", 0)
    name = manifest.release if tuned(manifest) else f"untuned {session.settings.image_encoder}"
    return System(name, manifest.release, encoder, head, neighbours)


def untuned_system(session: Session, manifest: Manifest) -> System:
    """The configured encoder as it is; `manifest` is of the release that it counts as."""
    return system_of(session, replace(manifest, parts={}))


def open_system(session: Session, system: str) -> System:
    """What a system sees with.

    Args:
        session: Open workspace.
        system: "live", a release, or "untuned".

    Raises:
        UsageError: There is no such system.
        MissingError: Nothing is live, or the image encoder is not installed.
    """
    if system != UNTUNED:
        return system_of(session, manifest_of(session.workspace, row_of(session.catalog, system)))
    manifests = [manifest_of(session.workspace, row) for row in history.releases(session.catalog)]
    newest = next((manifest for manifest in reversed(manifests) if not tuned(manifest)), None)
    live = newest or manifest_of(session.workspace, row_of(session.catalog, "live"))
    return untuned_system(session, live)


def test_set(gallery: Gallery, split: Split, metric: str, *, fresh_only: bool) -> TestSet:
    """The pictures of a split as the ledger knows them: by their pixels, and by what belongs together."""
    board, pictures = gallery.board(split, metric), gallery.task.splits[split]
    return TestSet(
        IMAGE_RETRIEVER,
        metric,
        gallery.medias(split),
        board.clusters,
        content_of(pictures.ids, pictures.groups),
        judged=board.judged,
        fresh_only=fresh_only,
    )


def content_of(ids: Sequence[str], groups: NDArray[Any]) -> tuple[str, ...]:
    """Hashes of a set of pictures, [n] ids and [n] labels: which there are, and which belong together.

    Numbers of groups may move, so they are in the second one alone, which older ledgers know.
    """
    members: dict[object, list[str]] = {}
    for name, group in zip(ids, groups.tolist(), strict=True):
        members.setdefault(group, []).append(name)
    names = (repr(sorted(sorted(group) for group in members.values())), repr((tuple(ids), groups.tolist())))
    return tuple(hashlib.sha256(name.encode()).hexdigest() for name in names)


def measured(session: Session, system: str, split: str, metric: str) -> Measurement:
    """Every metric of a system for every picture of a split.

    Raises:
        UsageError: There is no such system or split, or no group in it.
    """
    task, name = _split(session, split)
    opened = open_system(session, system)
    gallery = _described(session, opened, task)
    board = gallery.board(name, metric)
    return Measurement(
        system=system,
        release=opened.release,
        digest=opened.digest,
        scores=board.measure(_vectors(opened, gallery), neighbours=opened.neighbours),
        questions=board.questions(),
        test=test_set(gallery, name, metric, fresh_only=session.settings.test == "fresh"),
        unit="pictures",
        labels="groups",
    )


def rankings(session: Session, system: str, split: str, depth: int) -> Rankings:
    """The pictures that each picture of a split finds among all others, best first.

    The figures of a document are named by its id and their number. Copies score 2 or 4 above their cosine: they come first.

    Raises:
        UsageError: There is no such system or split, no group in it, or depth is not positive.
    """
    if depth < 1:
        raise UsageError(f"k must be at least 1, not {depth}.")
    task, name = _split(session, split)
    opened = open_system(session, system)
    gallery = _described(session, opened, task)
    board, vectors = gallery.board(name, IMAGE_METRICS[0]), _vectors(opened, gallery)
    result: dict[str, list[tuple[str, float]]] = {}
    for query in np.flatnonzero(board.judged).tolist():
        places, scores = board.hits(vectors, query, depth, neighbours=opened.neighbours)
        result[board.ids[board.queries[query]]] = [
            (board.ids[place], score) for place, score in zip(places.tolist(), scores.tolist(), strict=True)
        ]
    return result


def _vectors(system: System, gallery: Gallery) -> Vectors:
    return system.head.apply(gallery.descriptors)


def _described(session: Session, system: System, task: ImageTask) -> Gallery:
    describe_missing(session.workspace, session.catalog, system.encoder)
    return load_gallery(session.catalog, system.encoder, task)


def _split(session: Session, split: str) -> tuple[ImageTask, Split]:
    """All pictures, and a split by its checked name."""
    name = checked_split(split)
    task = load_image_task(session.catalog, seed=session.settings.seed)
    if not task.splits[name].pairs:
        raise UsageError(
            f"There are no groups of pictures in {split}.",
            hint="honed label FILE.csv (columns image,group), honed label --by-folder DIR, or honed import an image pack",
        )
    return task, name
