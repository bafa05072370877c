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
from honed.tuning.nouns import Gallery, ImageGround, Tell

if TYPE_CHECKING:  # torch is loaded by tuning alone
    from honed.roles.image_retriever.bench import ImageBench, ImageRecipe, Trainee
    from honed.roles.image_retriever.candidate import ImageCandidate
    from honed.roles.image_retriever.plan import ImagePlan


class Studio:
    """What a turn opens once: the pictures as the encoder takes them, and the encoders of candidates."""

    def __init__(self, session: Session, ground: ImageGround, tell: Tell, recipe: ImageRecipe | None) -> None:
        from honed.roles.image_retriever.bench import ImageRecipe

        threads = cores(session.settings.threads)
        self.recipe = replace(recipe or ImageRecipe(), seed=session.settings.seed, threads=threads)
        self._session, self._ground, self._tell = session, ground, tell
        self._encoders: dict[Path, LocalImageEncoder] = {}

    def plan(self, budget: float, started: float) -> ImagePlan:
        """Measure the machine and fit the rungs into the budget, part of which is spent since `started`."""
        from honed.roles.image_retriever.plan import ImageSize, measure_images, plan_images

        self._tell("measuring this machine")
        total = sum(images.counts(self._session.catalog).values())
        with TemporaryDirectory(prefix="honed-") as scratch:
            bench = self.bench(Path(scratch))
            speed = measure_images(bench)
        spent = time.monotonic() - started
        return plan_images(budget, spent, speed, ImageSize.of(bench, total), self.recipe)

    def bench(self, folder: Path) -> ImageBench:
        """The bench of a run."""
        from honed.roles.image_retriever.bench import ImageBench

        train, dev = self._ground.galleries["train"], self._ground.galleries["dev"]
        return ImageBench(
            train=train.descriptors,
            groups=train.board.groups,
            dev=dev.descriptors,
            board=dev.board,
            folder=folder,
            recipe=self.recipe,
            tell=self._tell,
            parts=map_widths(self._ground.encoder),
            trainee=self._trainee,
        )

    @cached_property
    def _trainee(self) -> Trainee | None:
        """The encoder with its pictures, decoded; None for an encoder that cannot learn."""
        from honed.roles.image_retriever.bench import Trainee

        encoder, galleries = self._ground.encoder, self._ground.galleries
        if not isinstance(encoder, LocalImageEncoder):
            return None
        return Trainee(
            encoder.tower,
            self._pixels(encoder, galleries["train"]),
            self._pixels(encoder, galleries["dev"]),
            lambda folder, pixels: self._opened(folder).encode_pixels(pixels),
        )

    def encoder(self, candidate: ImageCandidate) -> ImageEncoder:
        """The encoder that a candidate ships, through the runtime that will serve it."""
        return self._opened(candidate.encoder_folder) if candidate.encoder_folder else self._ground.encoder

    def descriptors(self, candidate: ImageCandidate, gallery: Gallery) -> NDArray[np.float32]:
        """Raw descriptors of a gallery by a candidate's encoder."""
        if candidate.encoder_folder is None:
            return gallery.descriptors
        encoder = self._opened(candidate.encoder_folder)
        return encoder.encode_pixels(self._pixels(encoder, gallery))

    def _pixels(self, encoder: LocalImageEncoder, gallery: Gallery) -> NDArray[np.uint8]:
        """The pictures of a gallery [n, side, side, 3], prepared for an encoder."""
        workspace = self._session.workspace
        medias = [record.media for record in gallery.records]
        with ThreadPoolExecutor(2, thread_name_prefix="decode") as pool:
            return np.stack(list(pool.map(lambda media: encoder.prepare(open_rendering(workspace, media)), medias)))

    def _opened(self, folder: Path) -> LocalImageEncoder:
        if folder not in self._encoders:
            settings, cache = self._session.settings, self._session.workspace.cache
            tower = read_encoder_folder(folder)
            self._encoders[folder] = LocalImageEncoder(tower, cache_dir=cache, threads=settings.threads)
        return self._encoders[folder]
