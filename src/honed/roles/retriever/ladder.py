"""The rungs in order, cheapest first. A finished rung is never run again, and a failed one does not stop the next."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from honed.errors import HonedError
from honed.roles.retriever.adapter import tune_adapter
from honed.roles.retriever.bench import Bench
from honed.roles.retriever.both_towers import Both, Embed, Texts, tune_both_towers
from honed.tuning.candidate import Candidate
from honed.roles.retriever.plan import Plan, Step
from honed.roles.retriever.query_tower import Limits, tune_query_tower
from honed.roles.retriever.settings import tune_settings


@dataclass(frozen=True, slots=True)
class Corpus:
    """The passages, for the one rung that encodes them: their texts by position, and how all of them are embedded."""

    texts: Texts
    embed: Embed


def climb(bench: Bench, plan: Plan, corpus: Corpus, *, deadline: float) -> list[Candidate]:
    """Run the plan's rungs; returns the candidates in order of cost.

    Args:
        deadline: Moment (`time.monotonic`) at which the reserve for evaluation begins; limits shrink to meet it.
    """
    found = []
    for step in plan.steps:
        done = Candidate.load(bench.folder, step.rung)
        if done is None and step.seconds > 0:
            done = _run(bench, step, corpus, deadline)
        if done is not None:
            found.append(done)
            if step.rung == "settings":  # what follows builds on them
                bench = replace(bench, retrieval=done.retrieval)
            bench.tell(f"{step.rung:<12} dev {done.mean:.3f}  {done.what}")
    return found


def _run(bench: Bench, step: Step, corpus: Corpus, deadline: float) -> Candidate | None:
    left = deadline - time.monotonic()
    if left < min(5.0, step.seconds) and step.rung != "settings":  # without one candidate there is nothing to test
        bench.tell(f"{step.rung:<12} skipped: the time for training is used up")
        return None
    bench.tell(f"{step.rung:<12} started, at most {min(left, step.seconds):.0f} s")
    try:
        candidate = _RUNGS[step.rung](bench, step, corpus, left)
    except HonedError as error:
        bench.tell(f"{step.rung:<12} gave up: {error.message}")
        return None
    candidate.save(bench.folder)
    for file in bench.folder.glob("checkpoint-*"):
        file.unlink(missing_ok=True)
    return candidate


def _both(bench: Bench, step: Step, corpus: Corpus, left: float) -> Candidate:
    shrink = min(1.0, left / step.seconds)
    joint = Limits(step.joint_epochs, shrink * step.joint_seconds)
    query = Limits(step.epochs, shrink * step.query_seconds)
    return tune_both_towers(bench, Both(joint, query), corpus.embed, corpus.texts)


_RUNGS: dict[str, Callable[[Bench, Step, Corpus, float], Candidate]] = {
    "settings": lambda bench, _step, _corpus, _left: tune_settings(bench),
    "adapter": lambda bench, step, _corpus, left: tune_adapter(bench, min(left, step.seconds)),
    "query-tower": lambda bench, step, _corpus, left: tune_query_tower(
        bench, Limits(step.epochs, min(left, step.seconds))
    ),
    "both-towers": _both,
}
