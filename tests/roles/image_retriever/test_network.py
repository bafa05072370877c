from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from honed.models.runtime import OrtRuntime
from honed.models.vision.folder import ImageTower, read_encoder_folder, write_encoder_folder
from honed.roles.image_retriever.augment import Augmentation, augmented
from honed.roles.image_retriever.network import LearningEncoder, as_floats

STILL = Augmentation((0, 0), (1, 1), (0, 0), (0, 0), (1, 1), (1, 1), (1, 1))


def test_it_computes_what_will_serve(tower: ImageTower, data: dict[str, np.ndarray], tmp_path: Path) -> None:
    tower.write_graph(tmp_path / "graph.onnx")
    served = OrtRuntime("ort-fp32", tmp_path / "graph.onnx", workers=1, threads=1).run(data["dev_pixels"][:5])
    np.testing.assert_allclose(data["dev"][:5], served, rtol=2e-3, atol=1e-3)


def test_only_late_blocks_learn_and_all_is_written(
    tower: ImageTower, data: dict[str, np.ndarray], tmp_path: Path
) -> None:
    encoder = LearningEncoder(tower, first_block=14)
    before = encoder.weights()
    encoder(as_floats(data["dev_pixels"][:4])).square().mean().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters.values())
    with torch.no_grad():
        for parameter in encoder.parameters.values():
            parameter += 0.01
    after = encoder.weights()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == set(encoder.parameters)
    assert all(name.startswith(("_blocks.14.", "_blocks.15.", "_conv_head.", "_bn1.")) for name in changed)
    folder = write_encoder_folder(tmp_path / "tuned", after, encoder.config)
    again = LearningEncoder(read_encoder_folder(folder), first_block=14).encode(data["dev_pixels"][:4])
    np.testing.assert_allclose(encoder.encode(data["dev_pixels"][:4]), again, rtol=1e-5)


def test_a_blend_lies_between(tower: ImageTower) -> None:
    encoder = LearningEncoder(tower, first_block=15)
    before = encoder.weights()
    after = {name: value + 1 for name, value in before.items()}
    encoder.blend(before, after, 0.25)
    for name, value in encoder.weights().items():
        np.testing.assert_allclose(value, before[name] + (0.25 if name in encoder.parameters else 0), atol=1e-5)


def test_without_change_pictures_stay(data: dict[str, np.ndarray]) -> None:
    pictures = as_floats(data["dev_pixels"][:3])
    torch.testing.assert_close(augmented(pictures, STILL, torch.Generator()), pictures, atol=0.05, rtol=0)


def test_changes_depend_on_the_generator_alone_and_keep_white(data: dict[str, np.ndarray]) -> None:
    pictures = as_floats(data["dev_pixels"][:3])
    one, two, other = (augmented(pictures, Augmentation(), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    unlit = Augmentation(light=(1, 1))
    white = torch.full((2, 3, 32, 32), 255.0)
    torch.testing.assert_close(augmented(white, unlit, torch.Generator()), white, atol=0.1, rtol=0)


@pytest.mark.parametrize("bf16", [False, True])
def test_frozen_blocks_may_be_rough(tower: ImageTower, data: dict[str, np.ndarray], bf16: bool) -> None:
    found = LearningEncoder(tower, first_block=14, bf16=bf16).encode(data["dev_pixels"][:4])
    cosine = (found * data["dev"][:4]).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(data["dev"][:4], axis=1)
    assert cosine.min() > 0.9  # random weights make more of a rounding than trained ones
