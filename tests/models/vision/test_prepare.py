from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from honed.errors import InputError
from honed.models.vision.prepare import Fit, Preparation, on_white

PAD = Preparation(16, "pad", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
RED = (255, 0, 0)


def test_padding_keeps_the_whole_picture_on_white() -> None:
    wide = Image.new("RGB", (64, 32), RED)
    pixels = PAD(wide)
    assert pixels.shape == (16, 16, 3) and pixels.dtype == np.uint8
    assert (pixels[4:12] == RED).all()
    assert (pixels[:4] == 255).all() and (pixels[12:] == 255).all()
    assert (PAD(Image.new("RGB", (1, 500), RED))[:, 7] == RED).all()  # a line of one pixel does not vanish
    assert (PAD(Image.new("RGB", (3, 3), RED)) == RED).all()


def test_the_middle_is_cropped_and_everything_is_stretched() -> None:
    flag = Image.new("RGB", (90, 30), RED)
    flag.paste((0, 0, 255), (30, 0, 60, 30))
    assert (replace(PAD, fit="crop")(flag) == (0, 0, 255)).all()
    stretched = replace(PAD, fit="stretch", resample="bilinear")(flag)
    assert (stretched[:, 0] == RED).all() and (stretched[:, 8] == (0, 0, 255)).all()
    framed = Image.new("RGB", (40, 40), RED)
    framed.paste((0, 255, 0), (5, 5, 35, 35))
    assert (replace(PAD, fit="crop", keep=0.5)(framed) == (0, 255, 0)).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_what_is_transparent_shows_white(mode: str) -> None:
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 4, 8))
    image = {
        "PA": lambda: clear.quantize().convert("PA"),
        "La": lambda: clear.convert("LA").convert("La"),
    }.get(mode, lambda: clear.convert(mode))()
    if mode == "PA":  # Pillow's way there drops the alpha channel: set it by hand
        image.putalpha(clear.getchannel("A"))
    assert image.mode == mode
    found = np.asarray(on_white(image))
    assert (found[:, :4] == 0).all() and (found[:, 4:] == 255).all()


def test_one_transparent_colour_shows_white(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 9, 9, 9])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "one.png", transparency=0)
    found = np.asarray(on_white(Image.open(tmp_path / "one.png")))
    assert (found[0, 0] == 255).all() and (found[1, 1] == 9).all()


@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "YCbCr", "HSV", "LAB", "P"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.new("LAB", (8, 8)) if mode == "LAB" else Image.new("RGB", (8, 8)).convert(mode)
    assert PAD(image).shape == (16, 16, 3)


def test_sixteen_bits_are_scaled_and_eight_stay() -> None:
    deep = Image.fromarray(np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8))
    found = np.asarray(on_white(deep))
    assert found.min() == 0 and found.max() == 255 and 100 < found.mean() < 150
    assert np.asarray(on_white(Image.new("I", (4, 4), 77))).max() == 77
    real = Image.fromarray(np.array([[np.nan, 0.5], [1.0, 0.0]], np.float32))
    assert np.asarray(on_white(real))[..., 0].tolist() == [[0, 127], [255, 0]]


def test_the_picture_that_was_given_is_not_changed() -> None:
    image = Image.new("RGBA", (8, 8), (1, 2, 3, 4))
    PAD(image)
    assert image.mode == "RGBA" and image.getpixel((0, 0)) == (1, 2, 3, 4)


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
def test_it_is_written_and_read(fit: Fit) -> None:
    given = replace(PAD, fit=fit, keep=0.875, resample="bilinear")
    assert Preparation.from_json(given.to_json()) == given


@pytest.mark.parametrize(
    "change",
    [
        {"side": 0},
        {"side": 9999},
        {"side": 16.0},
        {"side": True},
        {"fit": "squash"},
        {"mean": [1, 2]},
        {"mean": ["a", 2, 3]},
        {"mean": None},
        {"deviation": [0, 1, 1]},
        {"deviation": [1, 1, float("nan")]},
        {"keep": 0},
        {"keep": 2},
        {"keep": "half"},
        {"resample": "nearest"},
        {"blur": 3},
    ],
)
def test_a_wrong_description_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Preparation.from_json(PAD.to_json() | change)
    with pytest.raises(InputError):
        Preparation.from_json({})
