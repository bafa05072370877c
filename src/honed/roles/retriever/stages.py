"""The stages by name: each trains one candidate within its limits, from the base model and the settings chosen first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from honed.answer.settings import RetrievalSettings
from honed.roles.retriever.adapter import tune_adapter
from honed.roles.retriever.both_towers import Both, tune_both_towers
from honed.roles.retriever.models import Models
from honed.roles.retriever.query_tower import Limits, tune_query_tower
from honed.roles.retriever.settings import tune_settings
from honed.roles.retriever.training import TrainingContext
from honed.tuning.candidate import Candidate
from honed.tuning.plan import Stage
from honed.tuning.role import Work


def run_stage(models: Models, stage: Stage, before: Sequence[Candidate], work: Work) -> Candidate:
    """Run a stage of the plan."""
    chosen = next((candidate for candidate in before if candidate.name == "settings"), None)
    retrieval = RetrievalSettings.from_dict(chosen.values["retrieval"]) if chosen else models.snapshot.retrieval
    context = models.training(work, retrieval, bf16=stage.options.get("bf16", False))
    return _STAGES[stage.name](context, models, stage, min(work.seconds, stage.seconds))


def _both_towers(context: TrainingContext, models: Models, stage: Stage, seconds: float) -> Candidate:
    options, shrink = stage.options, seconds / stage.seconds
    joint = Limits(options["joint_epochs"], shrink * options["joint_seconds"])
    query = Limits(options["epochs"], shrink * options["query_seconds"])
    return tune_both_towers(context, Both(joint, query), models.embedded, models.texts)


_STAGES: dict[str, Callable[[TrainingContext, Models, Stage, float], Candidate]] = {
    "settings": lambda context, _models, _stage, _seconds: tune_settings(context),
    "adapter": lambda context, _models, _stage, seconds: tune_adapter(context, seconds),
    "query-tower": lambda context, _models, stage, seconds: tune_query_tower(
        context, Limits(stage.options["epochs"], seconds)
    ),
    "both-towers": _both_towers,
}
