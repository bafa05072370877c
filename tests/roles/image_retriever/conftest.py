"""Shapes in two styles, filled and outlined, 32 pixels; an encoder of the real family with random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

pytest.importorskip("torch", reason="tests of training need the extra: pip install 'honed[tune]'")
pytest.importorskip("pytorch_metric_learning", reason="tests of training need the extra: pip install 'honed[tune]'")

import torch

from honed.evaluate.image_board import ImageBoard
from honed.models.vision.folder import ImageTower, read_encoder_folder, write_encoder_folder
from honed.roles.image_retriever.network import LearningEncoder
from honed.roles.image_retriever.recipe import ImageRecipe
from honed.roles.image_retriever.training import Trainee, TrainingContext
from tests.models.vision.make import SMALL, state_dict

RECIPE = ImageRecipe(
    threads=1,
    widths=(8, 16),
    ridges=(0.1, 1.0),
    batch=16,
    head_epochs=4,
    head_rate=1e-3,
    block_epochs=1,
    first_block=14,
)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Pictures of 32 pixels do not feed two threads: on a busy machine they wait for each other."""
    torch.set_num_threads(1)


def drawing(shape: int, filled: bool, random: np.random.Generator) -> np.ndarray:
    """A polygon whose corners belong to the shape, in a colour that does not."""
    corners = np.random.default_rng(shape).uniform(4, 28, (5, 2)) + random.uniform(-1, 1, (5, 2))
    colour = tuple(int(value) for value in random.integers(0, 160, 3))
    picture = Image.new("RGB", (32, 32), "white")
    points = [(float(x), float(y)) for x, y in corners]
    ImageDraw.Draw(picture).polygon(points, fill=colour if filled else None, outline=colour, width=2)
    return np.asarray(picture)


def drawings(shapes: range, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Four drawings of each shape, two in each style."""
    random = np.random.default_rng(seed)
    pixels = [drawing(shape, filled, random) for shape in shapes for filled in (True, True, False, False)]
    return np.stack(pixels), np.repeat(np.arange(len(shapes)), 4)


@pytest.fixture(scope="session")
def tower(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> ImageTower:
    return read_encoder_folder(write_encoder_folder(tmp_path_factory.mktemp("base") / "model", state_dict(), SMALL))


def in_torch(folder: Path, pixels: np.ndarray) -> np.ndarray:
    return LearningEncoder(read_encoder_folder(folder), first_block=14).encode(pixels)


@pytest.fixture(scope="session")
def data(tower: ImageTower) -> dict[str, np.ndarray]:
    encoder = LearningEncoder(tower, first_block=14)
    arrays: dict[str, np.ndarray] = {}
    for name, shapes in (("train", range(24)), ("dev", range(100, 112))):
        arrays[f"{name}_pixels"], arrays[f"{name}_groups"] = drawings(shapes, seed=shapes.start)
        arrays[name] = encoder.encode(arrays[f"{name}_pixels"])
    return arrays


def everything(train: np.ndarray, dev: np.ndarray) -> ImageBoard:
    """Train and dev as one gallery, in which the pictures of dev ask."""
    count = len(train) + len(dev)
    groups = np.concatenate([train, len(train) + dev])
    variants = ["fill", "fill", "line", "line"] * (count // 4)
    return ImageBoard([str(at) for at in range(count)], groups, variants, np.arange(len(train), count))


@pytest.fixture
def make_context(tower: ImageTower, data: dict[str, np.ndarray]) -> Callable[[Path], TrainingContext]:
    def make(folder: Path) -> TrainingContext:
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.concatenate([data["train_pixels"], data["dev_pixels"]])
        trainee = Trainee(tower, data["train_pixels"], in_torch, lambda path: in_torch(path, pixels))
        gallery = np.concatenate([data["train"], data["dev"]])
        board = everything(data["train_groups"], data["dev_groups"])
        rows = np.arange(len(data["train"]))
        return TrainingContext(
            gallery, rows, data["train_groups"], board, folder, RECIPE, lambda _: None, trainee=trainee
        )

    return make


@pytest.fixture
def context(make_context: Callable[[Path], TrainingContext], tmp_path: Path) -> TrainingContext:
    return make_context(tmp_path / "run")


@pytest.fixture
def still(context: TrainingContext) -> TrainingContext:
    """Without an encoder that can learn."""
    return replace(context, trainee=None)
