"""What a run on words opens once: texts about the train pictures, and their vectors by the towers that read them live."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.dataset.image_questions import caption_pairs
from honed.errors import UsageError
from honed.evaluate.gallery import Gallery
from honed.index.images import ImageSpace
from honed.models.runtime import cores
from honed.models.vision.words import own_matrix, text_vectors
from honed.protocols import Embedder
from honed.release.manifest import CAPTIONS_ALONE, IMAGE_RETRIEVER, RETRIEVER, TEXT_TO_IMAGE, Part
from honed.roles.text_to_image.plan import make_plan
from honed.roles.text_to_image.recipe import TextRecipe
from honed.roles.text_to_image.snapshot import Snapshot
from honed.roles.text_to_image.training import TextContext, tune_text
from honed.session import Session
from honed.tuning.candidate import Candidate
from honed.tuning.plan import Clock, Plan, Stage
from honed.tuning.role import Progress, Work
from honed.types import Vectors

_TIMED = 64
"""Texts whose encoding is timed."""


class Models:
    """What the stage learns from.

    Attributes:
        texts: [p] what is said of train pictures.
        pictures: [p] the train picture of each.
    """

    def __init__(self, session: Session, snapshot: Snapshot, tell: Progress, recipe: TextRecipe | None = None) -> None:
        self.session, self.snapshot, self.tell = session, snapshot, tell
        threads = cores(session.settings.threads)
        self.recipe = replace(recipe or TextRecipe(), seed=session.settings.seed, threads=threads)
        self.texts, self.pictures = caption_pairs(self._gallery.task.splits["train"], seed=self.recipe.seed)
        if not self.texts:
            raise UsageError(
                "No train picture has a caption.", hint="captions come from file names, alt text, or a pack"
            )

    def experiment(self) -> dict[str, Any]:
        """All that the result depends on, but for how many threads compute it."""
        snapshot, splits = self.snapshot, self._gallery.task.splits.values()
        annotations = [(pictures.titles, pictures.keywords) for pictures in splits]
        settings = asdict(self.session.settings) | asdict(self.recipe)
        settings.pop("threads")
        return {
            "data": self._gallery.digest,
            "words": hashlib.sha256(repr(annotations).encode()).hexdigest(),
            "space": snapshot.asking.encoder.space,
            "head": snapshot.head.key,
            "text": snapshot.release.space,
            "live": sorted(snapshot.release.files.items()),
            "retrieval": snapshot.release.retrieval.as_dict(),
            "metric": snapshot.test.metric,
            "settings": repr(sorted(settings.items())),
            "version": version("honed"),
        }

    def plan(self, clock: Clock) -> Plan:
        """Measure the text tower on a few of the texts and fit the others into the budget."""
        distinct = list(dict.fromkeys(self.texts))
        sample = distinct[:: max(1, len(distinct) // _TIMED)][:_TIMED]
        started = time.monotonic()
        self._vectors(sample)
        return make_plan(clock, len(sample) / max(time.monotonic() - started, 1e-6), len(distinct))

    def run_stage(self, stage: Stage, work: Work) -> Candidate:
        """Encode as many texts as the plan says, then learn in what is left."""
        options = stage.options
        texts, pictures = self._encoded(options["texts"])
        dev, titles = self.snapshot.dev, self.snapshot.dev_titles
        context = TextContext(
            head=self.snapshot.head,
            train=self._gallery.of("train"),
            texts=texts,
            pictures=pictures,
            gallery=dev.descriptors,
            questions=dev.texts,
            board=dev.board,
            folder=work.folder,
            recipe=self.recipe,
            tell=work.tell,
            titles=(titles.board, titles.texts),
            prior=own_matrix(self._embedder, self.snapshot.asking.encoder, self.snapshot.head),
        )
        left = max(1.0, work.seconds - options["encode_seconds"])
        return tune_text(context, min(options["train_seconds"], left))

    def parts(self, candidate: Candidate) -> Mapping[str, Part]:
        """The text matrix and its numbers; with them the image side that they are for, where no release has one yet."""
        snapshot, encoder = self.snapshot, self.snapshot.asking.encoder
        self.session.catch_up_images(encoder, snapshot.head, tell=self.tell)  # with what came since
        image = snapshot.release.parts.get(IMAGE_RETRIEVER)
        new: dict[str, Part] = {}
        if image is None:
            values = {"encoder": self.session.settings.image_encoder, "space": encoder.space, "neighbours": 0}
            image = new[IMAGE_RETRIEVER] = Part(values, key=ImageSpace(encoder.space, snapshot.head).key)
        needs = {RETRIEVER: snapshot.release.space, IMAGE_RETRIEVER: image.key}
        new[TEXT_TO_IMAGE] = Part(candidate.values, candidate.files, needs=needs, otherwise=CAPTIONS_ALONE)
        return new

    @property
    def _gallery(self) -> Gallery:
        return self.snapshot.asking.gallery

    @property
    def _embedder(self) -> Embedder:
        return self.snapshot.asking.retriever.embedder

    def _vectors(self, texts: list[str]) -> Vectors:
        return text_vectors(self._embedder, self.snapshot.asking.encoder, texts)

    def _encoded(self, count: int) -> tuple[Vectors, NDArray[np.int64]]:
        """Vectors of so many different texts, evenly drawn, each encoded once, and their pictures."""
        distinct = list(dict.fromkeys(self.texts))
        kept = {distinct[row] for row in np.linspace(0, len(distinct) - 1, count).astype(int).tolist()}
        chosen = [row for row, text in enumerate(self.texts) if text in kept]
        place = {text: at for at, text in enumerate(dict.fromkeys(self.texts[row] for row in chosen))}
        vectors = self._vectors(list(place))
        return vectors[[place[self.texts[row]] for row in chosen]], self.pictures[chosen]
