"""The role that finds pictures by a picture: whitening, discriminant, learned head, last blocks, expansion, under one gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from honed.evaluate.gate import SUPERIOR
from honed.evaluate.image_board import IMAGE_METRICS
from honed.evaluate.metrics import PICTURE_METRIC
from honed.release.manifest import IMAGE_RETRIEVER, Part
from honed.roles.image_retriever.snapshot import Snapshot, data_card, take_snapshot
from honed.roles.image_retriever.systems import measured, rankings
from honed.session import Session
from honed.tuning.candidate import Candidate
from honed.tuning.plan import Clock, Plan, Stage
from honed.tuning.role import DataCard, Evaluation, Measurement, Progress, Rankings, Work

if TYPE_CHECKING:  # torch is loaded by tuning alone
    from honed.roles.image_retriever.models import Models
    from honed.roles.image_retriever.recipe import ImageRecipe


class ImageRetriever:
    """See `tuning.role.Role`."""

    name = IMAGE_RETRIEVER
    packages = ("torch", "pytorch_metric_learning")
    metrics = IMAGE_METRICS
    metric_shape = PICTURE_METRIC
    criterion = SUPERIOR

    def __init__(self, recipe: ImageRecipe | None = None) -> None:
        self.recipe = recipe

    def snapshot(self, session: Session, metric: str, tell: Progress) -> Snapshot:
        """Read groups and descriptors; the baseline is the better of what is live and the untuned encoder."""
        return take_snapshot(session, metric)

    def prepare(self, session: Session, snapshot: Snapshot, tell: Progress) -> Models:
        """Nothing is opened before a stage wants it."""
        from honed.roles.image_retriever.models import Models

        return Models(session, snapshot, tell, self.recipe)

    def plan(self, context: Models, clock: Clock) -> Plan:
        """Measure pictures a second, in training and in encoding."""
        return context.plan(clock)

    def experiment(self, context: Models) -> Mapping[str, Any]:
        """Pictures, groups, descriptors, head, recipe, settings."""
        return context.experiment()

    def run_stage(self, context: Models, stage: Stage, before: Sequence[Candidate], work: Work) -> Candidate | None:
        """The closed forms start from the descriptors, the last two stages from the best so far."""
        from honed.roles.image_retriever.stages import run_stage

        return run_stage(context.training(work.folder, work.tell), stage, before, work.seconds)

    def evaluate(self, context: Models, plan: Plan, candidate: Candidate) -> Evaluation:
        """Every test picture asks for the others of its group."""
        from honed.roles.image_retriever.evaluation import evaluated

        return evaluated(context, candidate)

    def ship(self, context: Models, candidate: Candidate, folder: Path) -> Mapping[str, Part]:
        """Head, encoder and expansion; all pictures are indexed in their space."""
        return {IMAGE_RETRIEVER: context.part(candidate)}

    def data_card(self, context: Models, candidate: Candidate) -> DataCard:
        """Pictures and groups."""
        return data_card(context.snapshot)

    def measure(self, session: Session, system: str, split: str, metric: str) -> Measurement:
        """A release, or "untuned"."""
        return measured(session, system, split, metric)

    def rankings(self, session: Session, system: str, split: str, depth: int) -> Rankings:
        """The pictures that every picture finds."""
        return rankings(session, system, split, depth)
