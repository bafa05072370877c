"""EfficientNet-Lite0 in torch, as the graph that serves it computes it: early blocks frozen, late ones learn.

Names of tensors are those of the state dict, so what was learned is written as a folder that `models.vision` opens. The
batch norms keep the statistics of the base; their gains and shifts learn. Frozen blocks run in bfloat16 where that is
faster: forward alone it is 2.5 times as fast here, but backward through depthwise convolutions it is slower than float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import adaptive_avg_pool2d, conv2d, pad, relu6

from honed.models.vision.efficientnet import EPSILON, NORM_PARTS, Block, blocks, checked
from honed.models.vision.folder import EncoderConfig, ImageTower
from honed.models.vision.prepare import Pixels

ENCODED = 48  # pictures a forward pass without gradient

Maps = Sequence[tuple[int, int]]
"""(block, grid): feature maps that are pooled to grid x grid cells and join the descriptor."""


def maps_of(config: EncoderConfig) -> tuple[tuple[int, int], ...]:
    """The maps that a descriptor has besides the last one; none for an encoder that knows only the last."""
    return tuple((int(block), int(grid)) for block, grid in getattr(config, "maps", ()))


class LearningEncoder:
    """An image encoder whose blocks from `first_block` on are trained.

    Attributes:
        parameters: What learns, by its name in the state dict.
    """

    def __init__(self, tower: ImageTower, *, first_block: int, bf16: bool = False) -> None:
        self.config = tower.config
        self.first_block = first_block
        self.bf16 = bf16
        self._maps = dict(maps_of(tower.config))
        self._blocks = list(blocks())
        self._tensors = {name: _laid_out(torch.from_numpy(np.array(v))) for name, v in checked(tower.tensors()).items()}
        self.parameters: dict[str, torch.nn.Parameter] = {
            name: torch.nn.Parameter(value)
            for name, value in self._tensors.items()
            if self._learns(name) and not name.endswith(NORM_PARTS[2:])
        }
        self._tensors.update(self.parameters)

    def _learns(self, name: str) -> bool:
        if name.startswith("_blocks."):
            return int(name.split(".")[1]) >= self.first_block
        return name.startswith(("_conv_head.", "_bn1."))

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """Descriptors [n, d] of pictures [n, 3, side, side] with values from 0 to 255; the gradient reaches `parameters`."""
        preparation = self.config.preparation
        mean, deviation = (torch.tensor(part).view(1, 3, 1, 1) for part in (preparation.mean, preparation.deviation))
        states = ((pictures - mean) / deviation).contiguous(memory_format=torch.channels_last)
        pooled_maps: list[torch.Tensor] = []
        with torch.no_grad(), self._precision():
            states = self._conv(states, "_conv_stem", "_bn0", stride=2)
            for number in range(self.first_block):
                states = self._block(states, number, pooled_maps)
        states = states.float()
        for number in range(self.first_block, len(self._blocks)):
            states = self._block(states, number, pooled_maps)
        last = self._conv(states, "_conv_head", "_bn1")
        power = self.config.gem
        pooled = last.mean((2, 3)) if power == 1 else last.clamp_min(1e-6).pow(power).mean((2, 3)).pow(1 / power)
        return torch.cat([pooled, *(part.float() for part in pooled_maps)], dim=1)

    def encode(self, pixels: Pixels) -> NDArray[np.float32]:
        """Descriptors of prepared pictures [n, side, side, 3], without gradient."""
        with torch.inference_mode():
            parts = [self(as_floats(pixels[at : at + ENCODED])).numpy() for at in range(0, len(pixels), ENCODED)]
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The whole state dict as it is now, a copy."""
        return {
            name: np.array(value.detach().contiguous().numpy(), np.float32) for name, value in self._tensors.items()
        }

    def blend(self, before: Mapping[str, NDArray[Any]], after: Mapping[str, NDArray[Any]], share: float) -> None:
        """Set what learns to (1 - share) of `before` and `share` of `after`."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(torch.from_numpy((1 - share) * before[name] + share * after[name]))

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast("cpu", torch.bfloat16) if self.bf16 else nullcontext()

    def _block(self, states: torch.Tensor, number: int, pooled_maps: list[torch.Tensor]) -> torch.Tensor:
        block, name = self._blocks[number], f"_blocks.{number}"
        inner = states
        if block.expand != 1:
            inner = self._conv(inner, f"{name}._expand_conv", f"{name}._bn0")
        inner = self._conv(inner, f"{name}._depthwise_conv", f"{name}._bn1", stride=block.stride, each=True)
        inner = self._conv(inner, f"{name}._project_conv", f"{name}._bn2", relu=False)
        if _residual(block):
            inner = inner + states
        if number in self._maps:
            pooled_maps.append(adaptive_avg_pool2d(inner, self._maps[number]).flatten(1))
        return inner

    def _conv(
        self, states: torch.Tensor, name: str, norm: str, *, stride: int = 1, each: bool = False, relu: bool = True
    ) -> torch.Tensor:
        """A convolution and its batch norm as one, padded as TensorFlow pads."""
        gain, shift, mean, variance = (self._tensors[f"{norm}.{part}"] for part in NORM_PARTS)
        gain = gain / torch.sqrt(variance + EPSILON)
        weight = self._tensors[f"{name}.weight"] * gain[:, None, None, None]
        total = weight.shape[-1] - stride
        groups = weight.shape[0] if each else 1
        if total % 2:
            states = pad(states, [total // 2, total - total // 2] * 2)
        value = conv2d(states, weight, shift - mean * gain, stride, 0 if total % 2 else total // 2, groups=groups)
        return relu6(value) if relu else value


def as_floats(pixels: Pixels) -> torch.Tensor:
    """Pixels [n, side, side, 3] as a tensor [n, 3, side, side] of floats from 0 to 255."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float()


def _residual(block: Block) -> bool:
    return block.stride == 1 and block.inputs == block.outputs


def _laid_out(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
