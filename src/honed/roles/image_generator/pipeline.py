"""A pipeline of diffusers as what is tuned: a LoRA on the user's pictures, judged against the pipeline as it was."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from honed.errors import UsageError
from honed.models.painter.pipeline import LORA_WEIGHTS, DiffusersPainter
from honed.release.open import LORA, load_generator
from honed.roles.image_generator.collection import LEAST_TEST, Collection, squares
from honed.roles.image_generator.drawing import by_painter
from honed.roles.image_generator.held_out import Draw, Pixels, Targets
from honed.roles.image_generator.lora import LoraRecipe, train_lora
from honed.roles.image_generator.pictures import Rows, by_lot
from honed.roles.image_generator.plan import LEAST_TRAINING, painting_plan
from honed.roles.image_generator.sample_grid import SampleGrid
from honed.roles.image_generator.snapshot import Snapshot
from honed.session import Session
from honed.tuning.plan import RESERVE, Clock, Plan, Stage
from honed.tuning.role import Progress
from honed.workspace import Workspace, sha256_file, write_json

MOST_LEARNT = 1000
"""Train pictures that a LoRA learns from, by lot: at 512 pixels they are 800 MB."""

DRAWINGS = 5
"""Drawings a target: by the candidate on test of every kind, by what is live on test, and by the candidate on dev."""

_PROBE_STEPS = 2


@dataclass(frozen=True, slots=True, eq=False)
class PipelineLearner:
    """A LoRA for the configured pipeline.

    Attributes:
        spec: Of the pipeline, as the settings name it.
        live: What draws now: the pipeline as it is, or with the LoRA of the live release.
        ip_adapter: Through which it sees references; empty for none.
        recipe: How the LoRA learns.
    """

    workspace: Workspace
    spec: str
    collection: Collection
    live: DiffusersPainter
    ip_adapter: str
    recipe: LoraRecipe

    @property
    def key(self) -> dict[str, Any]:
        """See `learners.Learner`."""
        return {
            "pipeline": self.spec,
            "live": self.live.name,
            "ip_adapter": self.ip_adapter,
            "settings": repr(self.recipe),
        }

    @property
    def words(self) -> str:
        """See `learners.Learner`: a pipeline reads words by itself."""
        return ""

    def plan(self, clock: Clock) -> Plan:
        """Time a few steps and a drawing; as many targets are drawn as half of the budget allows.

        Raises:
            UsageError: The budget is too short to judge.
        """
        started, rows = time.monotonic(), self.collection.rows
        step = self._step_seconds()
        first = Targets(self.collection.pictures, rows["dev"][:1], rows["dev"], 0.0)
        drawing = time.monotonic()
        by_painter(self.live, self.collection)(first, first.pictures.references[first.rows])
        target_seconds = DRAWINGS * (time.monotonic() - drawing)
        left = clock.budget - clock.spent
        targets = int(0.5 * left / target_seconds)
        if targets < LEAST_TEST:
            spent = clock.spent - (time.monotonic() - started)
            raise UsageError(
                f"A budget of {clock.budget:.0f} s leaves time to draw {max(0, targets)} pictures of test; "
                f"{LEAST_TEST} are needed.",
                hint=f"--budget {4 * (LEAST_TEST * target_seconds + spent) / 60 + 1:.0f}m, fewer steps, or a smaller "
                "pipeline",
            )
        dev, test = (min(targets, len(rows[split])) for split in ("dev", "test"))
        judging = test * target_seconds
        seconds = max(left - max(RESERVE * clock.budget, judging), LEAST_TRAINING)
        options = {"steps": max(1, int(seconds / step)), "bf16": self.recipe.bf16, "dev": dev, "test": test}
        return painting_plan(clock, seconds, options, judging, self.recipe.batch / step)

    def train(self, folder: Path, stage: Stage, samples: SampleGrid, tell: Progress) -> tuple[str, Mapping[str, Any]]:
        """See `learners.Learner`."""
        steps = stage.options["steps"]
        chosen = self._learnt(MOST_LEARNT)
        tell(f"lora         {steps:,} steps on {len(chosen)} pictures")
        recipe = replace(self.recipe, bf16=stage.options["bf16"])
        pipeline = self._fresh().pipeline
        done = train_lora(pipeline, self._squares(chosen), self._prompts(chosen), folder, recipe=recipe, steps=steps)
        write_json(folder / "config.json", {"model_type": LORA, "pipeline": self.spec})
        samples.show(self.draw(folder))
        return f"a LoRA of rank {recipe.rank} for {self.spec}", asdict(done)

    def draw(self, folder: Path) -> Draw:
        """See `learners.Learner`."""
        painter = load_generator(self.workspace, self.spec, lora=folder, ip_adapter=self.ip_adapter)
        return by_painter(painter, self.collection)

    def pick(self, folder: Path, targets: Targets) -> int:
        """See `learners.Learner`: steps and guidance of a pipeline are its own."""
        return 1

    def digest(self, folder: Path) -> str:
        """See `learners.Learner`."""
        return sha256_file(folder / LORA_WEIGHTS)

    def _fresh(self) -> DiffusersPainter:
        painter = load_generator(self.workspace, self.spec)
        assert isinstance(painter, DiffusersPainter)
        return painter

    def _step_seconds(self) -> float:
        """Seconds of a training step, by a few of them on the user's pictures; loading and encoding come in addition."""
        chosen = self._learnt(self.recipe.batch)
        pixels, prompts = self._squares(chosen), self._prompts(chosen)
        with TemporaryDirectory(prefix="honed-") as scratch:
            done = train_lora(
                self._fresh().pipeline, pixels, prompts, Path(scratch), recipe=self.recipe, steps=_PROBE_STEPS
            )
        return max(done.seconds / done.steps, 1e-6)

    def _learnt(self, most: int) -> Rows:
        """Train pictures with words, by lot."""
        asked = self.collection.listing.asked
        rows = [row for row in self.collection.rows["train"].tolist() if asked[row]]
        return by_lot(np.array(rows, np.int64), most, self.recipe.seed)

    def _squares(self, rows: Rows) -> Pixels:
        return squares(self.workspace, [self.collection.listing.medias[row] for row in rows.tolist()], self.live.side)

    def _prompts(self, rows: Rows) -> list[str]:
        """Words and style, as the pipeline is asked."""
        told = ((self.collection.listing.asked[row], self.collection.style_of(row)) for row in rows.tolist())
        return [f"{words}, {style} style" if style else words for words, style in told]


def open_pipeline_learner(session: Session, snapshot: Snapshot) -> PipelineLearner:
    """The configured pipeline, ready to learn.

    Raises:
        UsageError: The configured generator is no pipeline, or the live release draws with another one.
    """
    spec, live = session.settings.image_generator, snapshot.live
    if not isinstance(live, DiffusersPainter):
        raise UsageError(
            f"The live release draws with {live.name if live else 'nothing'}, and image_generator names '{spec}'.",
            hint="take image_generator out of honed.toml to tune the former, or roll back to a release without it",
        )
    recipe = LoraRecipe(seed=session.settings.seed)
    return PipelineLearner(session.workspace, spec, snapshot.collection, live, session.settings.ip_adapter, recipe)
