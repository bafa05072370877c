"""`honed imagine` as scripts and people meet it; the painter has random weights, so nobody judges what it draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="drawing needs the extra: pip install 'honed[imagine]'")
pytest.importorskip("diffusers", reason="drawing needs the extra: pip install 'honed[imagine]'")

from dataclasses import replace

from honed.catalog import history
from honed.models.painter.compact import write_painter
from honed.models.painter.provenance import read_provenance
from honed.release.build import Shipment, build
from honed.release.manifest import IMAGE_GENERATOR, RETRIEVER, Part
from honed.session import open_session
from honed.workspace import at
from tests.cli.conftest import HASHED, Honed
from tests.models.painter.conftest import CONFIG, random_net


@pytest.fixture
def drawing(honed: Honed, workspace: Path, tmp_path: Path) -> Path:
    """A workspace with five pictures and a released painter; the folder of the pictures."""
    (workspace / "honed.toml").write_text(HASHED + 'image_encoder = "thumbnail:8"\nthreads = 1\n')
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, name in enumerate(("red umbrella", "blue umbrella", "green tree", "old house", "ship")):
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (20, 20, 3), np.uint8)).save(
            folder / f"{name}.png"
        )
    assert honed("add", folder).code == 0
    with open_session(at(workspace)) as opened:
        space = opened.live_embedder().space
        config = replace(CONFIG, text=256, text_space=space)
        weights = {name: np.array(value) for name, value in random_net(config).state_dict().items()}
        painter = write_painter(tmp_path / "painter", config, weights)
        part = Part(files={"painter": painter}, needs={RETRIEVER: space}, lasts=True)
        shipment = Shipment("a painter", {IMAGE_GENERATOR: part})
        expected = history.live_release(opened.catalog)
        build(opened.workspace, opened.catalog, shipment, expected=expected, reason="test")
    return folder


def test_what_scripts_rely_on(honed: Honed, drawing: Path, tmp_path: Path) -> None:
    made = honed("imagine", "red umbrella", "--style", "flat", "-n", "2", "-o", tmp_path / "out", "--json")
    assert made.code == 0, made.err
    value = made.json
    assert set(value) == {"release", "prompt", "style", "model", "references", "images", "ms"}
    assert (value["release"], value["prompt"], value["style"]) == ("r2", "red umbrella", "flat")
    assert {"image", "document", "title", "source", "score"} == set(value["references"][0])
    assert value["references"][0]["title"] == "red umbrella"
    assert [one["seed"] for one in value["images"]] == [0, 1]
    for one in value["images"]:
        said = read_provenance(Path(one["file"]).read_bytes())
        assert said is not None
        assert [*said.references] == one["references"]
    plain = honed("imagine", "red umbrella", "-n", "1", "-o", tmp_path / "out")
    assert plain.out.splitlines()[0] == str(tmp_path / "out" / "red-umbrella-1.png")
    assert "from red umbrella" in plain.out


def test_what_was_drawn_is_not_taken_in(honed: Honed, drawing: Path) -> None:
    assert honed("imagine", "ship", "-n", "2", "-o", drawing).code == 0
    again = honed("add", drawing, "--json").json
    assert (again["new"], again["unchanged"]) == (0, 5)
    assert "generated" in honed("status", "--sources").out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["imagine"], 2, "There is nothing to draw"),
        (["imagine", "ship", "-n", "0"], 2, "0 pictures cannot be ordered"),
        (["imagine", "ship", "--style", "baroque"], 2, "knows no style 'baroque'"),
        (["imagine", "ship", "--seed", "-1"], 2, "A seed of -1"),
        (["imagine", "ship", "--release", "r9"], 2, "There is no release 'r9'"),
        (["imagine", "ship", "--release", "r1"], 3, "Nothing here draws pictures yet"),
        (["imagine", "ship", "--reference", "gone.png"], 2, "There is no file gone.png"),
        (["imagine", "ship", "-o", "honed.toml"], 2, "honed.toml"),
    ],
)
def test_what_is_refused(honed: Honed, drawing: Path, arguments: list[str], code: int, message: str) -> None:
    refused = honed(*arguments)
    assert (refused.code, refused.out) == (code, "")
    assert message in refused.err
    assert "hint:" in refused.err
    assert not Path("imagined").exists()
