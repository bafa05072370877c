from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from honed.errors import IntegrityError
from honed.models.weights import Weights, write_weights

TENSORS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.array([1.5, -2.0], np.float16),
    "ids": np.array([[7, 8]], np.int64),
    "empty": np.zeros((0, 4), np.float32),
}


def write_raw(path: Path, header: object, data: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_weights(tmp_path / "w", TENSORS)
    weights = Weights(tmp_path / "w")
    assert sorted(weights) == sorted(TENSORS)
    for name, expected in TENSORS.items():
        np.testing.assert_array_equal(weights[name], expected)
    assert weights["half"].dtype == np.float32
    assert weights["ids"].dtype == np.int64


def test_the_format_is_the_one_of_the_safetensors_package(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    write_weights(tmp_path / "ours", TENSORS)
    for name, value in package.load_file(tmp_path / "ours").items():
        np.testing.assert_array_equal(value, TENSORS[name])
    package.save_file({name: value for name, value in TENSORS.items() if value.size}, tmp_path / "theirs")
    np.testing.assert_array_equal(Weights(tmp_path / "theirs")["a"], TENSORS["a"])


def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path) -> None:
    values = np.array([1.0, -2.5, 0.15625], np.float32)  # exact in bfloat16
    data = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    path = write_raw(tmp_path / "w", {"x": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}, data)
    np.testing.assert_array_equal(Weights(path)["x"], values)


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, 4),  # fewer bytes than the shape needs
        ({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, 8),  # bytes that nobody owns
        ({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, 4),  # leaves the file
        ({"x": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, 4),
        ({"x": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}}, 4),
        ({"x": {"dtype": "F8", "shape": [4], "data_offsets": [0, 4]}}, 4),
        ({"x": {"dtype": "F32", "shape": [1]}}, 4),
        ({"x": 3}, 4),
        ([1], 4),
        (
            {
                "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                "y": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},  # overlaps
            },
            4,
        ),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, header: object, size: int) -> None:
    with pytest.raises(IntegrityError):
        Weights(write_raw(tmp_path / "w", header, bytes(size)))


@pytest.mark.parametrize("data", [b"", b"abc", (1 << 40).to_bytes(8, "little"), (4).to_bytes(8, "little") + b"nope"])
def test_bytes_that_are_no_safetensors_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(IntegrityError):
        Weights(tmp_path / "w")


def test_a_file_that_was_cut_is_refused(tmp_path: Path, tiny: Path) -> None:
    data = (tiny / "model.safetensors").read_bytes()
    (tmp_path / "w").write_bytes(data[:-1])
    with pytest.raises(IntegrityError, match="bytes"):
        Weights(tmp_path / "w")
