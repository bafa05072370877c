"""Who learns to draw in a turn of the image generator, and who judges: the compact painter, or a pipeline of diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from honed.errors import UsageError
from honed.models.painter.compact import CompactPainter, painter_digest, read_painter, write_sampling
from honed.models.painter.config import PainterConfig
from honed.models.registry import load
from honed.models.runtime import cores
from honed.models.vision.folder import package_tower
from honed.release.build import live_manifest
from honed.release.open import painter_of
from honed.roles.image_generator.collection import Collection, collect
from honed.roles.image_generator.distance import map_distance
from honed.roles.image_generator.perception import Perception
from honed.roles.image_generator.plan import PICKED, SAMPLINGS, PaintPlan, chosen_targets, plan_painting
from honed.roles.image_generator.sheet import Sheet
from honed.roles.image_generator.train import Course, PaintRecipe, train_painter
from honed.roles.image_generator.trial import RETRIEVED, Draw, Targets, by_compact, real_threshold
from honed.session import Session
from honed.tuning.nouns import Tell
from honed.types import Split

REAL_PICTURES = 600
"""Train pictures whose distances to their references say what a near-copy is."""

Taught = tuple[str, Mapping[str, Any]]
"""One line for a person about what was trained, and figures."""


class Learner(Protocol):
    """What is tuned, from its side: how it learns, and who draws then."""

    @property
    def key(self) -> dict[str, Any]:
        """What a run depends on besides the pictures."""

    @property
    def before(self) -> tuple[str, Draw] | None:
        """Name of what is live, and how it draws; None where nothing draws yet."""

    def plan(self, budget: float, spent: float) -> PaintPlan:
        """Measure the machine and fit training and judging into the budget."""

    def train(self, folder: Path, plan: PaintPlan, sheet: Sheet, tell: Tell) -> Taught:
        """Learn, and write what was learnt to `folder`; a training that was killed goes on."""

    def pick(self, folder: Path, targets: Targets) -> int:
        """Settle on dev how what was learnt draws, and write it to `folder`; returns how many ways were tried."""

    def digest(self, folder: Path) -> str:
        """Fingerprint of what was written to `folder`, with how it draws."""

    def draw(self, folder: Path) -> Draw:
        """How what was written to `folder` draws, through the door that live drawing uses."""


@dataclass(frozen=True, slots=True, eq=False)
class Atelier:
    """One turn's pictures, learner and judge.

    Attributes:
        perception: Who judges; no painter is trained by it.
        threshold: Distance below which a drawing is nearly a copy.
    """

    collection: Collection
    learner: Learner
    perception: Perception
    threshold: float
    seed: int

    def targets(self, split: Split, count: int) -> Targets:
        """So many held-out pictures, by lot; random references come from all of the split that may be drawn."""
        rows = self.collection.rows[split]
        chosen = chosen_targets(rows, count, self.seed)
        return Targets(self.collection.pictures, chosen, rows, self.threshold, self.seed)


def open_atelier(
    session: Session, tell: Tell, recipe: PaintRecipe | None = None, config: PainterConfig | None = None
) -> Atelier:
    """Read the pictures, find their references through the live search, and take what draws now.

    A compact painter learns, unless `image_generator` in the settings names a pipeline of diffusers.

    Raises:
        UsageError: There are too few pictures, or none has words to be asked for by.
        MissingError: The weights of the network that judges are not installed.
    """
    perception = Perception.judge(device=recipe.device if recipe else "")
    seed = session.settings.seed
    learner: Learner
    if session.settings.image_generator:
        from honed.roles.image_generator.pipeline import PIPELINE_SIDE, REFERENCES, open_pipeline_learner

        collection = collect(session, PIPELINE_SIDE, REFERENCES, tell)
        learner = open_pipeline_learner(session, collection, perception)
    else:
        recipe = replace(recipe or PaintRecipe(), seed=seed, threads=cores(session.settings.threads))
        live, folder = _live(session)
        config = config or (live.config if live else default_config(recipe))
        if live and (config.side, config.references) != (live.config.side, live.config.references):
            raise UsageError(
                f"The live painter draws {live.config.side} pixels from {live.config.references} references; a painter of "
                "another shape cannot be compared with it.",
                hint="leave the shape as it is, or roll back to a release without a painter first",
            )
        collection = collect(session, config.side, config.references, tell)
        learner = _compact(collection, perception, _Start(recipe, config, live, folder))
    train = collection.rows["train"]
    some = np.random.default_rng(seed).choice(train, min(REAL_PICTURES, len(train)), replace=False)
    return Atelier(collection, learner, perception, real_threshold(collection.pictures, some, perception), seed)


def default_config(recipe: PaintRecipe) -> PainterConfig:
    """The shape of a new painter: 32 pixels and 2 million weights on a CPU, 64 pixels and 8 million on a GPU.

    More weights take fewer steps in the same minutes: on dev of emoji-images after 5 minutes of two cores the distance to the
    true drawing is .463 with 2.0 million (740 steps), .468 with 4.3 million (507 steps): `benchmarks/images/painter_shapes.py`.
    """
    return PainterConfig() if recipe.place.type == "cpu" else PainterConfig(side=64, channels=(64, 128, 192))


def _live(session: Session) -> tuple[CompactPainter | None, Path]:
    """The live release's painter, if it is a compact one, and its folder."""
    manifest = live_manifest(session.workspace, session.catalog)
    folder = session.workspace.releases / manifest.release / manifest.painter
    painter = painter_of(session.workspace, manifest, session.settings) if manifest.painter else None
    return (painter if isinstance(painter, CompactPainter) else None), folder


