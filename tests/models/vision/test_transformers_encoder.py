"""CLIP, SigLIP and DINOv2 of a few thousand random weights, saved and loaded as a user's own would be. No network."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from honed.errors import InputError, MissingError, UsageError
from honed.models.registry import load
from honed.models.vision.transformers_encoder import TransformersImageEncoder, preparation
from honed.protocols import ImageEncoder
from tests.models.vision.make import picture

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
TEXT = TOWER | {
    "vocab_size": 60,
    "max_position_embeddings": 12,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
VISION = TOWER | {"image_size": 32, "patch_size": 8}
CLIP_PICTURES = {
    "do_resize": True,
    "size": {"shortest_edge": 32},
    "do_center_crop": True,
    "crop_size": {"height": 32, "width": 32},
    "image_mean": [0.48, 0.46, 0.41],
    "image_std": [0.27, 0.26, 0.28],
    "resample": 3,
}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
SIGLIP_PICTURES = HALF | {"size": {"height": 32, "width": 32}, "resample": 2}
DINO_PICTURES = CLIP_PICTURES | {"size": {"shortest_edge": 40}}
NAMES = ("clip", "siglip", "dinov2", "clip-vision")


def make(name: str) -> tuple[Any, dict[str, Any]]:
    """A model of a class and the preparation of its pictures."""
    if name == "clip":
        both = {"text_config": TEXT | {"projection_dim": 24}, "vision_config": VISION | {"projection_dim": 24}}
        return transformers.CLIPModel(transformers.CLIPConfig(**both, projection_dim=24)), CLIP_PICTURES
    if name == "siglip":
        config = transformers.SiglipConfig(text_config=TEXT, vision_config=VISION)
        return transformers.SiglipModel(config), SIGLIP_PICTURES
    if name == "dinov2":
        return transformers.Dinov2Model(transformers.Dinov2Config(**VISION)), DINO_PICTURES
    return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**VISION)), CLIP_PICTURES


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each class; read only."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", "red", "blue", "umbrella", "a", "house"]
    tokens = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="[PAD]", bos_token="[BOS]", eos_token="[EOS]", unk_token="[UNK]"
    )
    found = {}
    for name in NAMES:
        folder = tmp_path_factory.mktemp(name) / "model"
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, pictures = make(name)
            model.save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(json.dumps(pictures))
        if name in ("clip", "siglip"):
            tokenizer.save_pretrained(folder)
        found[name] = folder
    return found


@pytest.mark.parametrize("name", NAMES)
def test_pictures_become_descriptors(folders: dict[str, Path], name: str) -> None:
    encoder = load("image-encoder", f"transformers:{folders[name]}", cache_dir=Path("unused"), threads=1)
    assert isinstance(encoder, ImageEncoder) and isinstance(encoder, TransformersImageEncoder)
    images = [picture(seed, (40 + seed, 50)) for seed in range(3)]
    found = encoder.encode_image(images)
    assert found.shape == (3, encoder.dimension) and found.dtype == np.float32
    assert encoder.dimension == (24 if name == "clip" else 32)
    assert np.ptp(found, axis=0).max() > 1e-3
    np.testing.assert_allclose(encoder.encode_image(images[1:2]), found[1:2], atol=1e-5)
    np.testing.assert_array_equal(encoder.encode_pixels([encoder.prepare(image) for image in images]), found)
    assert encoder.encode_image([]).shape == (0, encoder.dimension)


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_texts_and_pictures_share_a_space(folders: dict[str, Path], name: str) -> None:
    encoder = TransformersImageEncoder(folders[name], threads=1)
    assert encoder.has_text
    found = encoder.encode_text(["a red umbrella", "a blue house", "a red umbrella " * 20])
    assert found.shape == (3, encoder.dimension)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert abs(float(found[0] @ found[1])) < 0.9999
    assert encoder.encode_text([]).shape == (0, encoder.dimension)


@pytest.mark.parametrize("name", ["dinov2", "clip-vision"])
def test_a_model_without_a_tower_for_texts_says_so(folders: dict[str, Path], name: str) -> None:
    encoder = TransformersImageEncoder(folders[name], threads=1)
    assert not encoder.has_text
    with pytest.raises(UsageError, match="pictures only"):
        encoder.encode_text(["a red umbrella"])


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (90, 60), (50, 120)])
def test_pictures_are_prepared_as_the_model_was_trained(size: tuple[int, int]) -> None:
    """Cropping before resizing instead of after it changes the seam by part of a pixel, and nothing else."""
    pil = pytest.importorskip("transformers.models.clip.image_processing_pil_clip")
    image = picture(1, size)
    theirs = pil.CLIPImageProcessorPil(**CLIP_PICTURES)(image, return_tensors="np")["pixel_values"][0]
    how = preparation(CLIP_PICTURES)
    ours = ((how(image) - np.array(how.mean)) / np.array(how.deviation)).transpose(2, 0, 1)
    assert np.abs(ours - theirs).mean() < 0.02


def test_the_space_follows_weights_and_preparation(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["dinov2"], tmp_path / "model")
    first = TransformersImageEncoder(folder).space
    assert first == TransformersImageEncoder(folders["dinov2"]).space and len(first) == 32
    (folder / "preprocessor_config.json").write_text(json.dumps(DINO_PICTURES | {"size": {"shortest_edge": 32}}))
    second = TransformersImageEncoder(folder).space
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"transformers_version": "9"}))
    assert TransformersImageEncoder(folder).space == second
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert len({first, second, TransformersImageEncoder(folder).space}) == 3


def test_code_and_pickles_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["clip"], tmp_path / "code")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(InputError, match="refused"):
        TransformersImageEncoder(folder)
    folder = shutil.copytree(folders["clip"], tmp_path / "pickle")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        TransformersImageEncoder(folder)
    (folder / "preprocessor_config.json").unlink()
    (folder / "pytorch_model.bin").rename(folder / "model.safetensors")
    with pytest.raises(MissingError, match="preprocessor_config"):
        TransformersImageEncoder(folder)


def test_a_hub_id_is_looked_up_in_the_local_cache(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingError, match="someone/dino"):
        load("image-encoder", "someone/dino")
    shutil.copytree(folders["dinov2"], tmp_path / "models--someone--dino" / "snapshots" / "abc")
    refs = tmp_path / "models--someone--dino" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    assert load("image-encoder", "someone/dino").encode_image([picture(0)]).shape == (1, 32)


def test_without_torch_it_says_what_to_type(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, TransformersImageEncoder.__module__)
    with pytest.raises(MissingError, match="torch") as missing:
        load("image-encoder", f"transformers:{folders['dinov2']}")
    assert "honed[tune]" in missing.value.hint


def test_every_way_to_say_what_pictures_are_like() -> None:
    old = {"size": 224, "crop_size": 224, "do_center_crop": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    assert (preparation(old).side, preparation(old).fit, preparation(old).keep) == (224, "crop", 1.0)
    assert preparation(old).mean == (127.5,) * 3
    dino = preparation(DINO_PICTURES)
    assert (dino.side, dino.fit, dino.keep, dino.resample) == (32, "crop", 0.8, "bicubic")
    siglip = preparation(SIGLIP_PICTURES)
    assert (siglip.side, siglip.fit, siglip.resample) == (32, "stretch", "bilinear")
    plain = preparation({"size": 16, "do_rescale": False, "do_normalize": False})
    assert plain.mean == (0.0,) * 3 and plain.deviation == (1.0,) * 3
    assert siglip(Image.new("RGB", (9, 5))).shape == (32, 32, 3)


@pytest.mark.parametrize(
    "config",
    [
        {},
        HALF | {"size": {"height": 32, "width": 48}},
        HALF | {"size": {"shortest_edge": 32}},
        HALF | {"size": {"longest_edge": 32}},
        HALF | {"size": 32, "resample": 0},
        HALF | {"size": 32, "image_mean": [0.5]},
        HALF | {"size": 32, "image_std": [0.0] * 3},
        HALF | {"size": 0},
        HALF | {"size": 32, "do_center_crop": True},
    ],
)
def test_unknown_ways_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        preparation(config)
