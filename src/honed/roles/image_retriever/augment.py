"""Pictures as they might also have been drawn or taken: moved a little, in other colours. The thing stays the same.

No mirror images: an arrow to the left is not an arrow to the right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import affine_grid, grid_sample

_TO_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How much pictures are changed: each number is drawn evenly between its two bounds, for each picture anew.

    Attributes:
        shift: Of the width and height.
        scale: Size.
        turn: Degrees.
        hue: Turn of the colour circle, in half circles.
        saturation: 0 is grey.
        contrast: Towards white, which stays white.
        light: Factor of all values.
    """

    shift: Range = (-0.05, 0.05)
    scale: Range = (0.9, 1.1)
    turn: Range = (-5.0, 5.0)
    hue: Range = (-0.15, 0.15)
    saturation: Range = (0.5, 1.4)
    contrast: Range = (0.8, 1.2)
    light: Range = (0.9, 1.1)


def augmented(pictures: torch.Tensor, how: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """Changed copies of pictures [n, 3, h, w] with values from 0 to 255; what comes in at an edge repeats the edge."""

    def drawn(bounds: Range) -> torch.Tensor:
        return bounds[0] + (bounds[1] - bounds[0]) * torch.rand(len(pictures), generator=generator)

    angle, zoom = drawn(how.turn) * (math.pi / 180), 1 / drawn(how.scale)
    across, down = 2 * drawn(how.shift), 2 * drawn(how.shift)
    rows = [
        torch.cos(angle) * zoom,
        -torch.sin(angle) * zoom,
        across,
        torch.sin(angle) * zoom,
        torch.cos(angle) * zoom,
        down,
    ]
    grid = affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(pictures.shape), align_corners=False)
    moved = grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
    turn, strength = drawn(how.hue) * math.pi, drawn(how.saturation)
    coloured = torch.einsum("nij,njhw->nihw", _colour(turn, strength), moved)
    contrast, light = (drawn(bounds)[:, None, None, None] for bounds in (how.contrast, how.light))
    changed: torch.Tensor = (((coloured - 255) * contrast + 255) * light).clamp(0, 255)
    return changed


def _colour(turn: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """[n, 3, 3]: turns the hue and scales the saturation in YIQ, keeps the lightness."""
    to_yiq = torch.tensor(_TO_YIQ)
    inner = torch.zeros(len(turn), 3, 3)
    inner[:, 0, 0] = 1
    inner[:, 1, 1] = inner[:, 2, 2] = strength * torch.cos(turn)
    inner[:, 2, 1] = strength * torch.sin(turn)
    inner[:, 1, 2] = -inner[:, 2, 1]
    matrix: torch.Tensor = torch.linalg.inv(to_yiq) @ inner @ to_yiq
    return matrix
