"""What fits the budget of a turn on words that look for pictures: texts to encode, seconds to train."""

from __future__ import annotations

from dataclasses import dataclass

from honed.roles.retriever.plan import RESERVE, SLACK

MOST = 0.7
"""Share of the time for the rung that encoding may take: the regression, which is most of the gain, wants texts, not epochs."""


@dataclass(frozen=True, slots=True)
class TextPlan:
    """How many texts are learned from, and how long each part may take.

    Attributes:
        texts: To be encoded, of `all` that there are.
        encode: Seconds for them.
        train: Seconds for training, at most.
        rate: Texts a second through the text tower, measured.
    """

    texts: int
    all: int
    encode: float
    train: float
    rate: float
    budget: float


def plan_text(budget: float, spent: float, rate: float, texts: int) -> TextPlan:
    """Fill three quarters of the budget: encode the texts, or as many as fit, and train in what is left.

    Args:
        budget: Seconds for the whole command.
        spent: Seconds that are gone already.
        rate: Texts a second.
        texts: Different texts about the train pictures.
    """
    left = max(1.0, budget * (1.0 - RESERVE) - spent)
    kept = min(texts, max(1, int(MOST * left * rate / SLACK)))
    encode = SLACK * kept / rate
    return TextPlan(kept, texts, encode, max(1.0, left - encode), rate, budget)


def text_table(plan: TextPlan) -> list[str]:
    """The plan as lines for a terminal."""
    kept = (
        f"{plan.texts:,} texts" if plan.texts == plan.all else f"{plan.texts:,} of {plan.all:,} texts, as many as fit"
    )
    steps = f"{kept} {plan.encode:.0f} s, training at most {plan.train:.0f} s"
    return [
        f"plan for {plan.budget:.0f} s: {plan.rate:.0f} texts/s encoding",
        f"  {'text-heads':<12} {plan.encode + plan.train:4.0f} s  {steps}",
        f"  {'evaluation':<12} {RESERVE * plan.budget:4.0f} s  kept for the test, the release and the report",
    ]
