"""Pictures for tests: small, made up, each different from the others."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from honed.types import Picture


def waves(seed: int, width: int = 120, height: int = 80) -> Image.Image:
    """Soft colours, as in a photograph without grain."""
    random = np.random.default_rng(seed)
    across, down = np.meshgrid(np.linspace(0, 6, width), np.linspace(0, 4, height))
    bands = [
        np.sin(across * random.uniform(0.5, 2) + random.uniform(0, 6)) * np.cos(down * random.uniform(0.5, 2))
        for _ in range(3)
    ]
    return Image.fromarray(((np.stack(bands, -1) + 1) * 127).astype(np.uint8))


def grain(seed: int, width: int = 120, height: int = 80) -> Image.Image:
    """The same with noise on it."""
    noise = np.random.default_rng(seed).normal(0, 12, (height, width, 3))
    return Image.fromarray((np.asarray(waves(seed, width, height)) + noise).clip(0, 255).astype(np.uint8))


def data(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def titled(image: Image.Image, **texts: str) -> bytes:
    """A PNG with texts beside its pixels."""
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_itxt(key, value)
    return data(image, pnginfo=info)


def picture(image: Image.Image, **fields: object) -> Picture:
    return Picture(image.convert("RGB").tobytes(), image.size, *image.size, **fields)


def write(path: Path, image: Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def close(one: object, other: object, within: float = 14.0) -> bool:
    """Whether two pictures hardly differ."""
    difference = np.abs(np.asarray(one).astype(float) - np.asarray(other).astype(float))
    return bool(difference.mean() < within)
