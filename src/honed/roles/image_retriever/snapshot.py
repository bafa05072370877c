"""What turns on pictures share: galleries, what a run depends on, what a ledger knows a test set by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from honed.catalog import images
from honed.dataset.images import ImageTask
from honed.protocols import ImageEncoder
from honed.session import Session
from honed.tuning.nouns import Gallery, ImageGround, WordsGround
from honed.types import SPLITS

if TYPE_CHECKING:  # torch is loaded by tuning alone
    from honed.roles.image_retriever.bench import ImageRecipe

LEAST_TEST = 10
"""Queries of a split that have something to find below which no verdict is attempted."""


def gallery(session: Session, encoder: ImageEncoder, task: ImageTask) -> Gallery:
    """All pictures with the descriptors that the catalog keeps of them."""
    if not len(task.everything):
        return Gallery(task, np.empty((0, encoder.dimension), np.float32))
    rowids, descriptors = images.descriptors(session.catalog, encoder.space, task.everything.rowids)
    assert np.array_equal(rowids, task.everything.rowids), "every picture was described a moment ago"
    return Gallery(task, descriptors)


def known_by(ids: Sequence[str], groups: NDArray[Any]) -> str:
    """What a ledger knows a set of pictures by: which there are, and which belong together; numbers of groups may move."""
    members: dict[object, list[str]] = {}
    for name, group in zip(ids, groups.tolist(), strict=True):
        members.setdefault(group, []).append(name)
    return repr(sorted(sorted(each) for each in members.values()))


def experiment_of(
    session: Session, ground: ImageGround | WordsGround, recipe: ImageRecipe, budget: float
) -> dict[str, Any]:
    """What a run depends on: it goes on only under the same, and elsewhere the same is no other look at the test."""
    task = ground.gallery.task
    digest = hashlib.sha256(repr(task.everything.ids).encode())
    for split in SPLITS:
        pictures = task.splits[split]
        digest.update(repr((pictures.ids, pictures.groups.tolist(), pictures.variants)).encode())
    digest.update(ground.gallery.descriptors.tobytes() + task.phashes.tobytes() + task.medias.tobytes())
    settings = asdict(recipe)
    settings.pop("threads", None)
    return {
        "budget": budget,
        "data": digest.hexdigest(),
        "space": ground.encoder.space,
        "head": ground.head.key,
        "settings": repr(sorted(settings.items())),
        "gate": [session.settings.min_gain, session.settings.max_slice_drop],
        "version": version("honed"),
    }
