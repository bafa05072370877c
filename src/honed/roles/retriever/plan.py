"""What fits the budget: measure this machine for a few seconds, then say which rungs run, for how long, and why not others."""

from __future__ import annotations

from dataclasses import dataclass

from honed.roles.retriever.bench import Recipe

RESERVE = 0.25
"""Share of the budget that is kept for evaluation, release and report."""

SLACK = 1.25
"""A rung is planned at this multiple of its measured cost: machines are shared and slow down."""

LEAST_JOINT = 0.4
"""Both towers learn from at least this share of the train questions, or the rung is not worth its re-embedding."""

LEARNER = 2.3
"""Times that the training model takes longer to encode a passage than the inference runtime: 2.3 in float32, 1.3 in bfloat16."""

ADAPTER_STEP = 4e-5
ADAPTER_PASSAGE = 3e-8
"""Seconds that one question costs the adapter in an epoch, and more for each passage (measured at 384 dimensions)."""


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


@dataclass(frozen=True, slots=True)
class Size:
    """The data, in the units that cost time: train questions, their tokens (summed), passages, tokens of a passage (mean)."""

    questions: int
    question_tokens: int
    passages: int
    passage_tokens: float


@dataclass(frozen=True, slots=True)
class Step:
    """One rung of the plan. `seconds` is its limit; 0 means that it is skipped, and `why` says so."""

    rung: str
    seconds: float
    why: str
    epochs: int = 0
    joint_epochs: int = 0
    joint_seconds: float = 0.0
    query_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The rungs in order, and the machine's speed that the plan rests on."""

    steps: tuple[Step, ...]
    speed: Speed
    budget: float

    def step(self, rung: str) -> Step:
        """The step of a rung."""
        return next(step for step in self.steps if step.rung == rung)


def make_plan(budget: float, spent: float, speed: Speed, size: Size, recipe: Recipe) -> Plan:
    """Fill three quarters of the budget with rungs, cheapest first.

    Args:
        budget: Seconds for the whole command.
        spent: Seconds that are gone already (reading, baseline, measuring).
        size: Of the data.
        recipe: Wanted epochs; the plan may give fewer.
    """
    left = budget * (1.0 - RESERVE) - spent
    steps = [Step("settings", max(1.0, 0.05 * budget), "always")]
    left -= min(5.0, 0.02 * budget)
    adapter = SLACK * recipe.adapter_epochs * size.questions * (ADAPTER_STEP + ADAPTER_PASSAGE * size.passages)
    if size.questions == 0:
        nothing = "there are no labelled train questions"
        return Plan(
            (*steps, *(Step(rung, 0.0, nothing) for rung in ("adapter", "query-tower", "both-towers"))), speed, budget
        )
    steps.append(_if_fits("adapter", adapter, left))
    left -= steps[-1].seconds
    epoch = SLACK * size.question_tokens / speed.train
    epochs = min(recipe.query_epochs, int(left / epoch)) if epoch > 0 else recipe.query_epochs
    if epochs >= 1:
        steps.append(Step("query-tower", epochs * epoch, f"{epochs} epochs at {epoch:.0f} s", epochs=epochs))
    else:
        steps.append(Step("query-tower", 0.0, f"one epoch takes {epoch:.0f} s, {max(0.0, left):.0f} s are left"))
    left -= steps[-1].seconds
    steps.append(_both(left, epoch, speed, size, recipe))
    return Plan(tuple(steps), speed, budget)


def _if_fits(rung: str, seconds: float, left: float) -> Step:
    if seconds <= left:
        return Step(rung, seconds, f"about {seconds:.0f} s")
    return Step(rung, 0.0, f"takes {seconds:.0f} s, {max(0.0, left):.0f} s are left")


def _both(left: float, epoch: float, speed: Speed, size: Size, recipe: Recipe) -> Step:
    """Joint training needs its own time, embedding the corpus, and at least one query epoch afterwards."""
    contested = len(recipe.joint_shares) * min(recipe.contested, size.passages)
    embed = SLACK * (size.passages + LEARNER * contested) / speed.encode
    per_question = (1 + recipe.hard_negatives) * min(size.passage_tokens, recipe.passage_tokens)
    joint = SLACK * (size.questions * per_question + size.question_tokens) / speed.train
    room = left - embed - epoch
    if room < LEAST_JOINT * joint:
        need = embed + epoch + LEAST_JOINT * joint
        return Step(
            "both-towers",
            0.0,
            f"needs {need:.0f} s ({embed:.0f} s of it to embed the corpus), {max(0.0, left):.0f} s are left",
        )
    joint_epochs = max(1, min(recipe.both_epochs, int(room / joint)))
    joint_seconds = min(room, joint_epochs * joint)
    epochs = max(1, min(recipe.query_epochs, int((left - embed - joint_seconds) / epoch)))
    total = embed + joint_seconds + epochs * epoch
    why = f"{joint_epochs} joint epochs {joint_seconds:.0f} s, embedding {embed:.0f} s, {epochs} query epochs"
    return Step("both-towers", total, why, epochs, joint_epochs, joint_seconds, epochs * epoch)


def table(plan: Plan) -> list[str]:
    """The plan as lines for a terminal."""
    machine = f"{plan.speed.train:,.0f} tokens/s training ({'bf16' if plan.speed.bf16 else 'fp32'})"
    lines = [f"plan for {plan.budget:.0f} s: {machine}, {plan.speed.encode:.0f} passages/s encoding"]
    for step in plan.steps:
        state = f"{step.seconds:4.0f} s" if step.seconds else "  skip"
        lines.append(f"  {step.rung:<12} {state}  {step.why}")
    lines.append(f"  {'evaluation':<12} {RESERVE * plan.budget:4.0f} s  kept for the test, the release and the report")
    return lines
