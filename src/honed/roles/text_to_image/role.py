"""The role that finds pictures by words: a text matrix, its weight against captions, and how many captions lead.

Text, encoder and what pictures pass through stay as they are in the live release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from honed.evaluate.gate import SUPERIOR
from honed.evaluate.image_board import IMAGE_METRICS, TEXT_METRIC
from honed.evaluate.metrics import PICTURE_METRIC, reported
from honed.release.manifest import TEXT_TO_IMAGE, Part
from honed.roles.text_to_image.snapshot import Snapshot, data_card, take_snapshot
from honed.roles.text_to_image.systems import measured, rankings
from honed.session import Session
from honed.tuning.candidate import Candidate
from honed.tuning.plan import Clock, Plan, Stage
from honed.tuning.role import DataCard, Evaluation, Measurement, Progress, Rankings, Work

if TYPE_CHECKING:  # torch is loaded by tuning alone
    from honed.roles.text_to_image.models import Models
    from honed.roles.text_to_image.recipe import TextRecipe


class TextToImage:
    """See `tuning.role.Role`."""

    name = TEXT_TO_IMAGE
    packages = ("torch",)
    metrics = reported(TEXT_METRIC, IMAGE_METRICS)
    metric_shape = PICTURE_METRIC
    criterion = SUPERIOR

    def __init__(self, recipe: TextRecipe | None = None) -> None:
        self.recipe = recipe

    def snapshot(self, session: Session, metric: str, tell: Progress) -> Snapshot:
        """Make the questions; the baseline is the best of captions alone, what is live, and a CLIP's own words."""
        return take_snapshot(session, metric)

    def prepare(self, session: Session, snapshot: Snapshot, tell: Progress) -> Models:
        """Collect what is said of train pictures."""
        from honed.roles.text_to_image.models import Models

        return Models(session, snapshot, tell, self.recipe)

    def plan(self, context: Models, clock: Clock) -> Plan:
        """Measure texts a second."""
        return context.plan(clock)

    def experiment(self, context: Models) -> Mapping[str, Any]:
        """Pictures, words, models, recipe, settings."""
        return context.experiment()

    def run_stage(self, context: Models, stage: Stage, before: Sequence[Candidate], work: Work) -> Candidate | None:
        """There is one."""
        return context.run_stage(stage, work)

    def evaluate(self, context: Models, plan: Plan, candidate: Candidate) -> Evaluation:
        """Every test question, put to search as it ships and as if it knew less."""
        from honed.roles.text_to_image.evaluation import evaluated

        return evaluated(context, candidate)

    def ship(self, context: Models, candidate: Candidate, folder: Path) -> Mapping[str, Part]:
        """The text matrix and its numbers."""
        return context.parts(candidate)

    def data_card(self, context: Models, candidate: Candidate) -> DataCard:
        """Pictures and questions."""
        return data_card(context.snapshot)

    def measure(self, session: Session, system: str, split: str, metric: str) -> Measurement:
        """A release, captions alone, or a CLIP that nobody tuned."""
        return measured(session, system, split, metric)

    def rankings(self, session: Session, system: str, split: str, depth: int) -> Rankings:
        """The pictures that every question finds."""
        return rankings(session, system, split, depth)
