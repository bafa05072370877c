"""The data of a run on pictures: groups, descriptors, what sees them now, and the baseline that it has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from honed.dataset.images import Pictures, load_image_task, take
from honed.errors import UsageError
from honed.evaluate.gallery import Gallery, load_gallery
from honed.evaluate.image_board import ImageBoard, primary
from honed.evaluate.ledger import TestSet
from honed.index.images import Descriptors
from honed.ingest.describe import describe_missing
from honed.release.build import live_manifest
from honed.release.manifest import Manifest
from honed.roles.image_retriever.systems import System, system_of, test_set, tuned, untuned_system
from honed.session import Session
from honed.tuning.role import Baseline, DataCard, each_split
from honed.types import Split, Vectors

LEAST_TEST = 10
"""Queries of a split that have something to find below which no verdict is attempted."""


@dataclass(frozen=True)
class Snapshot:
    """Where a run starts from.

    Attributes:
        gallery: All pictures, with the live encoder's descriptors.
        systems: What could be the baseline: what is live first, so that it wins a tie, then the untuned encoder.
        descriptors: Encoder space -> descriptors of all pictures.
        test: The held-out pictures as the ledger knows them.
        release: The live release.
    """

    gallery: Gallery
    systems: tuple[System, ...]
    descriptors: Mapping[str, Descriptors]
    test: TestSet
    release: Manifest
    notes: tuple[str, ...]

    @property
    def live(self) -> System:
        """What sees the pictures now."""
        return self.systems[0]

    def board(self, split: Split) -> ImageBoard:
        """The pictures of a split ask, all are searched."""
        return self.gallery.board(split, self.test.metric)

    def vectors(self, system: System) -> Vectors:
        """All pictures as a system sees them."""
        return system.head.apply(self.descriptors[system.encoder.space])

    @property
    def dev_clusters(self) -> NDArray[np.int64]:
        """[queries] label of each dev picture's cluster."""
        return self.board("dev").clusters

    @cached_property
    def baseline(self) -> Baseline:
        """The best on dev of what is live and of the untuned encoder."""
        board = self.board("dev")
        means = {
            system.name: float(np.nanmean(primary(board, self.vectors(system), neighbours=system.neighbours)))
            for system in self.systems
        }
        return Baseline(max(means, key=lambda name: means[name]), means)


def take_snapshot(session: Session, metric: str) -> Snapshot:
    """Read groups and descriptors, and open what could be the baseline.

    Raises:
        UsageError: There are no groups of pictures, or too few to measure with.
        MissingError: The image encoder is not installed.
    """
    manifest = live_manifest(session.workspace, session.catalog)
    live = system_of(session, manifest)
    systems = (live, untuned_system(session, manifest)) if tuned(manifest) else (live,)
    task = load_image_task(session.catalog, seed=session.settings.seed)
    for split, pictures in task.splits.items():
        _check_enough(pictures, split)
    take(session.catalog, task)
    galleries = {}
    for system in systems:
        describe_missing(session.workspace, session.catalog, system.encoder)
        galleries[system.encoder.space] = load_gallery(session.catalog, system.encoder, task)
    gallery = galleries[live.encoder.space]
    return Snapshot(
        gallery,
        systems,
        {space: described.descriptors for space, described in galleries.items()},
        test_set(gallery, "test", metric, fresh_only=session.settings.test == "fresh"),
        manifest,
        task.notes,
    )


def _check_enough(pictures: Pictures, split: Split) -> None:
    """Train needs pictures; a picture of dev or test is judged only where another one of its group can be found."""
    count = len(pictures) if split == "train" else pictures.pairs
    if count < LEAST_TEST:
        raise UsageError(
            f"There are {len(pictures)} grouped pictures in {split}, of which {pictures.pairs} share their group with another "
            f"one; {LEAST_TEST} {'pictures' if split == 'train' else 'of these'} are needed.",
            hint="give more pictures, and those of one thing the same group: honed label FILE.csv (columns image,group), "
            "honed label --by-folder DIR, or honed import an image pack",
        )


def data_card(snapshot: Snapshot) -> DataCard:
    """What the report says of the data."""
    task = snapshot.gallery.task
    judged = int(snapshot.board("test").judged.sum())
    return DataCard(
        test_set=(
            f"test, {judged:,} pictures that share their group with others, looking among {len(task.everything):,}"
        ),
        labels="groups",
        rows={
            "pictures": each_split({split: len(pictures) for split, pictures in task.splits.items()}),
            "groups": each_split({split: len(np.unique(pictures.groups)) for split, pictures in task.splits.items()}),
            "labels": "groups: pictures that show the same thing",
        },
        digests={system.name: system.encoder.space[:12] for system in snapshot.systems},
    )
