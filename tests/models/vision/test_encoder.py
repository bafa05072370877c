from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from honed.errors import InputError, MissingError, UsageError
from honed.models import probe as probe_module
from honed.models.probe import probe
from honed.models.registry import DEFAULTS, load, parse
from honed.models.vision import encoder as module
from honed.models.vision.encoder import LocalImageEncoder
from honed.models.vision.folder import read_encoder_folder
from honed.protocols import ImageEncoder
from tests.models.vision.make import picture

RUNTIMES = ("ort-fp32", "openvino-fp32", "openvino-bf16")


@pytest.fixture
def encoder(encoder_folder: Path, graphs: Path) -> LocalImageEncoder:
    return LocalImageEncoder(read_encoder_folder(encoder_folder), cache_dir=graphs, threads=1)


def test_pictures_become_raw_descriptors_in_their_order(encoder: LocalImageEncoder) -> None:
    assert isinstance(encoder, ImageEncoder)
    images = [picture(seed, (20 + seed, 40)) for seed in range(7)]
    found = encoder.encode_image(images)
    assert found.shape == (7, encoder.dimension) == (7, 1280) and found.dtype == np.float32
    assert not np.allclose(np.linalg.norm(found, axis=1), 1, atol=0.1)
    one_by_one = np.concatenate([encoder.encode_image([image]) for image in images])
    np.testing.assert_allclose(found, one_by_one, atol=1e-4)
    prepared = [encoder.prepare(image) for image in images]
    np.testing.assert_array_equal(encoder.encode_pixels(prepared), found)
    np.testing.assert_array_equal(encoder.encode_pixels(np.stack(prepared)), found)
    assert encoder.encode_image([]).shape == (0, 1280)


def test_other_pixels_are_refused(encoder: LocalImageEncoder) -> None:
    for pixels in (np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 32, 32, 3), np.float32)):
        with pytest.raises(UsageError, match="32 by 32"):
            encoder.encode_pixels(pixels)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_runtime_agrees(encoder: LocalImageEncoder, graphs: Path, runtime: str) -> None:
    images = [picture(seed) for seed in range(module.FEW)]
    other = LocalImageEncoder(encoder.tower, cache_dir=graphs, threads=2, runtime=runtime)
    left, right = encoder.encode_image(images), other.encode_image(images)
    cosines = (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    assert cosines.min() > 0.98


def test_many_pictures_start_a_probe_and_few_do_not(
    encoder: LocalImageEncoder, graphs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_module, "SECONDS", 0.05)
    monkeypatch.setattr(module, "PROBE_FROM", 40)
    images = [picture(seed) for seed in range(20)]
    for _ in range(3):
        encoder.encode_image(images[:5])
    encoder.encode_image(images)
    assert probe(encoder.tower, graphs, threads=1, only_cached=True) is None
    encoder.encode_image(images)
    choice = probe(encoder.tower, graphs, threads=1, only_cached=True)
    assert choice is not None and set(choice.per_second) | set(choice.left_out) == set(RUNTIMES)
    assert min(choice.min_cosine.values()) > 0.98


def test_threads_may_share_an_encoder(encoder: LocalImageEncoder) -> None:
    images = [picture(seed) for seed in range(8)]
    expected = encoder.encode_image(images)
    fresh = LocalImageEncoder(encoder.tower, cache_dir=encoder._cache_dir, threads=1)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: fresh.encode_image(images), range(4)))
    for found in results:
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_specs(encoder_folder: Path, graphs: Path) -> None:
    assert parse("image-encoder", DEFAULTS["image-encoder"]).backend == "efficientnet-lite0"
    assert parse("image-encoder", str(encoder_folder)).backend == "folder"
    assert parse("image-encoder", "openai/clip-vit-base-patch32@main").backend == "transformers"
    assert str(parse("image-encoder", "transformers:google/siglip-base")) == "transformers:google/siglip-base"
    loaded = load("image-encoder", f"folder:{encoder_folder}", cache_dir=graphs, threads=1)
    assert loaded.space == read_encoder_folder(encoder_folder).digest()[:32]
    with pytest.raises(MissingError):
        load("image-encoder", "folder:nowhere", cache_dir=graphs)
    with pytest.raises(UsageError):
        parse("image-encoder", "vgg")


def test_a_folder_of_another_kind_says_what_to_type(tmp_path: Path, graphs: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(InputError) as wrong:
        load("image-encoder", str(tmp_path), cache_dir=graphs)
    assert "transformers:" in wrong.value.hint


def test_encoding_loads_no_torch(encoder_folder: Path, graphs: Path) -> None:
    code = f"""
import sys
from honed.models.registry import load
encoder = load("image-encoder", {str(encoder_folder)!r}, cache_dir=__import__("pathlib").Path({str(graphs)!r}), threads=1)
assert "PIL" not in sys.modules
from PIL import Image
encoder.encode_image([Image.new("RGB", (9, 9))])
loaded = set(sys.modules) & {{"torch", "transformers", "openvino", "scipy", "matplotlib", "onnx"}}
sys.exit(f"loaded {{loaded}}" if loaded - {{"onnx"}} else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
