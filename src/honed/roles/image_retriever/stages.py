"""The stages by name: each makes one candidate within its limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from honed.roles.image_retriever.closed_stages import tune_discriminant, tune_expansion, tune_whitening
from honed.roles.image_retriever.last_blocks import BlockLimits, tune_blocks
from honed.roles.image_retriever.learned import tune_head
from honed.roles.image_retriever.training import TrainingContext
from honed.tuning.candidate import Candidate, cheapest
from honed.tuning.plan import Stage
from honed.tuning.stages import LEAST_SECONDS


def run_stage(context: TrainingContext, stage: Stage, before: Sequence[Candidate], left: float) -> Candidate | None:
    """Run a stage of the plan.

    Args:
        context: What it works with.
        stage: What the plan says.
        before: The candidates of earlier stages.
        left: Seconds that are left for training in all.
    """
    return _STAGES[stage.name](context, stage, before, left)


def _best(context: TrainingContext, before: Sequence[Candidate]) -> Candidate:
    return before[cheapest([candidate.dev for candidate in before], context.board.clusters)]


def _head(context: TrainingContext, stage: Stage, _before: Sequence[Candidate], left: float) -> Candidate:
    return tune_head(context, min(left, stage.seconds))


def _blocks(context: TrainingContext, stage: Stage, before: Sequence[Candidate], left: float) -> Candidate | None:
    """In the time that is really left: training gives way, encoding all pictures cannot."""
    planned = stage.options["train_seconds"]
    seconds = planned - max(0.0, stage.seconds - left)
    if seconds < min(LEAST_SECONDS, planned):
        context.tell(f"{stage.name:<12} skipped: the time for training is used up")
        return None
    options = stage.options
    limits = BlockLimits(options["epochs"], seconds, options["bf16"], tuple(options["shares"]))
    return tune_blocks(context, _best(context, before), limits)


_STAGES: dict[str, Callable[[TrainingContext, Stage, Sequence[Candidate], float], Candidate | None]] = {
    "whitening": lambda context, _stage, _before, _left: tune_whitening(context),
    "discriminant": lambda context, _stage, _before, _left: tune_discriminant(context),
    "head": _head,
    "blocks": _blocks,
    "expansion": lambda context, _stage, before, _left: tune_expansion(context, _best(context, before)),
}
