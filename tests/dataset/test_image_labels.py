"""Groups from tables and folders, over real files that the real sandbox read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from honed.catalog import Catalog, images
from honed.dataset.image_labels import label_by_folder, label_pictures
from honed.dataset.images import load_image_task
from honed.errors import InputError
from honed.formats import PictureLabel
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake, sync
from honed.workspace import create
from tests.ingest.draw import waves, write

Add = Callable[[], Catalog]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Three things in two pictures each, one alone, one beside the folders, and a text."""
    folder = tmp_path / "shop"
    for number, name in enumerate(
        ("cup/a", "cup/b", "lamp/a", "lamp/b", "deep/er/chair/a", "deep/er/chair/b", "one/a", "loose")
    ):
        write(folder / f"{name}.png", waves(number))
    (folder / "notes.txt").write_text("A text about cups.")
    return folder


@pytest.fixture
def add(tmp_path: Path, shop: Path) -> Iterator[Add]:
    workspace = create(tmp_path / "ws", "")
    with Catalog(workspace.catalog_path, create=True) as catalog, Sandbox(ocr=False) as sandbox:

        def again() -> Catalog:
            sync(Intake(workspace, catalog, sandbox, 160), [shop])
            return catalog

        yield again


def shown(catalog: Catalog, shop: Path) -> dict[str, str]:
    """Group of each picture, both without what leads to them."""
    lead = f"{shop}/"
    return {one.external_id.removeprefix(lead): one.group.removeprefix(lead) for one in images.groups(catalog)}


def test_every_folder_of_pictures_is_a_group(add: Add, shop: Path) -> None:
    catalog = add()
    (note,) = label_by_folder(catalog, shop, seed=1)
    assert shown(catalog, shop) == {
        "cup/a.png": "cup", "cup/b.png": "cup", "lamp/a.png": "lamp", "lamp/b.png": "lamp",
        "deep/er/chair/a.png": "deep/er/chair", "deep/er/chair/b.png": "deep/er/chair",
    }  # fmt: skip
    assert "2 pictures" in note and "one/a.png" in note and "loose.png" in note
    counts = images.group_counts(catalog)
    assert (counts["groups"], counts["pictures"], sum(counts["splits"].values())) == (3, 6, 6)


def test_folders_again_are_a_sync_and_a_group_keeps_its_split(add: Add, shop: Path) -> None:
    catalog = add()
    label_by_folder(catalog, shop, seed=1)
    before = images.grouped(catalog)
    add()
    assert images.grouped(catalog) == before, "adding unchanged files again changes nothing"
    label_by_folder(catalog, shop, seed=99)
    assert images.grouped(catalog) == before, "a split is drawn once"
    (shop / "lamp/b.png").rename(shop / "cup/c.png")
    (shop / "deep/er/chair/a.png").unlink()
    write(shop / "one/b.png", waves(20))
    add()
    label_by_folder(catalog, shop, seed=1)
    assert sorted(shown(catalog, shop).items()) == [
        ("cup/a.png", "cup"), ("cup/b.png", "cup"), ("cup/c.png", "cup"), ("one/a.png", "one"), ("one/b.png", "one"),
    ]  # fmt: skip
    assert len({one.split for one in images.groups(catalog) if one.group.endswith("/cup")}) == 1


def test_what_is_removed_drops_out_and_what_is_moved_stays(add: Add, shop: Path) -> None:
    catalog = add()
    label_by_folder(catalog, shop, seed=1)
    shutil.rmtree(shop / "lamp")
    (shop / "cup").rename(shop / "mug")
    write(shop / "deep/er/chair/a.png", waves(30))
    add()
    assert {name for name in images.grouped(catalog) if "lamp" in name} == set()
    assert shown(catalog, shop).keys() == {"mug/a.png", "mug/b.png", "deep/er/chair/a.png", "deep/er/chair/b.png"}


def test_the_same_picture_in_two_folders_counts_once(add: Add, shop: Path) -> None:
    shutil.copy(shop / "cup/a.png", shop / "lamp/copy.png")
    catalog = add()
    notes = label_by_folder(catalog, shop, seed=1)
    assert "lamp/copy.png" in notes[-1]
    assert len(shown(catalog, shop)) == 6


def test_a_folder_that_was_not_added_or_has_no_groups(add: Add, shop: Path, tmp_path: Path) -> None:
    catalog = add()
    with pytest.raises(InputError, match="No picture in") as raised:
        label_by_folder(catalog, tmp_path / "elsewhere", seed=1)
    assert "honed add" in raised.value.hint
    with pytest.raises(InputError, match="holds two pictures"):
        label_by_folder(catalog, shop / "cup", seed=1)


def test_a_table_names_pictures_as_labels_name_sources(add: Add, shop: Path) -> None:
    catalog = add()
    rows = [
        PictureLabel("cup/a.png", "x", None, "front"), PictureLabel(str(shop / "cup/b.png"), "x", None, "back"),
        PictureLabel("../elsewhere/lamp/a.png", "y", "test"), PictureLabel("one/a.png", "y"),
        PictureLabel("a.png", "z"), PictureLabel("notes.txt", "z"), PictureLabel("gone.png", "z"),
    ]  # fmt: skip
    (note,) = label_pictures(catalog, [rows[0], rows[1], PictureLabel("lamp/a.png", "y", "test"), *rows[3:]], seed=1)
    assert "3 pictures (a.png, notes.txt, gone.png)" in note
    found = {Path(name).relative_to(shop).as_posix(): said for name, said in images.grouped(catalog).items()}
    assert found["lamp/a.png"] == ("y", "", "test")
    assert found["one/a.png"] == ("y", "", "test"), "a group is in one split"
    assert found["cup/a.png"][:2] == ("x", "front")
    assert found["cup/a.png"][2] == found["cup/b.png"][2]


def test_the_newest_word_counts(add: Add, shop: Path) -> None:
    catalog = add()
    label_pictures(catalog, [PictureLabel("cup/a.png", "x", "dev"), PictureLabel("cup/b.png", "x")], seed=1)
    label_pictures(catalog, [PictureLabel("cup/a.png", ""), PictureLabel("lamp/a.png", "x")], seed=1)
    assert shown(catalog, shop) == {"cup/b.png": "x", "lamp/a.png": "x"}
    assert {one.split for one in images.groups(catalog)} == {"dev"}
    with pytest.raises(InputError, match="No picture in the label table"):
        label_pictures(catalog, [PictureLabel("nowhere.png", "x")], seed=1)


def test_groups_make_a_task(add: Add, shop: Path) -> None:
    """Whatever splits the folders' names draw, here by the test's own path: a group is in one, and near-copies leave train."""
    for thing in range(12):
        for view in range(3):
            write(shop / f"thing {thing}/{view}.png", waves(100 + 10 * thing + view))
    catalog = add()
    label_by_folder(catalog, shop, seed=1)
    task = load_image_task(catalog, seed=1)
    near = sum(int(note.partition(" ")[0]) for note in task.notes if "nearly the same" in note)
    grouped = images.group_counts(catalog)["pictures"]
    assert grouped > 36
    assert sum(len(pictures) for pictures in task.splits.values()) + near == grouped
    members = [set(pictures.groups.tolist()) for pictures in task.splits.values()]
    assert sum(len(groups) for groups in members) == len(set.union(*members))
