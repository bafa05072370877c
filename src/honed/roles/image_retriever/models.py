"""What a run on pictures opens once and every stage uses: pictures as the encoder takes them, encoders of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.index.images import Descriptors, ImageSpace
from honed.ingest.describe import open_rendering
from honed.models.runtime import cores
from honed.models.vision.encoder import LocalImageEncoder, map_widths
from honed.models.vision.folder import read_encoder_folder
from honed.protocols import ImageEncoder
from honed.release.build import part_of
from honed.release.manifest import IMAGE_RETRIEVER, Part
from honed.roles.image_retriever.plan import ImageSize, make_plan, measure_speed
from honed.roles.image_retriever.recipe import ImageRecipe
from honed.roles.image_retriever.snapshot import Snapshot
from honed.roles.image_retriever.training import ENCODER, Trainee, TrainingContext, head_of, neighbours_of
from honed.session import Session
from honed.tuning.candidate import Candidate
from honed.tuning.plan import Clock, Plan
from honed.tuning.role import Progress
from honed.types import ImageRecord

_BLOCK = 512  # pictures decoded at a time: 40 MB at 160 pixels


class Models:
    """The parts of one run that cost time to make; each is made once."""

    def __init__(self, session: Session, snapshot: Snapshot, tell: Progress, recipe: ImageRecipe | None = None) -> None:
        self.session, self.snapshot, self.tell = session, snapshot, tell
        threads = cores(session.settings.threads)
        self.recipe = replace(recipe or ImageRecipe(), seed=session.settings.seed, threads=threads)
        self._encoders: dict[Path, LocalImageEncoder] = {}
        self._descriptors: dict[Path, Descriptors] = {}

    def experiment(self) -> dict[str, Any]:
        """All that the result depends on, but for how many threads compute it."""
        snapshot = self.snapshot
        settings = asdict(self.session.settings) | asdict(self.recipe)
        settings.pop("threads")
        return {
            "data": snapshot.gallery.digest,
            "space": snapshot.live.encoder.space,
            "head": snapshot.live.head.key,
            "live": snapshot.release.release,
            "metric": snapshot.test.metric,
            "settings": repr(sorted(settings.items())),
            "version": version("honed"),
        }

    def plan(self, clock: Clock) -> Plan:
        """Measure this machine on the user's own pictures, and fit the stages into the budget."""
        self.tell("measuring this machine")
        with TemporaryDirectory(prefix="honed-") as scratch:
            context = self.training(Path(scratch), self.tell)
            speed = measure_speed(context)
        return make_plan(clock, speed, ImageSize.of(context), self.recipe)

    def training(self, folder: Path, tell: Progress) -> TrainingContext:
        """What a stage works with, and the folder that it writes to."""
        gallery = self.snapshot.gallery
        return TrainingContext(
            gallery=gallery.descriptors,
            rows=gallery.task.places("train"),
            groups=gallery.task.splits["train"].groups,
            board=self.snapshot.board("dev"),
            folder=folder,
            recipe=self.recipe,
            tell=tell,
            parts=map_widths(self.snapshot.live.encoder),
            trainee=self._trainee,
        )

    @cached_property
    def _trainee(self) -> Trainee | None:
        """The encoder with the train pictures, decoded; None for an encoder that cannot learn."""
        encoder, gallery = self.snapshot.live.encoder, self.snapshot.gallery
        if not isinstance(encoder, LocalImageEncoder):
            return None
        return Trainee(
            encoder.tower,
            self._pixels(encoder, [gallery.records[place] for place in gallery.task.places("train").tolist()]),
            lambda folder, pixels: self._opened(folder).encode_pixels(pixels),
            self._described,
        )

    def encoder(self, candidate: Candidate) -> ImageEncoder:
        """The encoder that a candidate ships, through the runtime that will serve it."""
        return self._opened(candidate.files[ENCODER]) if ENCODER in candidate.files else self.snapshot.live.encoder

    def descriptors(self, candidate: Candidate) -> Descriptors:
        """Raw descriptors of all pictures by a candidate's encoder."""
        if ENCODER in candidate.files:
            return self._described(candidate.files[ENCODER])
        return self.snapshot.gallery.descriptors

    def part(self, candidate: Candidate) -> Part:
        """What a release with this candidate pins; all pictures are described and indexed under it."""
        live, encoder, head = self._live_part, self.encoder(candidate), head_of(candidate)
        files = {name: path for name, path in live.files.items() if name == ENCODER} | dict(candidate.files)
        values = {
            "encoder": live.values.get("encoder", self.session.settings.image_encoder),
            "space": encoder.space,
            "neighbours": neighbours_of(candidate),
        }
        self.session.catch_up_images(encoder, head, tell=self.tell)  # with what came since
        return Part(values, files, ImageSpace(encoder.space, head).key)

    @property
    def _live_part(self) -> Part:
        return part_of(self.session.workspace, self.snapshot.release, IMAGE_RETRIEVER)

    def _described(self, folder: Path) -> Descriptors:
        """Raw descriptors of all pictures by the encoder in a folder, decoded some at a time; each folder is read once."""
        if folder not in self._descriptors:
            encoder, records = self._opened(folder), self.snapshot.gallery.records
            blocks = (records[start : start + _BLOCK] for start in range(0, len(records), _BLOCK))
            self._descriptors[folder] = np.concatenate(
                [encoder.encode_pixels(self._pixels(encoder, block)) for block in blocks]
            )
        return self._descriptors[folder]

    def _pixels(self, encoder: LocalImageEncoder, records: Sequence[ImageRecord]) -> NDArray[np.uint8]:
        """Pictures [n, side, side, 3], prepared for an encoder."""
        workspace = self.session.workspace
        with ThreadPoolExecutor(2, thread_name_prefix="decode") as pool:
            return np.stack(
                list(pool.map(lambda record: encoder.prepare(open_rendering(workspace, record.media)), records))
            )

    def _opened(self, folder: Path) -> LocalImageEncoder:
        if folder not in self._encoders:
            settings, cache = self.session.settings, self.session.workspace.cache
            tower = read_encoder_folder(folder)
            self._encoders[folder] = LocalImageEncoder(tower, cache_dir=cache, threads=settings.threads)
        return self._encoders[folder]
