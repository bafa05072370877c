"""A user's own photographs, from a folder to a better search, with the commands that a user types."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from honed.models.painter.provenance import Provenance, save_picture
from tests.cli.conftest import HASHED, Honed

COLOURS = ((230, 90, 40), (40, 90, 230), (170, 190, 170))


def photograph(thing: int, view: int) -> Image.Image:
    """A pattern that belongs to the thing, in a colour that belongs to the view, with a little noise."""
    fields = np.kron(np.random.default_rng(thing).random((4, 4)) < 0.5, np.ones((8, 8)))[:, :, None]
    depth = fields * 0.5 + (1 - fields) * 0.1
    noise = np.random.default_rng(1000 * thing + view).normal(0, 6, (32, 32, 3))
    return Image.fromarray((255 - depth * (255 - np.array(COLOURS[view])) + noise).clip(0, 255).astype(np.uint8))


def shelves(folder: Path, things: int) -> Path:
    """A folder for each thing with three views, and one thing that was photographed once."""
    for thing in range(things):
        home = folder / f"thing {thing:02}"
        home.mkdir(parents=True)
        for view in range(3):
            photograph(thing, view).save(home / f"view {view}.png")
    (folder / "alone").mkdir()
    photograph(999, 0).save(folder / "alone" / "single.png")
    return folder


@pytest.fixture
def seeing(workspace: Path) -> Path:
    (workspace / "honed.toml").write_text(HASHED + 'image_encoder = "thumbnail:8"\nthreads = 1\n')
    return workspace


@pytest.fixture
def shop(honed: Honed, seeing: Path, tmp_path: Path) -> Path:
    """Ten things, added."""
    folder = shelves(tmp_path / "shop", 10)
    assert honed("add", folder).code == 0
    return folder


def test_from_a_folder_to_a_better_search(honed: Honed, seeing: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="tuning needs the extra: pip install 'honed[tune]'")
    pytest.importorskip("pytorch_metric_learning")
    folder = shelves(tmp_path / "shop", 70)
    assert honed("add", folder, "--json").json["images"] == 211
    labelled = honed("label", "--by-folder", folder, "--json").json
    assert (labelled["groups"], labelled["pictures"], sum(labelled["splits"].values())) == (70, 210, 210)
    assert "alone/single.png" in labelled["notes"][0]
    assert honed("label", "--by-folder", folder, "--json").json == labelled
    assert honed("status", "--json").json["groups"] == {key: labelled[key] for key in ("groups", "pictures", "splits")}
    assert "70 groups of 210 pictures" in honed("status").out
    turn = honed("tune", "--role", "image-retriever", "--budget", "60s", "--json").json
    assert (turn["role"], turn["verdict"], turn["release"]) == ("image-retriever", "proven", "r2")
    test = ("--role", "image-retriever", "--split", "test", "--json")
    before = honed("evaluate", "--system", "untuned", *test).json
    after = honed("evaluate", *test).json
    assert set(after) == {"release", "system", "split", "queries", "clusters", "labels", "metrics"}
    assert (before["release"], after["release"]) == ("r1", "r2")
    assert set(after["metrics"]) == {"recall@1", "recall@10", "map"}
    assert after["queries"] == labelled["splits"]["test"]
    gain = after["metrics"]["recall@1"] - before["metrics"]["recall@1"]
    assert gain == pytest.approx(turn["delta"]["mean"], abs=2e-4)
    compared = honed("compare", "untuned", "live", *test, "--gate").json
    assert compared["verdict"] == "proven"
    assert compared["comparison"]["primary"]["delta"] == pytest.approx(gain, abs=2e-4)
    assert compared["comparison"]["test_reads"] == turn["test_reads"] + 1
    assert honed("compare", "live", "untuned", "--role", "image-retriever", "--gate").code == 1
    told = honed("compare", "untuned", "live", "--role", "image-retriever", "--split", "dev").out
    assert "Recall@1" in told and "pictures in" in told
    ranked = tmp_path / "run.trec"
    wrote = honed("export", "rankings", "--role", "image-retriever", "-k", "5", ranked, "--json").json
    assert wrote == {"file": str(ranked), "queries": after["queries"]}
    lines = [line.split() for line in ranked.read_text().splitlines()]
    assert len(lines) == 5 * after["queries"]
    known = {str(path).replace(" ", "_") for path in folder.glob("*/*.png")}
    assert {line[0] for line in lines} | {line[2] for line in lines} <= known
    assert honed("doctor", "--deep").code == 0


def test_a_table_of_pictures(honed: Honed, shop: Path, tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["Image", "Group", "Split", "Variant"])
        for thing in range(6):
            split = ("train", "dev", "test")[thing // 2]
            rows.writerows([f"thing {thing:02}/view {view}.png", f"g{thing}", split, f"v{view}"] for view in range(3))
        rows.writerow(["nowhere.png", "g0", "", ""])
    value = honed("label", table, "--json").json
    assert {key: value[key] for key in ("groups", "pictures", "splits")} == {
        "groups": 6, "pictures": 18, "splits": {"train": 6, "dev": 6, "test": 6},
    }  # fmt: skip
    assert "nowhere.png" in value["notes"][0]
    assert honed("evaluate", "--role", "image-retriever", "--split", "dev", "--json").json["queries"] == 6
    few = honed("tune", "--role", "image-retriever")
    assert few.code == 2
    assert "6 grouped pictures in train" in few.err and "--by-folder" in few.err


def test_tables_that_say_neither(honed: Honed, shop: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("picture,label\na,b\n")
    told = honed("label", table)
    assert told.code == 2
    assert "picture" in told.err and "`image` and `group`" in told.err and "`question` and `source`" in told.err
    table.write_text("image,group,split\nview 0.png,x,later\n")
    assert "no split 'later'" in honed("label", table).err
    assert honed("label").code == honed("label", table, "--by-folder", shop).code == 2


def test_filters_find_pictures_by_their_metadata(honed: Honed, shop: Path) -> None:
    photograph(3, 1).resize((64, 64)).save(shop / "large.webp")
    assert honed("add", shop).code == 0
    picture = shop / "thing 03" / "view 1.png"
    for search in (("--image", picture), ("view", "--kind", "image")):
        hits = honed("search", *search, "-k", "50", "--json").json["hits"]
        assert len(hits) > 20
    for search in (("--image", picture), ("large", "--kind", "image")):
        hits = honed("search", *search, "-k", "50", "--filter", "type=image/webp", "--json").json["hits"]
        assert [Path(hit["document"]).name for hit in hits] == ["large.webp"]
        hits = honed("search", *search, "-k", "50", "-f", "type=image/webp", "-f", "width=32", "--json").json["hits"]
        assert hits == []


def test_text_tuning_says_that_there_are_only_pictures(honed: Honed, shop: Path) -> None:
    told = honed("tune", "--budget", "30s")
    assert told.code == 2
    assert "only pictures" in told.err and "honed tune --role image-retriever" in told.err


def test_a_drawing_of_the_generator_is_skipped_and_counted(honed: Honed, shop: Path) -> None:
    drawn = shop / "thing 00" / "drawn.png"
    save_picture(drawn, photograph(0, 2), Provenance("a thing", 7, "compact:painter", "r3"))
    told = honed("add", shop, "--json")
    assert told.json["rejected"] == {str(drawn): "generated"}
    assert "image generator" in told.err
    assert honed("status", "--json").json["skipped"] == {"generated": 1}
    hits = honed("search", "--image", drawn, "-k", "50", "--json").json["hits"]
    assert hits and str(drawn) not in {hit["document"] for hit in hits}
