from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.errors import InputError
from honed.models.artefacts import plain_graph
from honed.models.folder import open_folder
from honed.models.graph import build
from honed.models.runtime import OrtRuntime
from honed.models.text_encoder import TextEncoder
from honed.models.tower import Tower
from honed.models.weights import write_weights
from honed.workspace import tree_hashes
from tests.models.bert_in_numpy import encode

TEXTS = [[2, 30, 41, 52, 60, 3], [2, 77, 3], [2, 3]]


def padded(rows: list[list[int]], width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ids, mask = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), np.int64)
    for line, row in enumerate(rows):
        ids[line, : len(row)], mask[line, : len(row)] = row, 1
    return ids, mask, np.zeros_like(ids)


def run(tower: Tower, rows: list[list[int]], width: int, path: Path) -> np.ndarray:
    build(tower, path)
    return OrtRuntime("ort-fp32", path, workers=1, threads=1).run(*padded(rows, width))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("width", [6, 11])
def test_the_graph_computes_bert(tiny: Path, tmp_path: Path, pooling: str, width: int) -> None:
    tower = replace(open_folder(tiny).document, pooling=pooling)  # type: ignore[arg-type]
    vectors = run(tower, TEXTS, width, tmp_path / "graph.onnx")
    expected = [encode(tower.weights(), row, heads=4, layers=2, pooling=pooling) for row in TEXTS]
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_weights_of_16_bits_and_with_a_prefix_are_read(tiny: Path, tmp_path: Path) -> None:
    tower = open_folder(tiny).document
    half = {f"bert.{name}": value.astype(np.float16) for name, value in tower.weights().items()}
    write_weights(tmp_path / "model.safetensors", half)
    vectors = run(replace(tower, path=tmp_path), TEXTS, 6, tmp_path / "graph.onnx")
    assert np.sum(vectors * run(tower, TEXTS, 6, tmp_path / "plain.onnx"), axis=1).min() > 0.9999


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "t5"},
        {"model_type": None},
        {"position_embedding_type": "relative_key"},
        {"is_decoder": True},
        {"hidden_act": "swish"},
    ],
)
def test_other_architectures_say_what_to_do(tiny: Path, tmp_path: Path, change: dict[str, object]) -> None:
    tower = open_folder(tiny).document
    with pytest.raises(InputError, match="not built here") as caught:
        build(replace(tower, config=tower.config | change), tmp_path / "graph.onnx")
    assert "openai:MODEL@URL" in caught.value.hint


@pytest.mark.parametrize("change", [{"num_hidden_layers": 3}, {"hidden_size": 16}, {"num_attention_heads": 5}])
def test_weights_that_do_not_fit_the_config_are_refused(tiny: Path, tmp_path: Path, change: dict[str, object]) -> None:
    tower = open_folder(tiny).document
    with pytest.raises(InputError):
        build(replace(tower, config=tower.config | change), tmp_path / "graph.onnx")


@pytest.mark.parametrize("name", ["graph.onnx", "graph.weights", "hashes.json"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "empty"])
def test_a_spoiled_graph_is_built_again(tiny: Path, tmp_path: Path, name: str, damage: str) -> None:
    encoder = TextEncoder(open_folder(tiny).document)
    path = plain_graph(encoder, tmp_path)
    good = tree_hashes(tmp_path)
    victim = path.with_name(name)
    data = victim.read_bytes()
    spoiled = {"cut": data[:-1], "flipped": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], "gone": None, "empty": b""}[
        damage
    ]
    victim.unlink()
    if spoiled is not None:
        victim.write_bytes(spoiled)
    assert plain_graph(encoder, tmp_path) == path
    if name != "hashes.json" or damage != "cut":  # a missing last newline spoils nothing
        assert tree_hashes(tmp_path) == good


def test_a_failed_build_leaves_nothing(tiny: Path, tmp_path: Path) -> None:
    tower = open_folder(tiny).document
    with pytest.raises(InputError):
        plain_graph(TextEncoder(replace(tower, config=tower.config | {"model_type": "t5"})), tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
