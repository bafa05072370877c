"""Four real trainings on pictures that the test draws: each runs in a folder, goes on where it was, and leaves its weights."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from honed.models.painter.compact import read_painter
from honed.models.vision.folder import read_encoder_folder, write_encoder_folder
from honed.models.weights import write_weights
from honed.roles.image_generator.train import PainterTraining, PaintRecipe, train_painter
from honed.roles.image_retriever.closed_stages import tune_discriminant
from honed.roles.image_retriever.last_blocks import BlockLimits, tune_blocks
from honed.roles.image_retriever.learned import tune_head
from honed.roles.image_retriever.network import LearningEncoder
from honed.roles.image_retriever.training import ENCODER, Trainee, TrainingContext, head_of
from honed.roles.text_to_image.training import tune_text
from honed.train import fit
from tests.models.vision.make import SMALL, state_dict
from tests.roles.image_generator import conftest as painted
from tests.roles.image_retriever import conftest as drawn
from tests.roles.text_to_image import test_training as told

Tensors = dict[str, np.ndarray]

RESULT = "weights-at-the-end.safetensors"
PAINTER_STEPS = 60
OFTEN = 0.02
"""Seconds between checkpoints: a training of two seconds then has as many of them as one of an hour has in earnest."""


def image_context(folder: Path) -> TrainingContext:
    """Drawings in two styles, seen by an encoder of the real family."""
    tower = read_encoder_folder(write_encoder_folder(folder / "base", state_dict(), SMALL))
    encoder = LearningEncoder(tower, first_block=14)
    (train, groups), (dev, dev_groups) = (
        drawn.drawings(shapes, shapes.start) for shapes in (range(24), range(100, 112))
    )
    recipe = replace(drawn.RECIPE, head_epochs=20)
    pixels, board = np.concatenate([train, dev]), drawn.everything(groups, dev_groups)
    trainee = Trainee(tower, train, drawn.in_torch, lambda path: drawn.in_torch(path, pixels))
    return TrainingContext(
        encoder.encode(pixels), np.arange(len(train)), groups, board, folder, recipe, lambda _: None, trainee=trainee
    )


def head(folder: Path) -> Tensors:
    """The learned head."""
    context = image_context(folder)
    long = replace(context, recipe=replace(context.recipe, head_epochs=200))
    return {"matrix": head_of(tune_head(long, math.inf)).matrix}


def blocks(folder: Path) -> Tensors:
    """The encoder's last blocks, and the head that is fitted after them."""
    context = image_context(folder)
    candidate = tune_blocks(context, tune_discriminant(context), BlockLimits(3, math.inf))
    encoder = read_encoder_folder(candidate.files[ENCODER])
    return {"matrix": head_of(candidate).matrix, **encoder.tensors()}


def text(folder: Path) -> Tensors:
    """The text side, all of its training kept."""
    context = told.make(folder)
    context = replace(context, recipe=replace(context.recipe, epochs=150, shares=(1.0,)))
    matrix = told.head_of(tune_text(context)).text_matrix
    assert matrix is not None
    return {"text_matrix": matrix}


def painter(folder: Path) -> Tensors:
    """The compact painter."""
    pictures, train, _ = painted.make(40)
    recipe = PaintRecipe(batch=8, threads=1, average=0.9, device="cpu")
    trained = train_painter(PainterTraining(pictures, train, painted.CONFIG, recipe), folder, steps=PAINTER_STEPS)
    return {name: np.array(value) for name, value in read_painter(trained.folder)[1].items()}


TRAININGS = {"head": head, "blocks": blocks, "text": text, "painter": painter}


def run(name: str, folder: Path) -> None:
    """One training from beginning to end, or from where the last one in this folder was killed."""
    torch.set_num_threads(1)
    fit.CHECKPOINT_SECONDS = OFTEN
    folder.mkdir(parents=True, exist_ok=True)
    tensors = TRAININGS[name](folder)
    half = folder / (RESULT + ".half")
    write_weights(half, tensors)
    half.replace(folder / RESULT)
