"""Feature maps of pictures: from one network's weights for the loss of a painter, from another's for those who judge it.

A painter that is trained to please a network pleases it also where nobody sees a likeness. So what judges (`map_distance`, KID,
near-copies) is EfficientNet-Lite1, and what trains is the image encoder's EfficientNet-Lite0: they share no weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import missing_extra
from honed.models.painter.compact import to_tensor
from honed.models.vision.efficientnet import EPSILON, LITE0, LITE1, Block, blocks, checked
from honed.models.vision.folder import ImageTower, judge_tensors

try:
    import torch
    from torch.nn import functional
except ImportError as error:
    raise missing_extra(error.name or "torch", "imagine") from error

SIDE = 128
"""Pictures are brought to this side, so that small and large ones are compared on the same maps."""

LOSS_SIDE = 64
"""The same for the loss in training, where time is short; a multiple of 32, as the padding asks."""

BATCH = 32
TINY = 1e-8

Maps = list[NDArray[np.float16]]


class PerceptualFeatures:
    """EfficientNet-Lite as far as its feature maps; batch norms folded into the convolutions."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]], *, depth: float = LITE0, device: str = "") -> None:
        """Take a whole state dict, named as in the package `efficientnet-lite-pytorch`, of a network of so many blocks.

        Raises:
            InputError: A weight is missing or has the wrong shape.
        """
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._tensors = {name: torch.from_numpy(np.array(value)) for name, value in checked(tensors, depth).items()}
        self._blocks = list(blocks(depth))
        self.layers = _layers(self._blocks)
        self._folded: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    @classmethod
    def of(cls, tower: ImageTower, *, device: str = "") -> PerceptualFeatures:
        """The one of an image encoder, such as `package_tower()`: for the loss."""
        return cls(tower.tensors(), device=device)

    @classmethod
    def judge(cls, *, device: str = "") -> PerceptualFeatures:
        """The one that judges.

        Raises:
            MissingError: Its weights are not installed.
        """
        return cls(judge_tensors(), depth=LITE1, device=device)

    @torch.no_grad()
    def __call__(self, pixels: NDArray[np.uint8]) -> tuple[Maps, NDArray[np.float32]]:
        """Maps of pictures [n, side, side, 3], one array a layer, and their pooled features [n, 1280] for KID.

        Each position of a map is of unit length. Pictures are resized to `SIDE` without regard to their own.
        """
        maps: list[list[NDArray[np.float16]]] = [[] for _ in self.layers]
        pooled: list[NDArray[np.float32]] = []
        for start in range(0, len(pixels), BATCH):
            outputs, features = self._batch(pixels[start : start + BATCH])
            for layer, states in zip(maps, outputs, strict=True):
                layer.append((states / states.norm(dim=1, keepdim=True).clamp_min(TINY)).half().cpu().numpy())
            pooled.append(features.float().cpu().numpy())
        return [np.concatenate(layer) for layer in maps], np.concatenate(pooled)

    def loss(self, estimates: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """How unlike estimates and targets are, [b], differentiable: as `map_distance`, on smaller and fewer maps.

        Args:
            estimates: [b, 3, side, side], from -1 to 1.
            targets: The same.
        """
        with torch.no_grad():
            wanted = self._maps(targets, LOSS_SIDE, self.layers[:-1])
        estimated = self._maps(estimates, LOSS_SIDE, self.layers[:-1])
        parts = [
            1.0 - functional.cosine_similarity(states.float(), target.float(), dim=1, eps=TINY).mean(dim=(1, 2))
            for states, target in zip(estimated, wanted, strict=True)
        ]
        return torch.stack(parts).mean(dim=0)

    def _batch(self, pixels: NDArray[np.uint8]) -> tuple[list[torch.Tensor], torch.Tensor]:
        maps = self._maps(to_tensor(pixels).to(self.device), SIDE, self.layers)
        return maps, self._conv(maps[-1], "_conv_head", "_bn1").mean(dim=(2, 3))

    def _maps(self, images: torch.Tensor, side: int, layers: tuple[int, ...]) -> list[torch.Tensor]:
        """Outputs of some blocks, for pictures from -1 to 1."""
        images = functional.interpolate(images, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
        states, outputs = self._conv(images, "_conv_stem", "_bn0", stride=2), []
        for number, block in enumerate(self._blocks):
            states = self._block(states, block, f"_blocks.{number}")
            if number in layers:
                outputs.append(states)
            if number == layers[-1]:
                break
        return outputs

    def _block(self, states: torch.Tensor, block: Block, name: str) -> torch.Tensor:
        inner = states
        if block.expand != 1:
            inner = self._conv(inner, f"{name}._expand_conv", f"{name}._bn0")
        inner = self._conv(inner, f"{name}._depthwise_conv", f"{name}._bn1", stride=block.stride)
        inner = self._conv(inner, f"{name}._project_conv", f"{name}._bn2", relu=False)
        return inner + states if block.stride == 1 and block.inputs == block.outputs else inner

    def _conv(self, states: torch.Tensor, name: str, norm: str, *, stride: int = 1, relu: bool = True) -> torch.Tensor:
        """A convolution and its batch norm as one, padded as TensorFlow pads sides that are multiples of 32."""
        weight, bias = self._weights(name, norm)
        kernel, groups = weight.shape[-1], states.shape[1] // weight.shape[1]
        before = (kernel - stride) // 2
        padded = functional.pad(states, (before, kernel - stride - before, before, kernel - stride - before))
        out = functional.conv2d(padded, weight, bias, stride=stride, groups=groups)
        return out.clamp(0.0, 6.0) if relu else out

    def _weights(self, name: str, norm: str) -> tuple[torch.Tensor, torch.Tensor]:
        if name not in self._folded:
            gain, shift, mean, variance = (
                self._tensors[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
            )
            gain = gain / (variance + EPSILON).sqrt()
            weight = self._tensors[f"{name}.weight"] * gain[:, None, None, None]
            self._folded[name] = weight.to(self.device), (shift - mean * gain).to(self.device)
        return self._folded[name]


def _layers(every: Sequence[Block]) -> tuple[int, ...]:
    """The last blocks at a quarter, an eighth, a sixteenth and a thirty-second of the side, whose outputs are compared."""
    ends = [at for at, after in enumerate(every[1:]) if after.stride == 2]
    return (*ends[1:], len(every) - 1)
