"""The role that finds passages by meaning and words: fusion, adapter, query tower, both towers, under one gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from honed.evaluate.gate import SUPERIOR
from honed.evaluate.metrics import METRICS, TEXT_METRIC
from honed.release.manifest import RETRIEVER, Part
from honed.roles.retriever.snapshot import Snapshot, data_card, take_snapshot
from honed.roles.retriever.systems import measured, rankings
from honed.session import Session
from honed.tuning.candidate import Candidate
from honed.tuning.plan import Clock, Plan, Stage
from honed.tuning.role import DataCard, Evaluation, Measurement, Progress, Rankings, Work

if TYPE_CHECKING:  # torch is loaded by tuning alone
    from honed.roles.retriever.models import Models
    from honed.roles.retriever.recipe import Recipe


class Retriever:
    """See `tuning.role.Role`."""

    name = RETRIEVER
    packages = ("torch", "transformers")
    metrics = METRICS
    metric_shape = TEXT_METRIC
    criterion = SUPERIOR

    def __init__(self, recipe: Recipe | None = None) -> None:
        self.recipe = recipe

    def snapshot(self, session: Session, metric: str, tell: Progress) -> Snapshot:
        """Read the questions, and choose the baseline among what is live and the plain systems."""
        return take_snapshot(session, metric, tell)

    def prepare(self, session: Session, snapshot: Snapshot, tell: Progress) -> Models:
        """Encode the train questions and find what must not count against them."""
        from honed.roles.retriever.models import Models

        return Models(session, snapshot, tell, self.recipe)

    def plan(self, context: Models, clock: Clock) -> Plan:
        """Measure tokens and passages a second on the user's own texts."""
        return context.plan(clock)

    def experiment(self, context: Models) -> Mapping[str, Any]:
        """Questions, judgements, passages, base model, recipe, settings."""
        return context.experiment()

    def run_stage(self, context: Models, stage: Stage, before: Sequence[Candidate], work: Work) -> Candidate | None:
        """Each stage starts from the base; the later ones learn more and cost more."""
        from honed.roles.retriever.stages import run_stage

        return run_stage(context, stage, before, work)

    def evaluate(self, context: Models, plan: Plan, candidate: Candidate) -> Evaluation:
        """Every test question through the search that would ship."""
        from honed.roles.retriever.evaluation import evaluated

        return evaluated(context, candidate)

    def ship(self, context: Models, candidate: Candidate, folder: Path) -> Mapping[str, Part]:
        """Models, adapter and settings; all passages are indexed in their space."""
        return {RETRIEVER: context.part(candidate, folder)}

    def data_card(self, context: Models, candidate: Candidate) -> DataCard:
        """Documents, passages, questions, clusters."""
        return data_card(context.session, context.snapshot)

    def measure(self, session: Session, system: str, split: str, metric: str) -> Measurement:
        """A release or a plain system."""
        return measured(session, system, split, metric)

    def rankings(self, session: Session, system: str, split: str, depth: int) -> Rankings:
        """The documents that every question finds, by their best passage."""
        return rankings(session, system, split, depth)
