"""Earlier feature maps inside a descriptor: the graph against torch, and what a folder says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.errors import InputError
from honed.models.runtime import OrtRuntime
from honed.models.vision.efficientnet import parts
from honed.models.vision.folder import EncoderConfig, read_encoder_folder, write_encoder_folder
from honed.models.vision.head import plain_head
from tests.models.vision.make import SMALL, picture, state_dict

torch = pytest.importorskip("torch")

MAPS = ((2, 4), (10, 3), (14, 1))


@pytest.mark.parametrize("side", [64, 96])
def test_they_are_what_torch_computes(side: int, tmp_path: Path) -> None:
    from honed.roles.image_retriever.network import LearningEncoder

    preparation = replace(SMALL.preparation, side=side)
    folder = write_encoder_folder(tmp_path / "model", state_dict(), EncoderConfig(preparation, 3.0, MAPS))
    tower = read_encoder_folder(folder)
    tower.write_graph(tmp_path / "graph.onnx")
    pixels = np.stack([preparation(picture(seed)) for seed in range(3)])
    served = OrtRuntime("ort-fp32", tmp_path / "graph.onnx", workers=1, threads=1).run(pixels)
    assert served.shape == (3, tower.dimension) == (3, 1280 + 24 * 16 + 112 * 9 + 192)
    np.testing.assert_allclose(LearningEncoder(tower, first_block=12).encode(pixels), served, rtol=2e-3, atol=2e-3)


def test_the_first_part_is_the_descriptor_without_them(tmp_path: Path) -> None:
    pixels = np.stack([SMALL.preparation(picture(seed)) for seed in range(2)])
    found = []
    for maps in ((), MAPS):
        tower = read_encoder_folder(write_encoder_folder(tmp_path / "model", state_dict(), replace(SMALL, maps=maps)))
        tower.write_graph(tmp_path / "graph.onnx")
        found.append(OrtRuntime("ort-fp32", tmp_path / "graph.onnx", workers=1, threads=1).run(pixels))
    np.testing.assert_allclose(found[1][:, :1280], found[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        plain_head(found[1].shape[1], first=1280).apply(found[1]), plain_head(1280).apply(found[0]), atol=1e-5
    )


def test_they_belong_to_the_space(tmp_path: Path) -> None:
    digests = {
        read_encoder_folder(write_encoder_folder(tmp_path / "model", state_dict(), replace(SMALL, maps=maps))).digest()
        for maps in ((), MAPS, ((2, 4),))
    }
    assert len(digests) == 3


def test_widths_of_parts_add_up() -> None:
    assert parts(((10, 3), (14, 2))) == (1280, 1008, 768)


@pytest.mark.parametrize("maps", [[[16, 1]], [[3, 0]], [[3, 9]], [[5, 1], [3, 1]], [[3]], 7, [[3, True]], [["3", 1]]])
def test_others_are_refused(maps: object) -> None:
    with pytest.raises(InputError, match="map"):
        EncoderConfig.from_json(SMALL.to_json() | {"maps": maps})
