"""The data of a run on drawings: the pictures and their references, what draws now, and the held-out pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.dataset.images import take
from honed.errors import UsageError
from honed.evaluate.ledger import TestSet
from honed.models.painter.compact import CompactPainter
from honed.models.painter.config import PainterConfig
from honed.protocols import ImageGenerator
from honed.release.build import live_manifest
from honed.release.manifest import IMAGE_GENERATOR, Manifest
from honed.release.open import painter_of
from honed.roles.image_generator.collection import Collection, collect
from honed.roles.image_generator.held_out import KIND_NAMES, RANDOM
from honed.session import Session
from honed.tuning.role import Baseline, Progress
from honed.types import Split

PIPELINE_SIDE = 128
"""Pixels of the pictures that a pipeline is judged by, and of its references in the test: the judge looks at no more."""

PIPELINE_REFERENCES = 3


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Where a run starts from.

    Attributes:
        release: The live release.
        live: What draws now; None where nothing does yet.
        config: Shape of the compact painter that is to learn; None where a pipeline of diffusers is.
        test: The held-out pictures as the ledger knows them.
    """

    collection: Collection
    release: Manifest
    live: ImageGenerator | None
    config: PainterConfig | None
    test: TestSet

    @property
    def baseline(self) -> Baseline:
        """What draws now; the first painter has to beat itself with random references: retrieval is all that differs.

        There is nothing to choose between, so nothing of dev is drawn for it.
        """
        if self.live is None:
            return Baseline(KIND_NAMES[RANDOM], {})
        compact = isinstance(self.live, CompactPainter)
        return Baseline(self.release.release if compact else f"{self.release.release} ({self.live.name})", {})

    @property
    def dev_clusters(self) -> NDArray[Any]:
        """[pictures] group of each dev picture that may be drawn."""
        return np.asarray(self.collection.pictures.groups[self.collection.rows["dev"]])

    @property
    def notes(self) -> tuple[str, ...]:
        """For the user."""
        return self.collection.task.notes


def take_snapshot(session: Session, config: PainterConfig, metric: str, tell: Progress, *, forced: bool) -> Snapshot:
    """Read the pictures, find their references through the live search, and open what draws now.

    A compact painter is to learn, unless `image_generator` in the settings names a pipeline of diffusers.

    Args:
        config: Shape of a first compact painter.
        forced: Whether a later one must have this shape too; otherwise it has that of the live one.

    Raises:
        UsageError: There are too few pictures, or none has words; or what is live cannot be compared with what would learn.
    """
    manifest = live_manifest(session.workspace, session.catalog)
    draws = IMAGE_GENERATOR in manifest.parts or session.settings.image_generator
    live = painter_of(session.workspace, manifest, session.settings) if draws else None
    shape = None if session.settings.image_generator else _shape(live, config, forced=forced)
    side, references = (shape.side, shape.references) if shape else (PIPELINE_SIDE, PIPELINE_REFERENCES)
    collection = collect(session, side, references, tell)
    take(session.catalog, collection.task)
    test = test_set(collection, "test", metric, fresh_only=session.settings.test == "fresh")
    return Snapshot(collection, manifest, live, shape, test)


def test_set(collection: Collection, split: Split, metric: str, *, fresh_only: bool) -> TestSet:
    """The pictures of a split that may be drawn, as the ledger knows them."""
    rows, whole = collection.rows[split], collection.task.splits[split]
    digest = hashlib.sha256(f"drawn {_members(whole.ids, whole.groups)}".encode()).hexdigest()
    medias = [collection.listing.medias[row] for row in rows.tolist()]
    return TestSet(IMAGE_GENERATOR, metric, medias, collection.pictures.groups[rows], (digest,), fresh_only=fresh_only)


def _members(ids: Sequence[str], groups: NDArray[np.int64]) -> str:
    """Which pictures there are, and which belong together; numbers of groups may move."""
    members: dict[int, list[str]] = {}
    for name, group in zip(ids, groups.tolist(), strict=True):
        members.setdefault(group, []).append(name)
    return repr(sorted(sorted(names) for names in members.values()))


def _shape(live: ImageGenerator | None, config: PainterConfig, *, forced: bool) -> PainterConfig:
    """The shape of the compact painter that is to learn.

    Raises:
        UsageError: What is live cannot be compared with it.
    """
    if live is None:
        return config
    if not isinstance(live, CompactPainter):
        raise UsageError(
            f"The live release draws with {live.name}; a compact painter cannot be compared with it.",
            hint="name its pipeline as image_generator in honed.toml, or roll back to a release without it",
        )
    if forced and (config.side, config.references) != (live.config.side, live.config.references):
        raise UsageError(
            f"The live painter draws {live.config.side} pixels from {live.config.references} references; a painter of "
            "another shape cannot be compared with it.",
            hint="leave the shape as it is, or roll back to a release without a painter first",
        )
    return config if forced else live.config
