"""The one training loop: warm-up and linear decay, clipped AdamW, a deadline, checkpoints that survive `kill -9`."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from honed.errors import HonedError, IntegrityError
from honed.models.weights import Weights, write_weights
from honed.workspace import fsync_folder

CHECKPOINT_SECONDS = 30.0
"""Between checkpoints: one holds the weights and the optimiser's moments, so making it durable takes a noticeable time."""

_MOMENTS = ("exp_avg", "exp_avg_sq")
"""Moments that AdamW keeps of each parameter."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Steps, learning rate and time limit of a training loop.

    Attributes:
        steps: Planned gradient steps.
        rate: Peak learning rate.
        seconds: Time limit. The rate falls with time if the machine turns out slower than planned, so that a run which
            is cut short has still come to rest.
    """

    steps: int
    rate: float
    seconds: float
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0

    def rate_at(self, step: int, elapsed: float) -> float:
        """Learning rate of a step, 0 when there is no step left."""
        if step >= self.steps or elapsed >= self.seconds:
            return 0.0
        progress = max(step / self.steps, elapsed / self.seconds)
        return self.rate * min(1.0, (step + 1) / max(1.0, self.warmup * self.steps)) * (1.0 - progress)


@dataclass(frozen=True, slots=True)
class Fit:
    """Result of a training loop: losses are means over the first and the last tenth of its steps."""

    steps: int
    seconds: float
    first_loss: float
    last_loss: float
    moved: float
    """Largest relative change of any trained tensor: norm of the change over norm before, or itself where that was 0."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The place of an unfinished loop's state; `key` ties it to data and settings, so that it fits or is ignored."""

    folder: Path
    key: str

    @property
    def path(self) -> Path:
        """The file; its name holds the key."""
        return self.folder / f"checkpoint-{self.key}.safetensors"


def fit(
    parameters: Mapping[str, torch.nn.Parameter],
    loss_of: Callable[[int], torch.Tensor],
    schedule: Schedule,
    *,
    checkpoint: Checkpoint | None = None,
    on_step: Callable[[int, float], None] | None = None,
    kept: Mapping[str, torch.Tensor] | None = None,
) -> Fit:
    """Run the schedule; `loss_of(step)` must be a pure function of the step and the weights.

    A training that goes on from a checkpoint whose time was spent already gives what the checkpoint holds.

    Args:
        parameters: What is trained, by name.
        loss_of: The loss of a step, numbered from 0.
        schedule: How long and how fast.
        checkpoint: Where the state is kept; None keeps none.
        on_step: Told the number of steps done and the loss, after each.
        kept: Tensors that `on_step` changes in place, such as a running average of the weights: a resumed run has them
            as they were.

    Raises:
        HonedError: The loss is not a number, no weight moved, or there was no time for a single step: the candidate must
            not be used.
    """
    optimiser = torch.optim.AdamW(parameters.values(), lr=schedule.rate, weight_decay=schedule.weight_decay)
    before = {name: value.detach().clone() for name, value in parameters.items()}
    companions = {f"before/{name}": value for name, value in before.items()}
    companions |= {f"kept/{name}": value for name, value in (kept or {}).items()}
    losses, spent = _resume(checkpoint, parameters, companions, optimiser)
    step = len(losses)
    started = saved = time.monotonic()
    while (rate := schedule.rate_at(step, spent + time.monotonic() - started)) > 0.0:
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = loss_of(step)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise HonedError(f"The loss became {value} at step {step}.", hint="lower the learning rate")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters.values(), schedule.clip)
        optimiser.step()
        losses.append(value)
        step += 1
        if on_step:
            on_step(step, value)
        if checkpoint and time.monotonic() - saved > CHECKPOINT_SECONDS:
            _save(checkpoint, losses, spent + time.monotonic() - started, companions, optimiser, parameters)
            saved = time.monotonic()
    if not losses:
        raise HonedError("There was no time for a single step of training.", hint="give a larger --budget")
    moved = _moved(before, parameters)
    if moved == 0.0:
        raise HonedError(
            "Training ended but no weight moved.", hint="this is a defect: please report it with the run's folder"
        )
    tenth = max(1, len(losses) // 10)
    first, last = (float(np.mean(part)) for part in (losses[:tenth], losses[-tenth:]))
    return Fit(step, spent + time.monotonic() - started, first, last, moved)


def _moved(before: Mapping[str, torch.Tensor], parameters: Mapping[str, torch.nn.Parameter]) -> float:
    changes = []
    for name, value in parameters.items():
        length = float(before[name].norm())
        changes.append(float((value.detach() - before[name]).norm()) / (length or 1.0))
    return max(changes, default=0.0)


def _save(
    checkpoint: Checkpoint,
    losses: Sequence[float],
    seconds: float,
    companions: Mapping[str, torch.Tensor],
    optimiser: torch.optim.Optimizer,
    parameters: Mapping[str, torch.nn.Parameter],
) -> None:
    tensors: dict[str, np.ndarray[Any, Any]] = {name: value.cpu().numpy() for name, value in companions.items()}
    for name, parameter in parameters.items():
        state = optimiser.state[parameter]
        tensors[f"weight/{name}"] = parameter.detach().cpu().numpy()
        for part in _MOMENTS:
            tensors[f"{part}/{name}"] = state[part].cpu().numpy()
    tensors["progress"] = np.array([len(losses), seconds], np.float64)
    tensors["losses"] = np.array(losses, np.float64)
    half = checkpoint.path.with_suffix(".tmp")
    write_weights(half, tensors)
    with half.open("rb") as file:
        os.fsync(file.fileno())
    half.replace(checkpoint.path)
    fsync_folder(checkpoint.folder)


def _resume(
    checkpoint: Checkpoint | None,
    parameters: Mapping[str, torch.nn.Parameter],
    companions: Mapping[str, torch.Tensor],
    optimiser: torch.optim.Optimizer,
) -> tuple[list[float], float]:
    """Take up a checkpoint that fits; returns the losses of the steps that are behind it and their seconds, or nothing."""
    if checkpoint is None or not checkpoint.path.is_file():
        return [], 0.0
    moments = [f"{part}/{name}" for part in _MOMENTS for name in parameters]
    names = ["progress", "losses", *companions, *(f"weight/{name}" for name in parameters), *moments]
    try:
        saved = Weights(checkpoint.path)
        tensors = {name: torch.from_numpy(np.array(saved[name])) for name in names}
    except (IntegrityError, KeyError, ValueError):
        return [], 0.0
    for name, value in companions.items():
        value.copy_(tensors[name])
    losses: list[float] = tensors["losses"].tolist()
    for name, parameter in parameters.items():
        parameter.data.copy_(tensors[f"weight/{name}"])
        state = {part: tensors[f"{part}/{name}"].to(parameter.device) for part in _MOMENTS}
        optimiser.state[parameter] = {"step": torch.tensor(float(len(losses))), **state}
    return losses, float(tensors["progress"][1])
