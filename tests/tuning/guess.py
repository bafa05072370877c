"""A role that nobody has heard of: it guesses a number for each question, and its only stage learns the mean of train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import UsageError
from honed.evaluate.comparison import Measured, Questions
from honed.evaluate.gate import SUPERIOR, Criterion
from honed.evaluate.ledger import TestSet
from honed.evaluate.metrics import MetricShape
from honed.release.build import live_manifest, manifest_of, part_of, row_of
from honed.release.manifest import Part
from honed.session import Session
from honed.tuning.candidate import Candidate
from honed.tuning.plan import Clock, Plan, Stage
from honed.tuning.role import Baseline, DataCard, Evaluation, Measurement, Progress, Rankings, Work, checked_split
from honed.workspace import Workspace

NAME = "guess"
TRUTH = {"train": np.full(60, 0.8), "dev": np.full(40, 0.8), "test": np.full(60, 0.8)}


def scores(split: str, guess: float) -> dict[str, NDArray[np.float64]]:
    noise = np.random.default_rng(len(split)).normal(0, 0.05, len(TRUTH[split]))
    return {"nearness": 1.0 - np.abs(TRUTH[split] + noise - guess)}


def questions(split: str) -> Questions:
    return Questions([f"{split} {number}" for number in range(len(TRUTH[split]))], np.arange(len(TRUTH[split])) // 2)


def test_set(split: str, metric: str, session: Session) -> TestSet:
    asked = questions(split)
    fresh = session.settings.test == "fresh"
    return TestSet(NAME, metric, asked.ids, np.asarray(asked.clusters), (f"guess {split}",), fresh_only=fresh)


@dataclass(frozen=True)
class Snapshot:
    baseline: Baseline
    guess: float
    test: TestSet
    notes: tuple[str, ...] = ("Numbers are made up.",)

    @property
    def dev_clusters(self) -> NDArray[Any]:
        return np.asarray(questions("dev").clusters)


@dataclass(frozen=True)
class Context:
    session: Session
    snapshot: Snapshot


def _write(workspace: Workspace) -> None:
    with workspace.writing():
        pass


class Guess:
    """See `honed.tuning.role.Role`."""

    name = NAME
    packages: tuple[str, ...] = ()
    metrics = ("nearness",)
    metric_shape = MetricShape("nearness", "nearness")
    criterion: Criterion = SUPERIOR

    def __init__(self, learned: float = 0.8, saved: float = 0.0) -> None:
        self.learned, self.saved = learned, saved

    def snapshot(self, session: Session, metric: str, tell: Progress) -> Snapshot:
        release = live_manifest(session.workspace, session.catalog)
        guess = part_of(session.workspace, release, NAME).values.get("guess", 0.0)
        name = release.release if NAME in release.parts else "zero"
        dev = {name: float(scores("dev", guess)[metric].mean())}
        return Snapshot(Baseline(name, dev), guess, test_set("test", metric, session))

    def prepare(self, session: Session, snapshot: Snapshot, tell: Progress) -> Context:
        return Context(session, snapshot)

    def plan(self, context: Context, clock: Clock) -> Plan:
        return Plan.of((Stage("mean", 1.0, "always", {"digits": 3}),), "one abacus", clock.budget)

    def experiment(self, context: Context) -> Mapping[str, Any]:
        return {"learned": self.learned, "before": context.snapshot.guess}

    def run_stage(self, context: Context, stage: Stage, before: Sequence[Candidate], work: Work) -> Candidate | None:
        with ThreadPoolExecutor(1) as another:  # whoever adds documents meanwhile; the lock knows threads apart
            another.submit(_write, context.session.workspace).result()
        guess = round(self.learned, stage.options["digits"])
        (work.folder / "mean.txt").write_text(str(guess))
        dev = scores("dev", guess)["nearness"]
        files = {"mean": work.folder / "mean.txt"}
        return Candidate("mean", f"guesses {guess}", dev, 0.1, 1, files=files, values={"guess": guess})

    def evaluate(self, context: Context, plan: Plan, candidate: Candidate) -> Evaluation:
        base = Measured(context.snapshot.baseline.name, scores("test", context.snapshot.guess))
        after = Measured("mean", scores("test", candidate.values["guess"]))
        return Evaluation(base, after, questions("test"), saved=self.saved)

    def ship(self, context: Context, candidate: Candidate, folder: Path) -> Mapping[str, Part]:
        return {NAME: Part(candidate.values, candidate.files)}

    def data_card(self, context: Context, candidate: Candidate) -> DataCard:
        return DataCard("test, 60 numbers", "made up", {"numbers": "160"})

    def measure(self, session: Session, system: str, split: str, metric: str) -> Measurement:
        name = checked_split(split)
        row = row_of(session.catalog, system)
        guess = manifest_of(session.workspace, row).parts.get(NAME, Part({"guess": 0.0})).values["guess"]
        test = test_set(name, metric, session)
        return Measurement(
            system, row.name, row.manifest_sha256, scores(name, guess), questions(name), test, "numbers", "made up"
        )

    def rankings(self, session: Session, system: str, split: str, depth: int) -> Rankings:
        raise UsageError("A guess ranks nothing.")
