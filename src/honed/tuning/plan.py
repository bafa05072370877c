"""What fits the budget, for any role: the stages in order, how long each may take, and why others are left out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from honed.workspace import read_json, write_json

RESERVE = 0.25
"""Share of the budget that is kept for evaluation, release and report."""

SLACK = 1.25
"""A stage is planned at this multiple of its measured cost: machines are shared and slow down."""

PLAN_FILE = "plan.json"


@dataclass(frozen=True, slots=True)
class Clock:
    """The time of a run: `budget` seconds from `started`, a moment of `time.monotonic`."""

    budget: float
    started: float

    @classmethod
    def start(cls, budget: float) -> Clock:
        """A clock that starts now."""
        return cls(budget, time.monotonic())

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds that are left for training, without the share that evaluation needs."""
        return self.budget * (1.0 - RESERVE) - self.spent


@dataclass(frozen=True, slots=True)
class Stage:
    """A training stage of the plan.

    Attributes:
        name: Of the stage, and of the candidate that it makes.
        seconds: Its limit; 0 means that it is left out.
        why: What the limit is made of, or why it is left out.
        options: What the role needs to run it, as JSON.
    """

    name: str
    seconds: float
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """The stages in order.

    Attributes:
        machine: How fast this machine is, for a person.
        budget: Seconds for the whole run.
        evaluation: What is kept for the test, the release and the report.
    """

    stages: tuple[Stage, ...]
    machine: str
    budget: float
    evaluation: Stage

    @classmethod
    def of(cls, stages: tuple[Stage, ...], machine: str, budget: float) -> Plan:
        """A plan that keeps the usual share for evaluation."""
        kept = Stage("evaluation", RESERVE * budget, "kept for the test, the release and the report")
        return cls(stages, machine, budget, kept)

    def stage(self, name: str) -> Stage:
        """The stage of a name."""
        return next(stage for stage in self.stages if stage.name == name)

    def lines(self) -> list[str]:
        """The plan for a terminal."""
        lines = [f"plan for {self.budget:.0f} s: {self.machine}"]
        for stage in (*self.stages, self.evaluation):
            state = f"{stage.seconds:4.0f} s" if stage.seconds else "  skip"
            lines.append(f"  {stage.name:<12} {state}  {stage.why}")
        return lines

    def kept(self, folder: Path) -> Plan:
        """The plan that the run in `folder` began with; this one, which is kept then, where it begins now.

        A resumed run goes on under its own plan: another one, made on a busier machine, could leave out what is half done.
        """
        path = folder / PLAN_FILE
        if not path.is_file():
            write_json(path, asdict(self))
            return self
        value = read_json(path)
        stages = tuple(Stage(**stage) for stage in value["stages"])
        return Plan(stages, value["machine"], value["budget"], Stage(**value["evaluation"]))


def if_fits(name: str, seconds: float, left: float, *, least: float = 0.0) -> Stage:
    """A stage of so many seconds, at least `least`, if so many are left; otherwise one that says why not."""
    if seconds <= left:
        return Stage(name, max(least, seconds), f"about {max(least, seconds):.0f} s")
    return Stage(name, 0.0, f"takes {seconds:.0f} s, {max(0.0, left):.0f} s are left")
