"""The stages of a plan in order, cheapest first. A finished one is never run again, and a failed one stops no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from honed.errors import HonedError
from honed.tuning.candidate import Candidate
from honed.tuning.plan import Clock, Plan, Stage
from honed.tuning.role import Progress, Role, Work

LEAST_SECONDS = 5.0
"""A longer stage is not begun when less is left: what it could learn does not pay for its start."""


def run_stages(
    role: Role[Any, Any], context: Any, plan: Plan, folder: Path, clock: Clock, tell: Progress
) -> list[Candidate]:
    """Run the plan's stages; returns the candidates in order of cost."""
    candidates: list[Candidate] = []
    for stage in plan.stages:
        candidate = Candidate.load(folder, stage.name)
        if candidate is None and stage.seconds > 0:
            if candidates and clock.left < min(LEAST_SECONDS, stage.seconds):  # without one there is nothing to test
                tell(f"{stage.name:<12} skipped: the time for training is used up")
                continue
            candidate = _run(role, context, stage, candidates, Work(folder, clock.left, tell))
        if candidate is not None:
            candidates.append(candidate)
            tell(f"{stage.name:<12} dev {candidate.mean:.3f}  {candidate.what}")
    return candidates


def _run(role: Role[Any, Any], context: Any, stage: Stage, before: list[Candidate], work: Work) -> Candidate | None:
    work.tell(f"{stage.name:<12} started, at most {max(0.0, min(work.seconds, stage.seconds)):.0f} s")
    try:
        candidate = role.run_stage(context, stage, before, work)
    except HonedError as error:
        work.tell(f"{stage.name:<12} gave up: {error.message}")
        return None
    if candidate is not None:
        candidate.save(work.folder)
    for path in work.folder.glob("checkpoint-*"):
        path.unlink(missing_ok=True)
    return candidate
