"""Who learns to draw in a run of the image generator: the compact painter; for a pipeline of diffusers see `pipeline`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from honed.models.painter.compact import CompactPainter, painter_digest, read_painter, write_sampling
from honed.models.painter.config import PainterConfig
from honed.models.registry import load
from honed.models.vision.folder import package_tower
from honed.release.build import part_of
from honed.release.manifest import IMAGE_GENERATOR
from honed.roles.image_generator.distance import map_distance
from honed.roles.image_generator.held_out import RETRIEVED, Draw, Targets, by_compact
from honed.roles.image_generator.perceptual import PerceptualFeatures
from honed.roles.image_generator.pictures import by_lot
from honed.roles.image_generator.plan import PAINTER, PICKED, SAMPLINGS, plan_painting
from honed.roles.image_generator.sample_grid import SampleGrid
from honed.roles.image_generator.snapshot import Snapshot
from honed.roles.image_generator.train import PainterTraining, PaintRecipe, train_painter
from honed.session import Session
from honed.tuning.plan import Clock, Plan, Stage
from honed.tuning.role import Progress

Taught = tuple[str, Mapping[str, Any]]
"""One line for a person about what was trained, and figures."""


class Learner(Protocol):
    """What is tuned, from its side: how it learns, and who draws then."""

    @property
    def key(self) -> dict[str, Any]:
        """What a run depends on besides the pictures."""

    @property
    def words(self) -> str:
        """Fingerprint of the document tower whose words it learns; empty where it reads words by itself."""

    def plan(self, clock: Clock) -> Plan:
        """Measure the machine and fit training and judging into the budget."""

    def train(self, folder: Path, stage: Stage, samples: SampleGrid, tell: Progress) -> Taught:
        """Learn, and write what was learnt to `folder`; a training that was killed goes on."""

    def pick(self, folder: Path, targets: Targets) -> int:
        """Settle on dev how what was learnt draws, and write it to `folder`; returns how many ways were tried."""

    def digest(self, folder: Path) -> str:
        """Fingerprint of what was written to `folder`, with how it draws."""

    def draw(self, folder: Path) -> Draw:
        """How what was written to `folder` draws, through the door that live drawing uses."""


def default_config(recipe: PaintRecipe) -> PainterConfig:
    """The shape of a new painter: 32 pixels and 2 million weights on a CPU, 64 pixels and 8 million on a GPU.

    More weights take fewer steps in the same minutes: see `benchmarks/images/painter_shapes.py`.
    """
    return PainterConfig() if recipe.place.type == "cpu" else PainterConfig(side=64, channels=(64, 128, 192))


@dataclass(frozen=True, slots=True, eq=False)
class CompactLearner:
    """Our own painter, from scratch or from where the live release left it.

    Attributes:
        training: With the network of the loss.
        judge: Who measures the drawings.
        sizes: Pictures of dev and of test that are drawn.
        start: Weights to go on from; None for random ones.
        live: Name of what draws now, or "".
    """

    training: PainterTraining
    judge: PerceptualFeatures
    sizes: tuple[int, int]
    start: Mapping[str, NDArray[Any]] | None
    live: str

    @property
    def key(self) -> dict[str, Any]:
        """See `Learner`."""
        settings = asdict(self.training.recipe)
        for name in ("threads", "device", "bf16"):
            settings.pop(name)
        return {"shape": repr(self.training.config), "live": self.live, "settings": repr(sorted(settings.items()))}

    @property
    def words(self) -> str:
        """See `Learner`."""
        return self.training.config.text_space

    def plan(self, clock: Clock) -> Plan:
        """See `Learner`."""
        return plan_painting(clock, self.training, self.judge, self.sizes)

    def train(self, folder: Path, stage: Stage, samples: SampleGrid, tell: Progress) -> Taught:
        """See `Learner`."""
        steps = stage.options["steps"]

        def watch(painter: CompactPainter, step: int) -> None:
            samples.show(by_compact(painter))
            tell(f"{PAINTER:<12} step {step:,} of {steps:,}")

        training = replace(self.training, recipe=replace(self.training.recipe, bf16=stage.options["bf16"]))
        trained = train_painter(training, folder, steps=steps, seconds=stage.seconds, start=self.start, watch=watch)
        config, weights = read_painter(folder)
        count = sum(int(np.prod(value.shape)) for value in weights.values())
        origin = "tuned further" if self.start else "trained from scratch"
        what = f"{config.side} pixels from {config.references} references, {count / 1e6:.1f} million weights, {origin}"
        return what, asdict(trained.fit)

    def pick(self, folder: Path, targets: Targets) -> int:
        """See `Learner`: guidance on references and words, and steps."""
        sample = replace(targets, rows=by_lot(targets.rows, PICKED, self.training.recipe.seed))
        truth, _ = self.judge(sample.pictures.pixels[sample.rows])
        distances = []
        for sampling in SAMPLINGS:
            painter = load("image-generator", f"compact:{folder}", sampling=sampling)
            drawn = by_compact(painter)(sample, sample.references(RETRIEVED))
            distances.append(map_distance(self.judge(drawn)[0], truth).mean())
        write_sampling(folder, SAMPLINGS[int(np.argmin(distances))])
        return len(SAMPLINGS)

    def digest(self, folder: Path) -> str:
        """See `Learner`."""
        return painter_digest(folder)

    def draw(self, folder: Path) -> Draw:
        """See `Learner`."""
        painter = load("image-generator", f"compact:{folder}")
        assert isinstance(painter, CompactPainter)
        return by_compact(painter)


def open_compact(
    session: Session, snapshot: Snapshot, recipe: PaintRecipe, judge: PerceptualFeatures
) -> CompactLearner:
    """The compact painter of the snapshot's shape, ready to learn."""
    collection, live = snapshot.collection, snapshot.live
    pictures = collection.pictures
    assert snapshot.config is not None
    config = replace(
        snapshot.config, styles=collection.styles, text=pictures.texts.shape[1], text_space=collection.text_space
    )
    start = None
    if isinstance(live, CompactPainter) and live.config == config:
        part = part_of(session.workspace, snapshot.release, IMAGE_GENERATOR)
        start = dict(read_painter(part.files[PAINTER])[1])
    trains = PerceptualFeatures.of(package_tower(), device=recipe.device)
    training = PainterTraining(pictures, collection.rows["train"], config, recipe, trains)
    sizes = len(collection.rows["dev"]), len(collection.rows["test"])
    return CompactLearner(training, judge, sizes, start, live.name if live else "")
