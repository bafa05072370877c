"""What fits the budget: texts to encode, seconds to train."""

from __future__ import annotations

from honed.tuning.plan import SLACK, Clock, Plan, Stage

STAGE = "text-heads"

MOST = 0.7
"""Share of the time for the stage that encoding may take: the regression, which is most of the gain, wants texts, not epochs."""


def make_plan(clock: Clock, rate: float, texts: int) -> Plan:
    """Fill three quarters of the budget: encode the texts, or as many as fit, and train in what is left.

    Args:
        clock: Of the run.
        rate: Texts a second through the text tower, measured.
        texts: Different texts about the train pictures.
    """
    left = max(1.0, clock.left)
    kept = min(texts, max(1, int(MOST * left * rate / SLACK)))
    encode = SLACK * kept / rate
    train = max(1.0, left - encode)
    some = f"{kept:,} texts" if kept == texts else f"{kept:,} of {texts:,} texts, as many as fit"
    why = f"{some} {encode:.0f} s, training at most {train:.0f} s"
    stage = Stage(STAGE, encode + train, why, {"texts": kept, "encode_seconds": encode, "train_seconds": train})
    return Plan.of((stage,), f"{rate:.0f} texts/s encoding", clock.budget)
