"""The role that draws new pictures from retrieved ones: a painter of its own, or a LoRA for a pipeline of diffusers.

A painter has to beat the last release's on held-out pictures, and retrieval has to matter: what is drawn from retrieved
references must be nearer to the truth than what the same painter draws from random ones, and must not be a copy of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from honed.errors import UsageError
from honed.evaluate.gate import SUPERIOR
from honed.evaluate.metrics import MetricShape
from honed.release.manifest import IMAGE_GENERATOR, RETRIEVER, Part
from honed.roles.image_generator.distance import LIKENESS, PIXELS
from honed.session import Session
from honed.tuning.candidate import Candidate
from honed.tuning.plan import Clock, Plan, Stage
from honed.tuning.role import DataCard, Evaluation, Measurement, Progress, Rankings, Work, each_split

if TYPE_CHECKING:  # torch is loaded by drawing alone
    from honed.models.painter.config import PainterConfig
    from honed.roles.image_generator.context import TrainingContext
    from honed.roles.image_generator.snapshot import Snapshot
    from honed.roles.image_generator.train import PaintRecipe

WORDLESS = "Pictures are drawn from references and style alone until `honed tune --role image-generator`."
"""What is said when a release has another document tower than the one that its painter learned words with."""


class ImageGenerator:
    """See `tuning.role.Role`."""

    name = IMAGE_GENERATOR
    packages = ("torch",)
    metrics = (LIKENESS, PIXELS)
    metric_shape = MetricShape(LIKENESS, f"{LIKENESS}, which alone may decide")
    criterion = SUPERIOR

    def __init__(self, recipe: PaintRecipe | None = None, config: PainterConfig | None = None) -> None:
        """Take how a compact painter learns, and its shape; None for the defaults, and the shape of the live one."""
        self.recipe, self.config = recipe, config

    def snapshot(self, session: Session, metric: str, tell: Progress) -> Snapshot:
        """Read the pictures, find their references, and open what draws now."""
        from honed.roles.image_generator.learners import default_config
        from honed.roles.image_generator.snapshot import take_snapshot

        config = self.config or default_config(self._recipe)
        return take_snapshot(session, config, metric, tell, forced=self.config is not None)

    def prepare(self, session: Session, snapshot: Snapshot, tell: Progress) -> TrainingContext:
        """Open who learns and who judges."""
        from honed.roles.image_generator.context import open_context

        return open_context(session, snapshot, self._recipe)

    def plan(self, context: TrainingContext, clock: Clock) -> Plan:
        """Measure steps and drawings a second on the user's own pictures."""
        return context.learner.plan(clock)

    def experiment(self, context: TrainingContext) -> Mapping[str, Any]:
        """Pictures, words, references, shape, recipe, judge, settings."""
        return context.experiment()

    def run_stage(
        self, context: TrainingContext, stage: Stage, before: Sequence[Candidate], work: Work
    ) -> Candidate | None:
        """There is one stage: train, and let dev pick how the painter draws."""
        from honed.roles.image_generator.stages import run_stage

        return run_stage(context, stage, work)

    def evaluate(self, context: TrainingContext, plan: Plan, candidate: Candidate) -> Evaluation:
        """Candidate and what is live draw the test, with the same noise."""
        from honed.roles.image_generator.evaluation import evaluated

        return evaluated(context, plan, candidate)

    def ship(self, context: TrainingContext, candidate: Candidate, folder: Path) -> Mapping[str, Part]:
        """The painter's folder; with another document tower it draws on, without words."""
        words = context.learner.words
        needs = {RETRIEVER: words} if words else {}
        return {
            IMAGE_GENERATOR: Part(files=candidate.files, needs=needs, otherwise=WORDLESS if words else "", lasts=True)
        }

    def data_card(self, context: TrainingContext, candidate: Candidate) -> DataCard:
        """Pictures, styles, and how many of test may be drawn."""
        collection, test = context.collection, context.snapshot.test
        groups = len(np.unique(test.clusters))
        return DataCard(
            test_set=f"test, {len(test.questions):,} of {collection.sizes['test']:,} pictures, in {groups:,} groups",
            labels="pictures",
            rows={
                "pictures": each_split(collection.sizes),
                "styles": ", ".join(collection.styles) or "none",
                "labels": "the true pictures, which no drawing has seen",
            },
            digests={context.snapshot.baseline.name: context.snapshot.live.name} if context.snapshot.live else {},
        )

    def measure(self, session: Session, system: str, split: str, metric: str) -> Measurement:
        """A release's painter, on dev or test."""
        from honed.roles.image_generator.systems import measured

        return measured(session, system, split, metric)

    def rankings(self, session: Session, system: str, split: str, depth: int) -> Rankings:
        """Refused: there is nothing to rank.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            "An image generator ranks nothing.", hint="honed evaluate --role image-generator, or another --role"
        )

    @property
    def _recipe(self) -> PaintRecipe:
        from honed.roles.image_generator.train import PaintRecipe

        return self.recipe or PaintRecipe()
