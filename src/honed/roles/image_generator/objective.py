"""The loss of one step: flow matching with the finished picture as the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from honed.errors import missing_extra
from honed.models.painter.compact import to_tensor
from honed.models.painter.net import Condition, PainterNet
from honed.roles.image_generator.perceptual import PerceptualFeatures
from honed.roles.image_generator.pictures import Batch

try:
    import torch
except ImportError as error:
    raise missing_extra(error.name or "torch", "imagine") from error

NEAREST = 0.1
"""The distance to the end of time below which the weight of an error grows no more."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Where on the way from start to picture a step looks, and what an error counts there.

    Attributes:
        mean: Of the logit of the time (times are logit-normal, Esser et al. 2024, arXiv:2403.03206).
        deviation: Of it.
        power: An error at time t counts `(1 - t) ** -power`; errors fall towards the end, so every part has its say.
        perceptual: Weight of the distance between feature maps. Squared error alone draws the blurred mean of all that
            could be meant (Lee et al. 2024, arXiv:2405.20320, train rectified flows with it as well).
    """

    mean: float = -3.0
    deviation: float = 2.0
    power: float = 0.5
    perceptual: float = 0.5

    def times(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Random times, 0 for the start and 1 for the picture."""
        return torch.sigmoid(self.mean + self.deviation * torch.randn(count, generator=generator))


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """The loss of a step: a pure function of the step and the weights, given the seed.

    Attributes:
        flow: Times and weights.
        perception: For feature maps; None leaves them out.
        seed: Of the training.
        bf16: Matrix products in 16 bits.
    """

    flow: Flow
    perception: PerceptualFeatures | None
    seed: int
    bf16: bool

    def __call__(self, net: PainterNet, batch: Batch, step: int) -> torch.Tensor:
        """The weighted error of the network's estimate on a batch."""
        device = net.ground.device
        generator = torch.Generator().manual_seed(int(np.random.default_rng([self.seed, 2, step]).integers(2**62)))
        target = to_tensor(batch.targets).to(device)
        time = self.flow.times(len(target), generator).to(device)
        noise = torch.randn(target.shape, generator=generator).to(device)
        given = condition_of(batch, device)
        share = time[:, None, None, None]
        drawing = (1 - share) * net.start(noise, given) + share * target
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            estimate = net(drawing, time, given)
            unlike = self._unlike(estimate, target)
        error = (estimate.float() - target).square().mean(dim=(1, 2, 3))
        weight: torch.Tensor = (1 - time).clamp_min(NEAREST).pow(-self.flow.power)
        loss: torch.Tensor = (error * weight).mean() + self.flow.perceptual * unlike
        return loss

    def _unlike(self, estimate: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if self.perception is None or not self.flow.perceptual:
            return torch.zeros((), device=target.device)
        return self.perception.loss(estimate, target).mean()


def condition_of(batch: Batch, device: torch.device) -> Condition:
    """A batch's references, styles and texts as the network takes them."""
    return Condition(
        references=to_tensor(batch.references).to(device),
        present=_numbers(batch.present, device),
        style=torch.from_numpy(batch.styles).to(device),
        text=torch.from_numpy(np.ascontiguousarray(batch.texts, np.float32)).to(device),
        worded=_numbers(batch.worded, device),
        altered=_numbers(batch.altered, device),
    )


def _numbers(marks: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(marks.astype(np.float32)).to(device)
