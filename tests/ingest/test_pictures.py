"""Picture files through the sandbox: what is seen, what is said of it, and that neighbours do each other no harm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from honed.ingest.codes import CODES, as_evidence
from honed.ingest.describe import look_at_file
from honed.ingest.sandbox import Sandbox
from honed.models.painter.provenance import KEYWORD, Provenance, save_picture
from honed.types import Parsed, Picture, Rejection
from tests.ingest.draw import close, data, grain, titled, waves, write
from tests.ingest.hostile.drawings import svg
from tests.ingest.hostile.pictures import picture as broken


def seen(sandbox: Sandbox, path: Path) -> tuple[Parsed, Picture]:
    outcome = sandbox.parse(path)
    assert isinstance(outcome, Parsed), outcome
    (picture,) = outcome.media
    return outcome, picture


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif", ".tiff", ".bmp", ".avif"])
def test_every_format_shows_the_same_picture(suffix: str, sandbox: Sandbox, tmp_path: Path) -> None:
    outcome, picture = seen(sandbox, write(tmp_path / f"red-sea_02{suffix}", waves(1)))
    assert close(picture.array, waves(1))
    assert (picture.size, picture.width, picture.height, picture.kind) == ((120, 80), 120, 80, "file")
    assert outcome.title == picture.caption == "red sea 02"
    assert outcome.meta["width"] == 120


def test_large_pictures_shrink_and_small_ones_stay(sandbox: Sandbox, tmp_path: Path) -> None:
    _, large = seen(sandbox, write(tmp_path / "large.png", waves(1, 1500, 300)))
    assert (large.size, large.width, large.height) == ((512, 103), 1500, 300)
    _, small = seen(sandbox, write(tmp_path / "small.png", waves(1, 3, 5)))
    assert small.size == (3, 5)


def test_a_picture_is_upright(sandbox: Sandbox, tmp_path: Path) -> None:
    lying = waves(1).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[274] = 6  # the camera was turned: show it a quarter to the right
    _, picture = seen(sandbox, write(tmp_path / "a.jpg", lying, exif=exif, quality=95))
    assert (picture.width, picture.height) == (120, 80)
    assert close(picture.array, waves(1))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "I;16", "CMYK", "F"])
def test_every_kind_of_pixels(mode: str, sandbox: Sandbox, tmp_path: Path) -> None:
    image = Image.new("RGBA", (70, 70), (255, 255, 255, 0))
    image.paste((0, 0, 0, 255), (10, 10, 60, 60))
    if mode in ("RGBA", "LA", "P"):
        image = image.convert(mode)
    elif mode == "I;16":
        image = Image.fromarray(np.asarray(Image.alpha_composite(Image.new("RGBA", (70, 70), "white"), image).convert("L")).astype(np.uint16) * 257)  # fmt: skip  # noqa: E501
    else:
        image = Image.alpha_composite(Image.new("RGBA", (70, 70), "white"), image).convert("RGB").convert(mode)
    suffix = ".tiff" if mode in ("CMYK", "F") else ".png"
    _, picture = seen(sandbox, write(tmp_path / f"a{suffix}", image))
    assert (picture.array[0, 0] >= 250).all(), "what is see-through is white"
    assert (picture.array[35, 35] <= 40).all()


def test_the_first_frame_counts(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    waves(1).save(path, save_all=True, append_images=[waves(2), waves(3)])
    _, picture = seen(sandbox, path)
    assert close(picture.array, waves(1))


def test_words_of_a_png(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "IMG_1.png"
    path.write_bytes(
        titled(waves(1), Title="A quiet sea", Description="Seen from the pier", Keywords="sea; blue, quiet")
    )
    outcome, picture = seen(sandbox, path)
    assert outcome.title == picture.caption == "A quiet sea"
    assert [block.text for block in outcome.blocks] == ["Seen from the pier", "sea, blue, quiet"]
    assert outcome.meta["tags"] == ["sea", "blue", "quiet"]


def test_words_of_exif_and_xmp(sandbox: Sandbox, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[270] = "OLYMPUS DIGITAL CAMERA"
    exif[0x9C9C] = "What the owner wrote\0".encode("utf-16-le")
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "A comment".encode("utf-16-le")
    outcome, _ = seen(sandbox, write(tmp_path / "a.jpg", waves(1), exif=exif))
    assert outcome.title == "What the owner wrote"
    assert [block.text for block in outcome.blocks] == ["A comment"], "and nothing of what cameras write"
    xmp = (
        b'<x xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<dc:title><r:Alt><r:li xml:lang="x-default">The title</r:li></r:Alt></dc:title>'
        b"<dc:subject><r:Bag><r:li>one</r:li><r:li>two</r:li></r:Bag></dc:subject></x>"
    )
    outcome, _ = seen(sandbox, write(tmp_path / "b.jpg", waves(1), xmp=xmp))
    assert (outcome.title, outcome.meta["tags"]) == ("The title", ["one", "two"])


def test_words_of_iptc(sandbox: Sandbox, tmp_path: Path) -> None:
    def entry(number: int, text: bytes) -> bytes:
        return b"\x1c\x02" + bytes([number]) + len(text).to_bytes(2, "big") + text

    records = entry(120, b"A caption") + entry(25, b"harbour") + entry(25, b"crane")
    resource = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(records).to_bytes(4, "big") + records
    jpeg = data(waves(1), "JPEG")
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xed" + (len(resource) + 2).to_bytes(2, "big") + resource + jpeg[2:])
    outcome, _ = seen(sandbox, path)
    assert (outcome.title, outcome.meta["tags"]) == ("A caption", ["harbour", "crane"])


def test_a_drawing_is_drawn_and_read(sandbox: Sandbox, tmp_path: Path) -> None:
    body = '<title>A flag</title><desc>Half red</desc><rect width="50" height="100" fill="red"/><text>word</text>'
    (tmp_path / "a.svg").write_bytes(svg(body))
    outcome, picture = seen(sandbox, tmp_path / "a.svg")
    assert (outcome.title, [block.text for block in outcome.blocks]) == ("A flag", ["Half red", "word"])
    assert (picture.size, picture.width, picture.height) == ((256, 256), 100, 100), "icons are drawn larger"
    assert picture.array[128, 60].tolist() == [255, 0, 0]
    assert picture.array[128, 200].tolist() == [255, 255, 255]


def test_a_drawing_reads_no_file_whatever_the_kernel_can_deny(tmp_path: Path) -> None:
    """Without the sandbox, in this process: the drawing itself has lost what leads out of it."""
    from honed.ingest.parse import Job, read

    write(tmp_path / "secret.png", Image.new("RGB", (9, 9), "red"))
    path = tmp_path / "a.svg"
    path.write_bytes(
        svg(
            f'<image width="99" height="99" href="{tmp_path}/secret.png"/>'
            f'<style>rect {{ fill: url({tmp_path}/secret.png) }}</style><use href="{tmp_path}/b.svg#x"/>'
            f'<rect width="99" height="99" style="fill: url(file://{tmp_path}/secret.png)"/>'
        )
    )
    with path.open("rb") as source:
        (picture,) = read(source, Job("a.svg", "image/svg+xml")).media
    reds = (picture.array[..., 0] > 200) & (picture.array[..., 1] < 50)
    assert not reds.any()


def test_a_batch_gives_what_single_files_give(sandbox: Sandbox, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{number:02}.png", waves(number)) for number in range(40)]
    paths[3].write_bytes(broken("PNG", keep=0.5))
    paths[4].write_text("no picture")
    paths[5].unlink()
    (tmp_path / "06.png").write_bytes(b"")
    together = list(sandbox.parse_pictures(paths))
    assert [path for path, _ in together] == paths
    for path, outcome in together:
        assert outcome == sandbox.parse(path), path
    codes = [outcome.code for _, outcome in together if isinstance(outcome, Rejection)]
    assert codes == ["corrupt", "unreadable", "empty"]
    assert set(codes) <= CODES.keys()


def test_one_that_ends_its_process_costs_its_neighbours_nothing(tmp_path: Path) -> None:
    from honed.ingest.limits import MIB, Limits

    paths = [write(tmp_path / f"{number}.png", waves(number)) for number in range(5)]
    write(paths[1], Image.new("RGBA", (6000, 6000)))
    write(paths[3], Image.new("RGBA", (6000, 6000)))
    with Sandbox(Limits(memory_bytes=100 * MIB), ocr=False) as small:
        outcomes = [outcome for _, outcome in small.parse_pictures(paths)]
    assert [isinstance(outcome, Parsed) for outcome in outcomes] == [True, False, True, False, True]
    assert {outcome.code for outcome in outcomes if isinstance(outcome, Rejection)} <= {"memory", "crash"}


def test_grain_of_photographs_survives(sandbox: Sandbox, tmp_path: Path) -> None:
    _, picture = seen(sandbox, write(tmp_path / "a.jpg", grain(1), quality=95))
    assert close(picture.array, grain(1))


def test_a_drawing_of_the_generator_may_be_searched_with(sandbox: Sandbox, tmp_path: Path) -> None:
    save_picture(tmp_path / "drawn.png", waves(1, 400, 300), Provenance("a wave", 1, "compact:painter"))
    outcome, picture = seen(sandbox, tmp_path / "drawn.png")
    assert KEYWORD in outcome.meta and "scanned_pages" not in outcome.meta
    assert close(look_at_file(tmp_path / "drawn.png").picture.array, picture.array)
    refused = as_evidence(outcome)
    assert isinstance(refused, Rejection) and refused.code == "generated"
