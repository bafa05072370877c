"""Rung 1, seconds: how much the vector side and the keyword side count. No model changes."""

from __future__ import annotations

import time

from honed.answer.fusion import WEIGHTS
from honed.tune.bench import Bench
from honed.tune.candidate import Candidate


def tune_fusion(bench: Bench) -> Candidate:
    """Pick the weight on dev from a grid of 21."""
    started = time.monotonic()
    choice = bench.dev.best_weight(bench.dev.pools(bench.dev_queries, bench.dense))
    return Candidate(
        name="fusion",
        what=f"fusion weight {choice.weight:.2f} on the vector side",
        weight=choice.weight,
        dev=choice.scores,
        seconds=time.monotonic() - started,
        tried=len(WEIGHTS),
    )