@dataclass(frozen=True, slots=True, eq=False)
class _Start:
    recipe: PaintRecipe
    config: PainterConfig
    live: CompactPainter | None
    folder: Path


def _compact(collection: Collection, perception: Perception, start: _Start) -> CompactLearner:
    pictures = collection.pictures
    config = replace(
        start.config, styles=collection.styles, text=pictures.texts.shape[1], text_space=collection.text_space
    )
    weights = dict(read_painter(start.folder)[1]) if start.live and start.live.config == config else None
    trains = Perception.of(package_tower(), device=start.recipe.device)
    course = Course(pictures, collection.rows["train"], config, start.recipe, trains)
    sizes = len(collection.rows["dev"]), len(collection.rows["test"])
    return CompactLearner(course, perception, sizes, weights, start.live, start.folder.parent.name)


@dataclass(frozen=True, slots=True, eq=False)
class CompactLearner:
    """Our own painter, from scratch or from where the live release left it.

    Attributes:
        course: With the network of the loss.
        perception: Who judges.
        sizes: Pictures of dev and of test.
        start: Weights to go on from; None for random ones.
        live: What draws now.
        release: Its release.
    """

    course: Course
    perception: Perception
    sizes: tuple[int, int]
    start: Mapping[str, NDArray[Any]] | None
    live: CompactPainter | None
    release: str

    @property
    def key(self) -> dict[str, Any]:
        """See `Learner`."""
        settings = asdict(self.course.recipe)
        for name in ("threads", "device", "bf16"):
            settings.pop(name)
        return {
            "shape": repr(self.course.config),
            "live": self.live.name if self.live else "",
            "settings": repr(sorted(settings.items())),
        }

    @property
    def before(self) -> tuple[str, Draw] | None:
        """See `Learner`."""
        if self.live is None:
            return None
        draw = by_compact(self.live)
        return self.release, lambda targets, references: draw(self._as_then(targets), references)

    def plan(self, budget: float, spent: float) -> PaintPlan:
        """See `Learner`."""
        return plan_painting(budget, spent, self.course, self.perception, self.sizes)

    def train(self, folder: Path, plan: PaintPlan, sheet: Sheet, tell: Tell) -> Taught:
        """See `Learner`."""

        def watch(painter: CompactPainter, step: int) -> None:
            sheet.show(by_compact(painter))
            tell(f"painter      step {step:,} of {plan.steps:,}")

        course = replace(self.course, recipe=replace(self.course.recipe, bf16=plan.bf16))
        trained = train_painter(course, folder, steps=plan.steps, seconds=plan.seconds, start=self.start, watch=watch)
        config, weights = read_painter(folder)
        count = sum(int(np.prod(value.shape)) for value in weights.values())
        origin = "tuned further" if self.start else "trained from scratch"
        what = f"{config.side} pixels from {config.references} references, {count / 1e6:.1f} million weights, {origin}"
        return what, asdict(trained.fit)

    def pick(self, folder: Path, targets: Targets) -> int:
        """See `Learner`: guidance on references and words, and steps."""
        some = replace(targets, rows=chosen_targets(targets.rows, PICKED, self.course.recipe.seed))
        truth, _ = self.perception(some.pictures.pixels[some.rows])
        distances = []
        for sampling in SAMPLINGS:
            painter = load("image-generator", f"compact:{folder}", sampling=sampling)
            drawn = by_compact(painter)(some, some.references(RETRIEVED))
            distances.append(map_distance(self.perception(drawn)[0], truth).mean())
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

    def _as_then(self, targets: Targets) -> Targets:
        """The targets as the live painter understands them: styles by its numbers, words only if it knows their space."""
        assert self.live is not None
        pictures, now, then = targets.pictures, self.course.config, self.live.config
        numbers = [0] + [then.styles.index(name) + 1 if name in then.styles else 0 for name in now.styles]
        worded = now.text_space == then.text_space
        texts = pictures.texts if worded else np.zeros((len(pictures.texts), then.text), np.float32)
        return replace(targets, pictures=replace(pictures, styles=np.array(numbers)[pictures.styles], texts=texts))
