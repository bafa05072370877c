"""What fits the budget: how fast this machine is, then which stages run, for how long, and why not others."""

from __future__ import annotations

from dataclasses import dataclass

from honed.roles.retriever.recipe import Recipe
from honed.tuning.plan import SLACK, Clock, Plan, Stage, if_fits

LEAST_JOINT = 0.4
"""Both towers learn from at least this share of the train questions, or the stage is not worth its re-embedding."""

LEARNER = 2.3
"""Times that the training model takes longer to encode a passage than the inference runtime (float32; bfloat16 takes fewer)."""

ADAPTER_STEP = 4e-5
ADAPTER_PASSAGE = 3e-8
"""Seconds that one question costs the adapter in an epoch, and more for each passage, at 384 dimensions."""

TRAINED = ("adapter", "query-tower", "both-towers")
"""Stages that need labelled train questions."""


@dataclass(frozen=True, slots=True)
class Speed:
    """This machine, measured.

    Attributes:
        train: Tokens a second through forward and backward.
        encode: Passages a second through the fastest encoder.
        bf16: Whether bfloat16 trained faster than float32.
    """

    train: float
    encode: float
    bf16: bool

    def __str__(self) -> str:
        kind = "bf16" if self.bf16 else "fp32"
        return f"{self.train:,.0f} tokens/s training ({kind}), {self.encode:.0f} passages/s encoding"


@dataclass(frozen=True, slots=True)
class Size:
    """The data, in the units that cost time: train questions, their tokens (summed), passages, tokens of a passage (mean)."""

    questions: int
    question_tokens: int
    passages: int
    passage_tokens: float


def make_plan(clock: Clock, speed: Speed, size: Size, recipe: Recipe) -> Plan:
    """Fill three quarters of the budget with stages, cheapest first.

    Args:
        clock: Of the run.
        size: Of the data.
        recipe: Wanted epochs; the plan may give fewer.
    """
    left = clock.left
    stages = [Stage("settings", max(1.0, 0.05 * clock.budget), "always")]
    left -= min(5.0, 0.02 * clock.budget)
    if size.questions == 0:
        stages += [Stage(name, 0.0, "there are no labelled train questions") for name in TRAINED]
        return Plan.of(tuple(stages), str(speed), clock.budget)
    adapter = SLACK * recipe.adapter_epochs * size.questions * (ADAPTER_STEP + ADAPTER_PASSAGE * size.passages)
    stages.append(if_fits("adapter", adapter, left))
    left -= stages[-1].seconds
    epoch = SLACK * size.question_tokens / speed.train
    stages.append(_query_tower(left, epoch, speed, recipe))
    left -= stages[-1].seconds
    stages.append(_both_towers(left, epoch, speed, size, recipe))
    return Plan.of(tuple(stages), str(speed), clock.budget)


def _query_tower(left: float, epoch: float, speed: Speed, recipe: Recipe) -> Stage:
    epochs = min(recipe.query_epochs, int(left / epoch)) if epoch > 0 else recipe.query_epochs
    if epochs < 1:
        return Stage("query-tower", 0.0, f"one epoch takes {epoch:.0f} s, {max(0.0, left):.0f} s are left")
    options = {"epochs": epochs, "bf16": speed.bf16}
    return Stage("query-tower", epochs * epoch, f"{epochs} epochs at {epoch:.0f} s", options)


def _both_towers(left: float, epoch: float, speed: Speed, size: Size, recipe: Recipe) -> Stage:
    """Joint training needs its own time, embedding the corpus, and at least one query epoch afterwards."""
    contested = len(recipe.joint_shares) * min(recipe.contested, size.passages)
    embed = SLACK * (size.passages + LEARNER * contested) / speed.encode
    per_question = (1 + recipe.hard_negatives) * min(size.passage_tokens, recipe.passage_tokens)
    joint = SLACK * (size.questions * per_question + size.question_tokens) / speed.train
    room = left - embed - epoch
    if room < LEAST_JOINT * joint:
        need = embed + epoch + LEAST_JOINT * joint
        why = f"needs {need:.0f} s ({embed:.0f} s of it to embed the corpus), {max(0.0, left):.0f} s are left"
        return Stage("both-towers", 0.0, why)
    joint_epochs = max(1, min(recipe.both_epochs, int(room / joint)))
    joint_seconds = min(room, joint_epochs * joint)
    epochs = max(1, min(recipe.query_epochs, int((left - embed - joint_seconds) / epoch)))
    why = f"{joint_epochs} joint epochs {joint_seconds:.0f} s, embedding {embed:.0f} s, {epochs} query epochs"
    options = {
        "epochs": epochs,
        "query_seconds": epochs * epoch,
        "joint_epochs": joint_epochs,
        "joint_seconds": joint_seconds,
        "bf16": speed.bf16,
    }
    return Stage("both-towers", embed + joint_seconds + epochs * epoch, why, options)
