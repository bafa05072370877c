"""Train a compact painter from scratch, or further from where a release left it."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import UsageError, missing_extra
from honed.models.painter.compact import CompactPainter, load_weights, to_tensor, write_painter
from honed.models.painter.config import PainterConfig
from honed.models.painter.net import PainterNet
from honed.roles.image_generator.objective import Flow, Objective
from honed.roles.image_generator.perceptual import PerceptualFeatures
from honed.roles.image_generator.pictures import Augmentation, Pictures, Rows, batch_of
from honed.train.fit import Checkpoint, Fit, Schedule, fit

try:
    import torch
except ImportError as error:
    raise missing_extra(error.name or "torch", "imagine") from error

WATCH_SECONDS = 60.0
"""Between two looks at what the painter draws."""

Watch = Callable[[CompactPainter, int], None]
"""Shown the painter as it is (running average of its weights) and the number of steps done, now and then."""


@dataclass(frozen=True, slots=True)
class PaintRecipe:
    """How a painter learns.

    Attributes:
        steps: Of training, at most; 0 for as many as the budget allows.
        batch: Pictures a step. Small: with minutes to train, the number of steps is what is scarce.
        rate: Peak learning rate of AdamW.
        average: Decay of the running average of the weights, which is what draws.
        threads: Cores.
        bf16: Matrix products in 16 bits (`speed.measure_speed` tells whether that is faster here).
        device: Empty for a GPU if there is one.
    """

    seed: int = 13
    steps: int = 0
    batch: int = 16
    rate: float = 2e-3
    warmup: float = 0.02
    weight_decay: float = 0.01
    average: float = 0.998
    threads: int = 2
    bf16: bool = False
    device: str = ""
    flow: Flow = field(default_factory=Flow)
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def place(self) -> torch.device:
        """The device to train on."""
        return torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))


@dataclass(frozen=True, slots=True, eq=False)
class PainterTraining:
    """What is learnt, by what, and how.

    Attributes:
        pictures: What there is.
        rows: The pictures of train; their references lie among them, or the test would be trained on.
        config: Shape of the painter.
        recipe: How it learns.
        perception: The image encoder's maps, which the loss looks at as well; None leaves them out.

    Raises:
        UsageError: The pictures do not fit the shape, or references reach outside of `rows`.
    """

    pictures: Pictures
    rows: Rows
    config: PainterConfig
    recipe: PaintRecipe
    perception: PerceptualFeatures | None = None

    def __post_init__(self) -> None:
        pictures, config = self.pictures, self.config
        side, slots, text = pictures.pixels.shape[1], pictures.references.shape[1], pictures.texts.shape[1]
        if (side, slots, text) != (config.side, config.references, config.text):
            raise UsageError(
                f"Pictures of {side} pixels with {slots} references and texts of {text} numbers do not fit a painter of "
                f"{config.side} pixels, {config.references} references and {config.text} numbers."
            )
        used = pictures.references[self.rows]
        if not np.isin(used[used >= 0], self.rows).all():
            raise UsageError("A picture of train has references outside of train.")
        if int(pictures.styles.max(initial=0)) > len(config.styles):
            raise UsageError("A picture has a style that the painter has no name for.")

    def loss(self, net: PainterNet, step: int) -> torch.Tensor:
        """The loss of a step: a pure function of the step and the weights."""
        recipe = self.recipe
        batch = batch_of(
            self.pictures, self.rows, seed=recipe.seed, step=step, size=recipe.batch, augmentation=recipe.augmentation
        )
        return Objective(recipe.flow, self.perception, recipe.seed, recipe.bf16)(net, batch, step)

    def fresh_net(self, start: Mapping[str, NDArray[Any]] | None = None) -> PainterNet:
        """A network with the weights `start`, or with random ones of the seed and the mean picture of train."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed)
            net = PainterNet(self.config)
        if start is None:
            mean = self.pictures.pixels[self.rows].mean(axis=0)
            net.ground.copy_(to_tensor(np.round(mean).astype(np.uint8)))
        else:
            load_weights(net, start)
        return net.to(self.recipe.place).train()

    def key(self, steps: int, start: Mapping[str, NDArray[Any]] | None = None) -> str:
        """Names a checkpoint by all that its weights depend on, so that one of another training is never taken up."""
        recipe = {name: value for name, value in asdict(self.recipe).items() if name not in ("threads", "device")}
        settings = [self.config.to_json(), recipe, self.perception is not None, steps]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        pictures = self.pictures
        arrays = [pictures.pixels, pictures.texts, pictures.styles, pictures.references, self.rows]
        for part in (*arrays, *(value for _, value in sorted((start or {}).items()))):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Trained:
    """A painter that was written, and how it was trained."""

    folder: Path
    fit: Fit


def train_painter(
    training: PainterTraining,
    folder: Path,
    *,
    steps: int,
    seconds: float = math.inf,
    start: Mapping[str, NDArray[Any]] | None = None,
    watch: Watch | None = None,
) -> Trained:
    """Train, and write the painter to `folder`; a training that was killed goes on where it was.

    Args:
        training: What is learnt.
        folder: For the painter, and for the checkpoint while it is unfinished.
        steps: Planned, from the speed that `measure_speed` found.
        seconds: Time limit; the learning rate falls with the clock if that is faster.
        start: Weights to go on from, such as those of the live release; None starts from scratch.
        watch: Shown the painter after the first step, about once a minute, and at the end.

    Raises:
        HonedError: The loss is not a number, or no weight moved.
    """
    recipe = training.recipe
    torch.set_num_threads(recipe.threads)
    net = training.fresh_net(start)
    mean = {name: value.detach().clone() for name, value in net.state_dict().items()}
    watched = _Watched(training, mean, watch)

    def after(step: int, _: float) -> None:
        average(mean, net, min(recipe.average, step / (step + 9)))
        watched.now_and_then(step)

    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(folder, training.key(steps, start))
    done = fit(
        dict(net.named_parameters()),
        lambda step: training.loss(net, step),
        Schedule(steps, recipe.rate, seconds, warmup=recipe.warmup, weight_decay=recipe.weight_decay),
        checkpoint=checkpoint,
        on_step=after,
        kept=mean,
    )
    watched.now(done.steps)
    write_painter(folder, training.config, {name: value.cpu().numpy() for name, value in mean.items()})
    for left in folder.glob("checkpoint-*"):  # also one of other settings
        left.unlink(missing_ok=True)
    return Trained(folder, done)


@torch.no_grad()
def average(mean: Mapping[str, torch.Tensor], net: PainterNet, decay: float) -> None:
    """Move the running average towards the weights; a mean over about the last `1 / (1 - decay)` steps."""
    for name, value in net.state_dict().items():
        mean[name].lerp_(value, 1.0 - decay)


class _Watched:
    """Lets somebody watch: a second network with the running average, made whenever it is shown."""

    def __init__(self, training: PainterTraining, mean: Mapping[str, torch.Tensor], watch: Watch | None) -> None:
        self._training = training
        self._mean = mean
        self._watch = watch
        self._next = 0.0

    def now_and_then(self, step: int) -> None:
        """Show it if the last look is a while ago."""
        if self._watch is not None and time.monotonic() >= self._next:
            self.now(step)

    def now(self, step: int) -> None:
        """Show it."""
        if self._watch is None:
            return
        net = self._training.fresh_net({name: value.cpu().numpy() for name, value in self._mean.items()}).eval()
        self._watch(CompactPainter(self._training.config, net, name="in training"), step)
        self._next = time.monotonic() + WATCH_SECONDS
