"""A pipeline of diffusers as what is tuned: a LoRA on the user's pictures, judged against the pipeline as it was."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from honed.errors import UsageError
from honed.models.painter.pipeline import LORA_WEIGHTS, DiffusersPainter
from honed.release.build import live_manifest
from honed.release.open import LORA, load_generator, painter_of
from honed.roles.image_generator.collection import LEAST_TEST, Collection, squares
from honed.roles.image_generator.lora import LoraRecipe, train_lora
from honed.roles.image_generator.perception import Perception
from honed.roles.image_generator.pictures import Rows
from honed.roles.image_generator.plan import LEAST_TRAINING, MOST_DEV, MOST_TEST, PaintPlan
from honed.roles.image_generator.sheet import Sheet
from honed.roles.image_generator.trial import Draw, Pixels, Targets
from honed.roles.retriever.plan import RESERVE
from honed.session import Session
from honed.tuning.nouns import Tell
from honed.workspace import Workspace, sha256_file, write_json

PIPELINE_SIDE = 128
"""Pixels of the pictures that a pipeline is judged by, and of its references in the test: the judge looks at no more."""

REFERENCES = 3

MOST_LEARNT = 1000
"""Train pictures that a LoRA learns from, by lot: at 512 pixels they are 800 MB."""

DRAWINGS = 5
"""Drawings a target: by the candidate on test of every kind, by what is live on test, and by the candidate on dev."""

_PROBE_STEPS = 2


def by_pipeline(painter: DiffusersPainter, collection: Collection) -> Draw:
    """How a pipeline draws targets: by their words and style, from references of the collection's size."""
    side = collection.pictures.pixels.shape[1]

    def draw(targets: Targets, references: Rows) -> Pixels:
        drawn = []
        for number, (row, known) in enumerate(zip(targets.rows.tolist(), references, strict=True)):
            shown = [Image.fromarray(targets.pictures.pixels[one]) for one in known.tolist() if one >= 0]
            words, style, seed = collection.listing.asked[row], collection.style_of(row), targets.seed + number
            made = painter.generate(words, shown, n=1, seed=seed, style=style)[0]
            drawn.append(np.asarray(made.resize((side, side), Image.Resampling.BICUBIC), np.uint8))
        return np.stack(drawn)

    return draw


