"""Tiny pictures, and EfficientNet-Lite0 with random weights: the right shapes, in a tenth of a second."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image

from honed.models.vision.efficientnet import shapes
from honed.models.vision.folder import EncoderConfig
from honed.models.vision.prepare import Preparation

SMALL = EncoderConfig(Preparation(32, "pad", (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)), 3.0)


@cache
def state_dict(seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights of a size that lets signals through sixteen blocks."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes().items():
        if name.endswith("running_var"):
            value = random.uniform(0.5, 1.5, shape)
        elif len(shape) == 4:
            value = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        else:
            value = random.normal(1.0 if "bn" in name and name.endswith(".weight") else 0.1, 0.1, shape)
        tensors[name] = value.astype(np.float32)
    return tensors


def picture(seed: int, size: tuple[int, int] = (48, 48), mode: str = "RGB") -> Image.Image:
    """Soft random shapes."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(coarse).resize(size).convert(mode)
