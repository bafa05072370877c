from __future__ import annotations

import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from honed.errors import InputError
from honed.models.painter.provenance import KEYWORD, Provenance, is_generated, png_with, read_provenance, save_picture

ORIGIN = Provenance("ein roter Schirm ☂", 7, "compact:painter-12", "r3", "noto", ("doc-1#0", "doc-2#4"))


def png(text: PngInfo | None = None) -> bytes:
    file = BytesIO()
    Image.new("RGB", (5, 4), "red").save(file, "PNG", pnginfo=text)
    return file.getvalue()


def test_a_picture_says_where_it_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "new" / "picture.png"
    save_picture(path, Image.new("RGB", (8, 8), "blue"), ORIGIN)
    data = path.read_bytes()
    assert read_provenance(data) == ORIGIN
    assert is_generated(data)
    with Image.open(path) as picture:
        assert picture.getpixel((3, 3)) == (0, 0, 255)
        assert is_generated(picture.info)


def test_other_files_are_not_generated() -> None:
    jpeg = BytesIO()
    Image.new("RGB", (5, 4)).save(jpeg, "JPEG")
    for data in (png(), jpeg.getvalue(), b"", b"\x89PNG\r\n\x1a\n", KEYWORD.encode()):
        assert not is_generated(data)
        assert read_provenance(data) is None
    assert not is_generated({})


@pytest.mark.parametrize("packed", [False, True])
def test_the_label_survives_a_program_that_writes_it_otherwise(packed: bool) -> None:
    info = PngInfo()
    text = '{"format": 1, "prompt": "a", "model": "m", "release": "", "style": "", "seed": 1, "references": []}'
    info.add_text(KEYWORD, text, zip=packed)
    assert read_provenance(png(info)) == Provenance("a", 1, "m")


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2}', '{"format": 1, "seed": "x"}', '{"format": 1, "seed": 1}'])
def test_a_damaged_label_still_is_one(text: str) -> None:
    info = PngInfo()
    info.add_itxt(KEYWORD, text)
    data = png(info)
    assert is_generated(data)
    with pytest.raises(InputError):
        read_provenance(data)


def test_a_label_that_inflates_without_end_is_cut() -> None:
    info = PngInfo()
    info.add(b"zTXt", KEYWORD.encode() + b"\0\0" + zlib.compress(b" " * 50_000_000))
    data = png(info)
    assert is_generated(data)
    with pytest.raises(InputError):
        read_provenance(data)


@pytest.mark.parametrize("cut", [9, 20, 40, 60, 90])
def test_a_torn_file_raises_nothing_unknown(cut: int) -> None:
    data = png_with(Image.new("RGB", (4, 4)), ORIGIN)[:cut]
    assert isinstance(is_generated(data), bool)


def test_the_label_is_read_without_torch_and_pillow() -> None:
    code = (
        "import sys, honed.models.painter.provenance as p; p.is_generated(b'x');"
        "bad = {'torch', 'PIL', 'diffusers'} & set(sys.modules); sys.exit(', '.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
