from __future__ import annotations

import numpy as np
import pytest

from honed.models.painter.config import PainterConfig
from honed.models.vision.efficientnet import LITE0, shapes
from honed.roles.image_generator.perceptual import PerceptualFeatures
from honed.roles.image_generator.pictures import Pictures, Rows

SIDE = 16
STYLES = ("filled", "outlined")
CONFIG = PainterConfig(SIDE, 1, (16, 32), 1, 1, 2, 0.5, 8, "", STYLES)

DEVELOPMENT = 8
"""So many of the things are held out."""


def drawing(thing: int, style: int) -> np.ndarray:
    """A rectangle of its own place, size and colour on white, filled or outlined."""
    random = np.random.default_rng(thing)
    left, top, width, height = (*random.integers(1, 6, 2), *random.integers(5, 10, 2))
    colour = random.integers(0, 200, 3).astype(np.uint8)
    picture = np.full((SIDE, SIDE, 3), 255, np.uint8)
    picture[top : top + height, left : left + width] = colour
    if style == 2:
        picture[top + 1 : top + height - 1, left + 1 : left + width - 1] = 255
    return picture


def retrieved(texts: np.ndarray, rows: Rows, allowed: Rows, k: int) -> Rows:
    """The k other pictures with the nearest texts, as search would find them."""
    found = np.full((len(rows), k), -1, np.int64)
    for at, row in enumerate(rows):
        others = allowed[allowed != row]
        best = others[np.argsort(-(texts[others] @ texts[row]), kind="stable")[:k]]
        found[at, : len(best)] = best
    return found


def make(things: int) -> tuple[Pictures, Rows, Rows]:
    """Every thing three times: filled, outlined, and filled but one pixel further down. Rows of train and of dev."""
    drawn = [(thing, style) for thing in range(things) for style in (1, 2, 1)]
    pixels = np.stack([np.roll(drawing(*one), number % 3 // 2, axis=0) for number, one in enumerate(drawn)])
    vectors = np.random.default_rng(0).normal(size=(things, 8)).astype(np.float32)
    texts = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True))[[thing for thing, _ in drawn]]
    groups = np.array([f"thing-{thing}" for thing, _ in drawn])
    every = np.arange(len(drawn))
    train, dev = every[: -3 * DEVELOPMENT], every[-3 * DEVELOPMENT :]
    references = np.full((len(drawn), 2), -1)
    for rows, allowed in ((train, train), (dev, every)):
        references[rows] = retrieved(texts, rows, allowed, 2)
    return Pictures(pixels, texts, np.array([style for _, style in drawn]), groups, references), train, dev


@pytest.fixture(scope="session")
def toy() -> tuple[Pictures, Rows, Rows]:
    return make(40)


def random_tensors(depth: float = LITE0) -> dict[str, np.ndarray]:
    """A state dict of a network of so many blocks."""
    random = np.random.default_rng(0)
    tensors = {}
    for name, shape in shapes(depth).items():
        if name.endswith("running_var"):
            tensors[name] = np.ones(shape, np.float32)
        elif len(shape) == 1:
            tensors[name] = np.full(shape, 1.0 if name.endswith("weight") else 0.1, np.float32)
        else:
            tensors[name] = random.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
    return tensors


@pytest.fixture(scope="session")
def perception() -> PerceptualFeatures:
    """The network with random weights: its maps tell pictures apart, which is all that tests need."""
    return PerceptualFeatures(random_tensors(), device="cpu")
