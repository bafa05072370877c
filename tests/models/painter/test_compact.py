from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from honed.errors import InputError, IntegrityError, MissingError, UsageError
from honed.models import registry
from honed.models.hashing import HashEmbedder
from honed.models.painter.compact import (
    CompactPainter,
    Orders,
    painter_digest,
    read_sampling,
    write_painter,
    write_sampling,
)
from honed.models.painter.sampler import Sampling
from honed.models.weights import Weights
from honed.protocols import ImageGenerator

FAST = Sampling(steps=3)
RED, BLUE = Image.new("RGB", (20, 10), "red"), Image.new("RGBA", (9, 9), (0, 0, 255, 0))


@pytest.fixture
def painter(painter_folder: Path) -> CompactPainter:
    loaded = registry.load("image-generator", f"compact:{painter_folder}", embedder=HashEmbedder(8), sampling=FAST)
    assert isinstance(loaded, CompactPainter)
    return loaded


def pixels(pictures: list[Image.Image]) -> list[bytes]:
    return [picture.tobytes() for picture in pictures]


def test_it_is_an_image_generator(painter: CompactPainter) -> None:
    assert isinstance(painter, ImageGenerator)
    assert painter.name.startswith("compact:tiny-")
    assert painter.styles == ("flat", "round")


def test_a_seed_gives_the_same_pictures_whatever_their_number(painter: CompactPainter) -> None:
    three = painter.generate("umbrella", [RED, BLUE], n=3, seed=5, style="flat")
    assert [(picture.mode, picture.size) for picture in three] == [("RGB", (16, 16))] * 3
    assert pixels(painter.generate("umbrella", [RED, BLUE], n=1, seed=5, style="flat")) == pixels(three)[:1]
    assert pixels(painter.generate("umbrella", [BLUE, RED], n=1, seed=6, style="flat")) == pixels(three)[1:2]
    assert len(set(pixels(three))) == 3


def test_everything_that_is_given_matters(painter: CompactPainter) -> None:
    def draw(text: str, references: list[Image.Image], style: str) -> bytes:
        return painter.generate(text, references, n=1, seed=1, style=style)[0].tobytes()

    drawings = {
        draw("", [], ""),
        draw("umbrella", [], ""),
        draw("tree", [], ""),
        draw("", [RED], ""),
        draw("", [RED, BLUE], ""),
        draw("", [], "flat"),
        draw("", [], "round"),
    }
    assert len(drawings) == 7


def test_references_beyond_its_slots_are_left_out(painter: CompactPainter) -> None:
    two = painter.generate("", [RED, BLUE], n=1, seed=1)
    assert pixels(painter.generate("", [RED, BLUE, RED], n=1, seed=1)) == pixels(two)


def test_words_need_the_embedder_of_training(painter_folder: Path, painter: CompactPainter) -> None:
    silent = registry.load("image-generator", f"compact:{painter_folder}", sampling=FAST)
    nothing = silent.generate("", [RED], n=1, seed=1)
    assert pixels(silent.generate("umbrella", [RED], n=1, seed=1)) == pixels(nothing)
    assert pixels(painter.generate("umbrella", [RED], n=1, seed=1)) != pixels(nothing)


def test_another_embedder_is_refused(painter: CompactPainter) -> None:
    from dataclasses import replace

    config = replace(painter.config, text_space="of another embedder")
    with pytest.raises(UsageError, match="another embedder"):
        CompactPainter(config, painter.net, name="x", embedder=HashEmbedder(8))


def test_an_order_does_not_depend_on_the_others(painter: CompactPainter) -> None:
    random = np.random.default_rng(0)
    orders = Orders(
        references=random.integers(0, 255, (5, 2, 16, 16, 3), np.uint8),
        present=np.array([[True, True], [True, False], [False, False], [True, True], [False, True]]),
        styles=np.array([1, 2, 0, 1, 0]),
        texts=np.eye(5, 8, dtype=np.float32),
        seeds=[3, 4, 5, 6, 7],
    )
    together = painter.paint(orders)
    for at in range(5):
        rows = slice(at, at + 1)
        alone = Orders(
            orders.references[rows], orders.present[rows], orders.styles[rows], orders.texts[rows], orders.seeds[rows]
        )
        difference = np.abs(painter.paint(alone)[0].astype(int) - together[at])
        assert difference.max() <= 2  # sums of floats in another order


def test_wrong_orders_are_refused(painter: CompactPainter) -> None:
    with pytest.raises(UsageError, match="no style 'oil'"):
        painter.generate("", [], n=1, seed=1, style="oil")
    with pytest.raises(UsageError, match="0 pictures"):
        painter.generate("", [], n=0, seed=1)


def test_a_folder_that_is_none_is_refused(tmp_path: Path, painter_folder: Path) -> None:
    with pytest.raises(MissingError):
        registry.load("image-generator", f"compact:{tmp_path}")
    folder = tmp_path / "copy"
    shutil.copytree(painter_folder, folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "other"}))
    with pytest.raises(InputError):
        registry.load("image-generator", f"compact:{folder}")


@pytest.mark.parametrize("damage", ["missing", "shape", "nan"])
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, painter: CompactPainter, painter_folder: Path, damage: str
) -> None:
    tensors = dict(Weights(painter_folder / "model.safetensors"))
    if damage == "missing":
        del tensors["wordless"]
    elif damage == "shape":
        tensors["wordless"] = np.zeros(3, np.float32)
    else:
        tensors["wordless"] = np.full_like(tensors["wordless"], np.nan)
    write_painter(tmp_path / "bad", painter.config, tensors)
    with pytest.raises(IntegrityError):
        registry.load("image-generator", f"compact:{tmp_path / 'bad'}")


def test_how_it_draws_is_part_of_its_folder(painter_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(painter_folder, tmp_path / "tiny"))
    assert read_sampling(folder) == Sampling()
    before = painter_digest(folder)
    write_sampling(folder, Sampling(steps=5, references=1.5))
    assert painter_digest(folder) != before
    loaded = registry.load("image-generator", f"compact:{folder}")
    assert loaded.sampling == Sampling(steps=5, references=1.5)
    assert registry.load("image-generator", f"compact:{folder}", sampling=FAST).sampling == FAST
    for wrong in ({"steps": 0}, {"colour": 1}, 7):
        value = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**value, "sampling": wrong}))
        with pytest.raises(InputError, match="'sampling' cannot be"):
            registry.load("image-generator", f"compact:{folder}")
