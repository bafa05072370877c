"""All pictures that live search ranks, with what one encoder says of them, as they are at one moment."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from honed.catalog import Catalog, images
from honed.dataset.images import ImageTask
from honed.evaluate.image_board import ImageBoard
from honed.index.images import Descriptors
from honed.protocols import ImageEncoder
from honed.types import SPLITS, ImageRecord, Split


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Pictures with their splits, their records, and their raw descriptors [n, d]."""

    task: ImageTask
    records: tuple[ImageRecord, ...]
    descriptors: Descriptors

    def board(self, split: Split, metric: str) -> ImageBoard:
        """Each picture of a split asks for the others of its group, among all."""
        every = self.task.everything
        asking = self.task.places(split)
        return ImageBoard(every.ids, every.groups, every.variants, asking, self.task.phashes, self.task.medias, metric)

    def of(self, split: Split) -> Descriptors:
        """Descriptors of the pictures of a split."""
        return self.descriptors[self.task.places(split)]

    def medias(self, split: Split) -> list[str]:
        """Names of the renderings of the pictures of a split."""
        return [self.records[place].media for place in self.task.places(split).tolist()]

    @property
    def digest(self) -> str:
        """Fingerprint of the pictures, their splits and groups, and what the encoder says of them."""
        task = self.task
        digest = hashlib.sha256(repr(task.everything.ids).encode())
        for split in SPLITS:
            pictures = task.splits[split]
            digest.update(repr((pictures.ids, pictures.groups.tolist(), pictures.variants)).encode())
        digest.update(self.descriptors.tobytes() + task.phashes.tobytes() + task.medias.tobytes())
        return digest.hexdigest()


def load_gallery(catalog: Catalog, encoder: ImageEncoder, task: ImageTask) -> Gallery:
    """The pictures of a task with the descriptors that the catalog keeps of them; every one has to be described."""
    rowids = task.everything.rowids
    if not len(rowids):
        return Gallery(task, (), np.empty((0, encoder.dimension), np.float32))
    described, descriptors = images.descriptors(catalog, encoder.space, rowids)
    assert np.array_equal(described, rowids), "every picture was described a moment ago"
    records = images.by_rowid(catalog, rowids)
    return Gallery(task, tuple(records[rowid] for rowid in rowids.tolist()), descriptors)
