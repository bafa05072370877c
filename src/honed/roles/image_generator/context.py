"""What the stage of a run on drawings works with: who learns, who judges, and the held-out pictures to draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from honed.models.runtime import cores
from honed.models.vision.folder import JUDGE_SHA256
from honed.roles.image_generator.collection import Collection
from honed.roles.image_generator.held_out import Targets, real_threshold
from honed.roles.image_generator.learners import Learner, open_compact
from honed.roles.image_generator.perceptual import PerceptualFeatures
from honed.roles.image_generator.pictures import by_lot
from honed.roles.image_generator.snapshot import Snapshot
from honed.roles.image_generator.train import PaintRecipe
from honed.session import Session
from honed.types import Split

REAL_PICTURES = 600
"""Train pictures whose distances to their references say what a near-copy is."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingContext:
    """One run's pictures, learner and judge.

    Attributes:
        judge: Who measures the drawings; no painter is trained by it.
        threshold: Distance below which a drawing is nearly a copy.
    """

    session: Session
    snapshot: Snapshot
    learner: Learner
    judge: PerceptualFeatures
    threshold: float

    @property
    def collection(self) -> Collection:
        """The pictures."""
        return self.snapshot.collection

    def targets(self, split: Split, count: int) -> Targets:
        """So many held-out pictures, by lot; random references come from all of the split that may be drawn."""
        rows, seed = self.collection.rows[split], self.session.settings.seed
        return Targets(self.collection.pictures, by_lot(rows, count, seed), rows, self.threshold, seed)

    def experiment(self) -> Mapping[str, Any]:
        """All that the result depends on: pictures, words, references, learner, judge, settings."""
        settings = self.session.settings
        return {
            "data": self.collection.digest,
            **self.learner.key,
            "judge": JUDGE_SHA256,
            "gate": [settings.min_gain, settings.max_slice_drop],
            "test": settings.test,
            "version": version("honed"),
        }


def open_context(session: Session, snapshot: Snapshot, recipe: PaintRecipe) -> TrainingContext:
    """Open learner and judge.

    Raises:
        UsageError: What is configured cannot be tuned.
        MissingError: The weights of the network that judges are not installed.
    """
    judge, seed = PerceptualFeatures.judge(device=recipe.device), session.settings.seed
    learner: Learner
    if snapshot.config is None:
        from honed.roles.image_generator.pipeline import open_pipeline_learner

        learner = open_pipeline_learner(session, snapshot)
    else:
        recipe = replace(recipe, seed=seed, threads=cores(session.settings.threads))
        learner = open_compact(session, snapshot, recipe, judge)
    train, pictures = snapshot.collection.rows["train"], snapshot.collection.pictures
    sample = np.random.default_rng(seed).choice(train, min(REAL_PICTURES, len(train)), replace=False)
    return TrainingContext(session, snapshot, learner, judge, real_threshold(pictures, sample, judge))
