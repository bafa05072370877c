from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from honed.ingest.rendering import encoded, perceptual_hash
from tests.ingest.draw import close, grain, picture, waves


def apart(one: Image.Image, other: Image.Image) -> int:
    """Bits in which two perceptual hashes differ."""
    return (perceptual_hash(picture(one)) ^ perceptual_hash(picture(other))).bit_count()


def test_drawings_are_kept_as_they_are_and_photographs_nearly() -> None:
    drawing, photograph = Image.new("RGB", (240, 160), "white"), grain(1, 240, 160)
    drawing.paste((200, 30, 40), (20, 30, 90, 120))
    assert encoded(picture(drawing)).startswith(b"\x89PNG")
    assert encoded(picture(photograph)).startswith(b"\xff\xd8")
    assert (np.asarray(Image.open(io.BytesIO(encoded(picture(drawing))))) == np.asarray(drawing)).all()
    assert close(Image.open(io.BytesIO(encoded(picture(photograph)))), photograph)


def test_equal_pixels_are_one_media_and_nothing_else_is_kept() -> None:
    image = waves(2)
    image.info["comment"] = "secret"
    assert encoded(picture(image)) == encoded(picture(waves(2), caption="other", page=3))
    assert b"secret" not in encoded(picture(image))
    assert encoded(picture(image)) != encoded(picture(waves(3)))


@pytest.mark.parametrize("seed", range(6))
def test_copies_share_a_hash_and_others_do_not(seed: int) -> None:
    image = grain(seed, 240, 160)
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=40)
    copies = (
        image.resize((90, 60)),
        Image.open(sink),
        ImageEnhance.Brightness(image).enhance(1.1),
        image.crop((3, 2, 238, 158)),
    )
    assert max(apart(image, copy) for copy in copies) <= 12, "6 for most"
    others = [apart(image, grain(other, 240, 160)) for other in range(20, 30)]
    assert min(others) > 6
    assert np.mean(others) > 16


def test_an_even_picture_has_a_hash_without_chance_in_it() -> None:
    assert perceptual_hash(picture(Image.new("RGB", (9, 5), "white"))) == 1 << 63
    assert perceptual_hash(picture(Image.new("RGB", (50, 70), "black"))) == 0
    assert 0 <= perceptual_hash(picture(Image.new("RGB", (1, 1), "red"))) < 1 << 64
