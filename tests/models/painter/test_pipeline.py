from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from honed.errors import InputError, MissingError, UsageError
from honed.models import registry
from honed.models.painter.pipeline import DiffusersPainter, PipelineSettings, check_pipeline
from honed.protocols import ImageGenerator

from .tiny_pipeline import SIDE, make_tiny_ip_adapter, make_tiny_pipeline

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # the libraries warn of their own futures
]
RED, BLUE = Image.new("RGB", (20, 10), "red"), Image.new("RGB", (9, 9), "blue")
SETTINGS = PipelineSettings(steps=4, strength=0.8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pipeline(tmp_path_factory.mktemp("pipelines") / "tiny")


@pytest.fixture(scope="module")
def painter(folder: Path) -> DiffusersPainter:
    loaded = registry.load("image-generator", f"diffusers:{folder}", settings=SETTINGS, device="cpu")
    assert isinstance(loaded, DiffusersPainter)
    return loaded


def pixels(pictures: list[Image.Image]) -> list[bytes]:
    return [picture.tobytes() for picture in pictures]


def test_it_is_an_image_generator(painter: DiffusersPainter, folder: Path) -> None:
    assert isinstance(painter, ImageGenerator)
    assert painter.name == f"diffusers:{folder}"
    assert painter.styles == ()


@pytest.mark.parametrize("references", [[], [RED, BLUE]])
def test_a_seed_gives_the_same_pictures(painter: DiffusersPainter, references: list[Image.Image]) -> None:
    two = painter.generate("red umbrella", references, n=2, seed=5)
    assert [(picture.mode, picture.size) for picture in two] == [("RGB", (SIDE, SIDE))] * 2
    assert pixels(painter.generate("red umbrella", references, n=1, seed=5)) == pixels(two)[:1]
    assert len(set(pixels(two))) == 2


def test_words_style_and_references_matter(painter: DiffusersPainter) -> None:
    def draw(text: str, references: list[Image.Image], style: str = "") -> bytes:
        return painter.generate(text, references, n=1, seed=1, style=style)[0].tobytes()

    assert (
        len({draw("cat", []), draw("dog", []), draw("cat", [], "flat"), draw("cat", [RED]), draw("cat", [BLUE])}) == 5
    )


def test_with_an_ip_adapter_every_reference_steers(folder: Path, painter: DiffusersPainter, tmp_path: Path) -> None:
    named = make_tiny_ip_adapter(tmp_path / "adapter", painter.pipeline)
    spec = registry.parse("image-generator", f"diffusers:{folder}")
    adapted = DiffusersPainter.from_spec(spec, device="cpu", settings=SETTINGS, ip_adapter=named)
    assert adapted.references == 4

    def draw(references: list[Image.Image]) -> bytes:
        return adapted.generate("cat", references, n=1, seed=1)[0].tobytes()

    drawings = [draw(references) for references in ([], [RED], [BLUE], [RED, BLUE])]
    assert len(set(drawings)) == 4
    assert draw([RED, BLUE]) == drawings[-1]


def test_what_is_not_there_is_said(tmp_path: Path, painter: DiffusersPainter) -> None:
    with pytest.raises(MissingError):
        registry.load("image-generator", f"diffusers:{tmp_path / 'nothing'}")
    with pytest.raises(UsageError):
        painter.generate("", [], n=0, seed=1)
    with pytest.raises(UsageError, match="no IP-Adapter"):
        DiffusersPainter.from_spec(registry.parse("image-generator", painter.name), device="cpu", ip_adapter="x.bin")


def test_code_of_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "X", "unet": ["my_unet", "MyUNet"]}))
    with pytest.raises(InputError, match="never run"):
        check_pipeline(tmp_path)


def test_pickles_are_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    import torch

    copy = tmp_path / "pickled"
    shutil.copytree(folder, copy)
    for weights in list(copy.glob("*/*.safetensors")):
        torch.save({}, weights.parent / "diffusion_pytorch_model.bin")
        weights.unlink()
    with pytest.raises(MissingError):
        registry.load("image-generator", f"diffusers:{copy}", device="cpu")
