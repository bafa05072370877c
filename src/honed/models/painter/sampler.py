"""From a noised reference to a picture in a few steps, with references and words turned up or down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from honed.errors import UsageError, missing_extra
from honed.models.painter.net import Condition, PainterNet

try:
    import torch
except ImportError as error:
    raise missing_extra(error.name or "torch", "imagine") from error

Tensor = torch.Tensor

LAST = 1e-3
"""The distance to the end of time below which the estimate itself is taken."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a picture is drawn.

    Attributes:
        steps: Calls of the network (times two with `heun`, but for the last).
        references: Guidance on the references: 1 as trained, above it they count more, 0 they do not count.
        words: The same for text and style.
        shift: Above 1, more of the steps are spent near the noise, where the references decide what will be drawn
            (Esser et al. 2024, arXiv:2403.03206).
        temperature: Of the noise that the drawing begins with: below 1 drawings vary less and are nearer to what is meant.
        heun: Each step is corrected by a look at where it leads.
        bf16: Matrix products in 16 bits; faster where the processor knows them.
    """

    steps: int = 2
    references: float = 1.0
    words: float = 1.0
    shift: float = 1.0
    temperature: float = 0.5
    heun: bool = False
    bf16: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1 or self.shift <= 0 or self.temperature < 0:
            raise UsageError(
                f"A picture cannot be drawn in {self.steps} steps with shift {self.shift} and temperature {self.temperature}.",
                hint="try 12 steps",
            )

    def times(self) -> list[float]:
        """Where the steps begin and end: `steps + 1` times from 0 to 1."""
        even = [step / self.steps for step in range(self.steps + 1)]
        return [time / (self.shift - (self.shift - 1.0) * time) for time in even]


def noise_of(seeds: Sequence[int], side: int) -> Tensor:
    """What varies between drawings: [len(seeds), 3, side, side]. Each has a generator of its own, so batches change nothing."""
    rows = [torch.randn(3, side, side, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows)


@torch.no_grad()
def draw(net: PainterNet, noise: Tensor, given: Condition, sampling: Sampling) -> Tensor:
    """Finished pictures [b, 3, side, side], pixels from -1 to 1, from noise of that shape (Euler's or Heun's method)."""
    estimate = guided(net, given, sampling)
    times = sampling.times()
    drawing = net.start(sampling.temperature * noise, given)
    for here, there in pairwise(times):
        speed = _speed(estimate, drawing, here)
        ahead = drawing + (there - here) * speed
        if sampling.heun and there < 1.0 - LAST:
            ahead = drawing + (there - here) * (speed + _speed(estimate, ahead, there)) / 2
        drawing = ahead
    return drawing.clamp(-1.0, 1.0)


Estimate = Callable[[Tensor, float], Tensor]


def _speed(estimate: Estimate, drawing: Tensor, time: float) -> Tensor:
    """Change of the drawing a unit of time, on the straight way to where it will be."""
    return (estimate(drawing, time) - drawing) / max(1.0 - time, LAST)


def guided(net: PainterNet, given: Condition, sampling: Sampling) -> Estimate:
    """The estimate under guidance on two conditions (Brooks et al. 2023, arXiv:2211.09800): one to three calls of the network.

    With everything taken away, what is added back is `references` times what the references change, and `words` times what
    the words change once the references are there.
    """
    parts = [
        (sampling.words, given),
        (sampling.references - sampling.words, given.without_words()),
        (1.0 - sampling.references, given.without_words().without_references()),
    ]
    if not bool(given.present.any()):  # then the last two are the same
        parts = [(sampling.words, given), (1.0 - sampling.words, given.without_words())]
    parts = [(share, condition) for share, condition in parts if abs(share) > 1e-9]

    def estimate(drawing: Tensor, time: float) -> Tensor:
        clock = torch.full((len(drawing),), time, device=drawing.device)
        with torch.autocast(drawing.device.type, torch.bfloat16, enabled=sampling.bf16):
            estimates = [share * net(drawing, clock, condition) for share, condition in parts]
        return torch.stack(estimates).sum(0)

    return estimate
