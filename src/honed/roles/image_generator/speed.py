"""How fast this machine trains and draws, measured on the user's own pictures in a few seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from honed.errors import missing_extra
from honed.models.painter.compact import CompactPainter, Orders
from honed.models.painter.sampler import Sampling
from honed.roles.image_generator.train import PainterTraining

try:
    import torch
except ImportError as error:
    raise missing_extra(error.name or "torch", "imagine") from error

ROUNDS = 4
DRAWN = 16


@dataclass(frozen=True, slots=True)
class PaintSpeed:
    """What was measured, in the faster of 32 and 16 bits.

    Attributes:
        steps: Training steps a second.
        calls: Pictures a second through the network when it draws; a picture takes `Sampling.steps` of them or more.
        bf16: Whether 16 bits were faster in training.
    """

    steps: float
    calls: float
    bf16: bool

    def affordable(self, seconds: float) -> int:
        """Training steps that fit into a time, at least one."""
        return max(1, int(self.steps * seconds))


def measure_speed(training: PainterTraining) -> PaintSpeed:
    """Time a few steps in both precisions, and a few calls of drawing in the faster one."""
    torch.set_num_threads(training.recipe.threads)
    courses = {bf16: replace(training, recipe=replace(training.recipe, bf16=bf16)) for bf16 in (False, True)}
    rates = {bf16: _training_rate(courses[bf16]) for bf16 in courses}
    bf16 = rates[True] > rates[False]
    return PaintSpeed(rates[bf16], _drawing_rate(courses[bf16]), bf16)


def _training_rate(training: PainterTraining) -> float:
    """Steps a second; the first warms up and the slowest may have been disturbed, so the median counts."""
    net = training.fresh_net()
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.0)
    spent = []
    for step in range(ROUNDS + 1):
        started = time.monotonic()
        loss = training.loss(net, step)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
        float(loss.detach())  # a GPU has finished only now
        spent.append(time.monotonic() - started)
    return 1.0 / max(float(np.median(spent[1:])), 1e-9)


def _drawing_rate(training: PainterTraining) -> float:
    """Pictures a second through one call of the network."""
    pictures = training.pictures
    painter = CompactPainter(training.config, training.fresh_net().eval(), name="probe")
    chosen = np.resize(training.rows, DRAWN)
    references = pictures.references[chosen]
    orders = Orders(
        pictures.pixels[references], references >= 0, pictures.styles[chosen], pictures.texts[chosen], range(DRAWN)
    )
    sampling = Sampling(steps=2, bf16=training.recipe.bf16)
    painter.paint(orders, sampling)
    started = time.monotonic()
    painter.paint(orders, sampling)
    return DRAWN * sampling.steps / max(time.monotonic() - started, 1e-9)
