"""The data of a run on words that look for pictures: questions, what answers them now, and the baseline.

A question is made of keywords that a picture's title lacks, and is put to live search as it is: with all titles and keywords
(see `dataset.image_questions`). Dev picks, and the verdict is passed, under what ships; what search would find if it knew less
is told beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from honed.dataset.image_questions import TextQueries
from honed.dataset.images import take
from honed.evaluate.ledger import TestSet
from honed.models.vision.head import ImageHead
from honed.release.build import live_manifest
from honed.release.manifest import Manifest
from honed.release.open import image_head_of
from honed.roles.text_to_image.asking import Asked, Asking, open_asking
from honed.roles.text_to_image.systems import (
    System,
    caption_systems,
    load_questions,
    release_system,
    test_set,
    untuned_system,
)
from honed.session import Session
from honed.tuning.role import Baseline, DataCard, each_split
from honed.types import Split

LEAST_TEST = 10
"""Questions of a split below which no verdict is attempted."""


@dataclass(frozen=True)
class Snapshot:
    """Where a run starts from.

    Attributes:
        asking: What is live, ready to be asked.
        queries: The questions of every split.
        head: What pictures pass through; it stays.
        systems: What could be the baseline, the live release first where it was tuned for words, so that it wins a tie.
        test: The held-out questions as the ledger knows them.
        release: The live release.
    """

    asking: Asking
    queries: Mapping[Split, TextQueries]
    head: ImageHead
    systems: tuple[System, ...]
    test: TestSet
    release: Manifest
    notes: tuple[str, ...]

    @property
    def dev_clusters(self) -> NDArray[np.int64]:
        """[queries] label of each dev question's cluster."""
        return self.queries["dev"].clusters

    @cached_property
    def dev(self) -> Asked:
        """The dev questions, put to live search."""
        return self.asking.under(self.asking.questions("dev", self.queries["dev"]))

    @cached_property
    def dev_titles(self) -> Asked:
        """Questions that are titles, of dev."""
        return self.asking.under(self.asking.titles("dev"))

    @cached_property
    def baseline(self) -> Baseline:
        """The strongest on dev of captions alone, of what is live, and of a CLIP's own words."""
        metric = self.test.metric
        means = {
            system.name: float(np.nanmean(self.dev.board.scores(system.scores(self.dev))[metric]))
            for system in self.systems
        }
        return Baseline(max(means, key=lambda name: means[name]), means)


def take_snapshot(session: Session, metric: str) -> Snapshot:
    """Read captions and descriptors, and open what could be the baseline.

    Raises:
        UsageError: Nothing is said of the pictures, or there are too few questions to measure with.
        MissingError: The image encoder is not installed.
    """
    task, queries = load_questions(session, least=LEAST_TEST, splits=("dev", "test"))
    take(session.catalog, task)
    manifest = live_manifest(session.workspace, session.catalog)
    asking = open_asking(session, manifest, task, metric)
    live, untuned = release_system(session, asking, manifest), untuned_system(session, asking, manifest)
    systems = caption_systems(manifest.retrieval) + ((untuned,) if untuned else ())
    return Snapshot(
        asking,
        queries,
        image_head_of(session.workspace, manifest, asking.encoder),
        (live, *systems) if live.head else systems,
        test_set(asking, "test", queries, fresh_only=session.settings.test == "fresh"),
        manifest,
        task.notes,
    )


def data_card(snapshot: Snapshot) -> DataCard:
    """What the report says of the data."""
    task = snapshot.asking.gallery.task
    counts = {split: len(pictures) for split, pictures in task.splits.items()}
    asked: dict[Split, int] = {split: len(snapshot.queries[split].texts) for split in ("dev", "test")}
    return DataCard(
        test_set=(
            f"test, {asked['test']:,} questions about {counts['test']:,} pictures, "
            f"looking among {len(task.everything):,}"
        ),
        labels="keywords",
        rows={
            "pictures": each_split(counts),
            "questions": each_split(asked),
            "labels": "keywords that a picture's title lacks; search knows all words, as it does live",
        },
        digests={snapshot.baseline.name: snapshot.asking.retriever.embedder.space[:12]},
    )
