"""What turns on pictures share: galleries, and what a run depends on."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from honed.catalog import images
from honed.dataset.images import Pictures
from honed.protocols import ImageEncoder
from honed.session import Session
from honed.tuning.nouns import Gallery, ImageGround, WordsGround
from honed.types import SPLITS

if TYPE_CHECKING:  # torch is loaded by tuning alone
    from honed.roles.image_retriever.bench import ImageRecipe

LEAST_TEST = 10
"""Pictures or questions of a split below which no verdict is attempted."""


def gallery(session: Session, encoder: ImageEncoder, pictures: Pictures) -> Gallery:
    """Pictures with the descriptors that the catalog keeps of them."""
    if not len(pictures):
        return Gallery(
            pictures, np.empty((0, encoder.dimension), np.float32), (), session.settings.metric_image_retriever
        )
    rowids, descriptors = images.descriptors(session.catalog, encoder.space, pictures.rowids)
    assert np.array_equal(rowids, pictures.rowids), "every picture was described a moment ago"
    records = images.by_rowid(session.catalog, rowids)
    ordered = tuple(records[rowid] for rowid in rowids.tolist())
    return Gallery(pictures, descriptors, ordered, session.settings.metric_image_retriever)


def experiment_of(
    session: Session, ground: ImageGround | WordsGround, recipe: ImageRecipe, budget: float
) -> dict[str, Any]:
    """What a run depends on: it goes on only under the same, and elsewhere the same is no other look at the test."""
    digest = hashlib.sha256()
    for split in SPLITS:
        shown = ground.galleries[split].pictures
        digest.update(repr((shown.ids, shown.groups.tolist(), shown.variants)).encode())
        digest.update(ground.galleries[split].descriptors.tobytes())
    settings = asdict(recipe)
    settings.pop("threads", None)
    return {
        "budget": budget,
        "data": digest.hexdigest(),
        "space": ground.encoder.space,
        "head": ground.head.key,
        "settings": repr(sorted(settings.items())),
        "gate": [session.settings.min_gain, session.settings.max_slice_drop],
        "metrics": [session.settings.metric_image_retriever, session.settings.metric_text_to_image],
        "test": session.settings.test,
        "version": version("honed"),
    }
