"""What a turn on pictures builds once and every rung uses: plan, bench, pictures as pixels, encoders of candidates."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from honed.catalog import images
from honed.ingest.describe import open_rendering
from honed.models.runtime import cores
from honed.models.vision.encoder import LocalImageEncoder, map_widths
from honed.models.vision.folder import read_encoder_folder
from honed.protocols import ImageEncoder
from honed.session import Session
from honed.tuning.nouns import ImageGround, Tell

if TYPE_CHECKING:  # torch is loaded by tuning alone
    from honed.roles.image_retriever.bench import ImageBench, ImageRecipe, Trainee
    from honed.roles.image_retriever.candidate import ImageCandidate
    from honed.roles.image_retriever.plan import ImagePlan

_BLOCK = 512  # pictures decoded at a time: 40 MB at 160 pixels


class Studio:
    """What a turn opens once: the pictures as the encoder takes them, and the encoders of candidates."""

    def __init__(self, session: Session, ground: ImageGround, tell: Tell, recipe: ImageRecipe | None) -> None:
        from honed.roles.image_retriever.bench import ImageRecipe

        threads = cores(session.settings.threads)
        self.recipe = replace(recipe or ImageRecipe(), seed=session.settings.seed, threads=threads)
        self._session, self._ground, self._tell = session, ground, tell
        self._encoders: dict[Path, LocalImageEncoder] = {}
        self._descriptors: dict[Path, NDArray[np.float32]] = {}

    def plan(self, budget: float, started: float) -> ImagePlan:
        """Measure the machine and fit the rungs into the budget, part of which is spent since `started`."""
        from honed.roles.image_retriever.plan import ImageSize, measure_images, plan_images

        self._tell("measuring this machine")
        with TemporaryDirectory(prefix="honed-") as scratch:
            bench = self.bench(Path(scratch))
            speed = measure_images(bench)
        return plan_images(budget, time.monotonic() - started, speed, ImageSize.of(bench), self.recipe)

    def bench(self, folder: Path) -> ImageBench:
        """The bench of a run."""
        from honed.roles.image_retriever.bench import ImageBench

        gallery = self._ground.gallery
        return ImageBench(
            gallery=gallery.descriptors,
            rows=gallery.task.places("train"),
            groups=gallery.task.splits["train"].groups,
            board=gallery.board("dev"),
            folder=folder,
            recipe=self.recipe,
            tell=self._tell,
            parts=map_widths(self._ground.encoder),
            trainee=self._trainee,
        )

    @cached_property
    def _trainee(self) -> Trainee | None:
        """The encoder with the train pictures, decoded; None for an encoder that cannot learn."""
        from honed.roles.image_retriever.bench import Trainee

        encoder, task = self._ground.encoder, self._ground.gallery.task
        if not isinstance(encoder, LocalImageEncoder):
            return None
        return Trainee(
            encoder.tower,
            self._pixels(encoder, task.splits["train"].rowids),
            lambda folder, pixels: self._opened(folder).encode_pixels(pixels),
            self._described,
        )

    def encoder(self, candidate: ImageCandidate) -> ImageEncoder:
        """The encoder that a candidate ships, through the runtime that will serve it."""
        return self._opened(candidate.encoder_folder) if candidate.encoder_folder else self._ground.encoder

    def descriptors(self, candidate: ImageCandidate) -> NDArray[np.float32]:
        """Raw descriptors of all pictures by a candidate's encoder."""
        folder = candidate.encoder_folder
        return self._described(folder) if folder else self._ground.gallery.descriptors

    def _described(self, folder: Path) -> NDArray[np.float32]:
        """Raw descriptors of all pictures by the encoder in a folder, decoded some at a time; each folder is read once."""
        if folder not in self._descriptors:
            encoder, rowids = self._opened(folder), self._ground.gallery.task.everything.rowids
            blocks = np.array_split(rowids, -(-len(rowids) // _BLOCK))
            self._descriptors[folder] = np.concatenate(
                [encoder.encode_pixels(self._pixels(encoder, block)) for block in blocks]
            )
        return self._descriptors[folder]

    def _pixels(self, encoder: LocalImageEncoder, rowids: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pictures [n, side, side, 3], prepared for an encoder."""
        workspace = self._session.workspace
        records = images.by_rowid(self._session.catalog, rowids)
        medias = [records[rowid].media for rowid in rowids.tolist()]
        with ThreadPoolExecutor(2, thread_name_prefix="decode") as pool:
            return np.stack(list(pool.map(lambda media: encoder.prepare(open_rendering(workspace, media)), medias)))

    def _opened(self, folder: Path) -> LocalImageEncoder:
        if folder not in self._encoders:
            settings, cache = self._session.settings, self._session.workspace.cache
            tower = read_encoder_folder(folder)
            self._encoders[folder] = LocalImageEncoder(tower, cache_dir=cache, threads=settings.threads)
        return self._encoders[folder]