@dataclass(frozen=True, slots=True, eq=False)
class PipelineLearner:
    """A LoRA for the configured pipeline.

    Attributes:
        spec: Of the pipeline, as the settings name it.
        live: What draws now: the pipeline as it is, or with the LoRA of the live release.
        release: The live release's name.
        ip_adapter: Through which it sees references; empty for none.
        recipe: How the LoRA learns.
    """

    workspace: Workspace
    spec: str
    collection: Collection
    perception: Perception
    live: DiffusersPainter
    release: str
    ip_adapter: str
    recipe: LoraRecipe

    @property
    def key(self) -> dict[str, Any]:
        """See `atelier.Learner`."""
        return {
            "pipeline": self.spec,
            "live": self.live.name,
            "ip_adapter": self.ip_adapter,
            "settings": repr(self.recipe),
        }

    @property
    def before(self) -> tuple[str, Draw] | None:
        """See `atelier.Learner`: a pipeline draws before it is tuned, so it has to be beaten as it is."""
        return f"{self.release} ({self.live.name})", by_pipeline(self.live, self.collection)

    def plan(self, budget: float, spent: float) -> PaintPlan:
        """Time a few steps and a drawing; as many targets are drawn as half of the budget allows.

        Raises:
            UsageError: The budget is too short to judge.
        """
        started = time.monotonic()
        step = self._step_seconds()
        first = Targets(self.collection.pictures, self.collection.rows["dev"][:1], self.collection.rows["dev"], 0.0)
        drawing = time.monotonic()
        by_pipeline(self.live, self.collection)(first, first.pictures.references[first.rows])
        each = DRAWINGS * (time.monotonic() - drawing)
        left = budget - spent - (time.monotonic() - started)
        sizes = {split: len(self.collection.rows[split]) for split in ("dev", "test")}
        targets = min(int(0.5 * left / each), MOST_TEST)
        if targets < LEAST_TEST:
            raise UsageError(
                f"A budget of {budget:.0f} s leaves time to draw {max(0, targets)} pictures of test; {LEAST_TEST} are needed.",
                hint=f"--budget {4 * (LEAST_TEST * each + spent) / 60 + 1:.0f}m, fewer steps, or a smaller pipeline",
            )
        dev, test = min(targets, sizes["dev"], MOST_DEV), min(targets, sizes["test"])
        seconds = left - max(RESERVE * budget, test * each)
        steps = max(1, int(max(seconds, LEAST_TRAINING) / step))
        rate = self.recipe.batch / step
        return PaintPlan(budget, steps, seconds, self.recipe.bf16, dev, test, test * each, rate)

    def train(self, folder: Path, plan: PaintPlan, sheet: Sheet, tell: Tell) -> tuple[str, Mapping[str, Any]]:
        """See `atelier.Learner`."""
        chosen = self._learnt(MOST_LEARNT)
        tell(f"lora         {plan.steps:,} steps on {len(chosen)} pictures")
        recipe = replace(self.recipe, bf16=plan.bf16)
        pipeline = self._fresh().pipeline
        done = train_lora(
            pipeline, self._squares(chosen), self._prompts(chosen), folder, recipe=recipe, steps=plan.steps
        )
        write_json(folder / "config.json", {"model_type": LORA, "pipeline": self.spec})
        sheet.show(self.draw(folder))
        return f"a LoRA of rank {recipe.rank} for {self.spec}", asdict(done)

    def draw(self, folder: Path) -> Draw:
        """See `atelier.Learner`."""
        painter = load_generator(self.workspace, self.spec, lora=folder, ip_adapter=self.ip_adapter)
        assert isinstance(painter, DiffusersPainter)
        return by_pipeline(painter, self.collection)

    def pick(self, folder: Path, targets: Targets) -> int:
        """See `atelier.Learner`: steps and guidance of a pipeline are its own."""
        return 1

    def digest(self, folder: Path) -> str:
        """See `atelier.Learner`."""
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
        rows = np.array(
            [row for row in self.collection.rows["train"].tolist() if self.collection.listing.asked[row]], np.int64
        )
        if len(rows) <= most:
            return rows
        return np.sort(np.random.default_rng(self.recipe.seed).choice(rows, most, replace=False))

    def _squares(self, rows: Rows) -> Pixels:
        return squares(self.workspace, [self.collection.listing.medias[row] for row in rows.tolist()], self.live.side)

    def _prompts(self, rows: Rows) -> list[str]:
        """Words and style, as the pipeline is asked."""
        told = ((self.collection.listing.asked[row], self.collection.style_of(row)) for row in rows.tolist())
        return [f"{words}, {style} style" if style else words for words, style in told]


def open_pipeline_learner(session: Session, collection: Collection, perception: Perception) -> PipelineLearner:
    """The configured pipeline, ready to learn.

    Raises:
        UsageError: The configured generator is no pipeline, or the live release draws with another one.
        MissingError: It is not there.
    """
    spec = session.settings.image_generator
    manifest = live_manifest(session.workspace, session.catalog)
    live = painter_of(session.workspace, manifest, session.settings)
    if not isinstance(live, DiffusersPainter):
        raise UsageError(
            f"The live release draws with {live.name}, and image_generator names '{spec}'.",
            hint="take image_generator out of honed.toml to tune the former, or roll back to a release without it",
        )
    recipe = LoraRecipe(seed=session.settings.seed)
    adapter = session.settings.ip_adapter
    return PipelineLearner(session.workspace, spec, collection, perception, live, manifest.release, adapter, recipe)
