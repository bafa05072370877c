from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from honed.catalog import Catalog, documents, images, judgements
from honed.errors import InputError
from honed.formats import read_beir, read_pack
from honed.ingest import importing_images
from honed.ingest.importing import ImportReport, import_beir
from honed.ingest.importing_images import import_pack
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake, sync
from honed.models.painter.provenance import Provenance, save_picture
from honed.workspace import Workspace, create
from tests.ingest.draw import waves, write
from tests.ingest.hostile.pictures import picture as broken


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create(tmp_path / "ws", "")


@pytest.fixture
def intake(workspace: Workspace, sandbox: Sandbox) -> Iterator[Intake]:
    with Catalog(workspace.catalog_path, create=True) as catalog:
        yield Intake(workspace, catalog, sandbox, passage_words=160)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return tmp_path / "pack"


def item(name: str, **fields: Any) -> dict[str, Any]:
    group, _, variant = name.partition("_")
    base = {"id": name, "path": f"images/{name}.png", "caption": f"a {group}", "tags": [group, "animal"]}
    return base | {"group": group, "variant": variant, "split": "train", "legs": 4} | fields


def fill(folder: Path, *items: dict[str, Any]) -> Path:
    """A pack of these items, with a picture of its own for each whose file is not there."""
    folder.mkdir(exist_ok=True)
    (folder / "items.jsonl").write_text("".join(json.dumps(each) + "\n" for each in items))
    for number, each in enumerate(items):
        path = folder / each["path"]
        if not path.exists() and ".." not in each["path"]:
            write(path, waves(number + len(each["id"])))
    return folder


def take(intake: Intake, folder: Path) -> ImportReport:
    return import_pack(intake, read_pack(folder))


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.new, report.changed, report.unchanged, report.removed


def test_each_picture_is_a_document_of_its_group(intake: Intake, pack: Path) -> None:
    fill(pack, item("cat_x"), item("cat_y"), item("dog_x", split="test", tags=[], caption="the  dog"))
    report = take(intake, pack)
    assert (counts(report), report.images, report.groups, report.rejected) == ((3, 0, 0, 0), 3, 2, {})
    assert [(one.external_id, one.group, one.variant, one.split) for one in images.groups(intake.catalog)] == [
        ("cat_x", "cat", "x", "train"), ("cat_y", "cat", "y", "train"), ("dog_x", "dog", "x", "test"),
    ]  # fmt: skip
    rows = [(name, one.title, one.text) for _, name, one in documents.passages(intake.catalog)]
    assert rows == [
        ("cat_x", "a cat", "cat, animal"),
        ("cat_y", "a cat", "cat, animal"),
        ("dog_x", "the dog", "the dog"),
    ]
    assert [len(found) for found in images.passages_of(intake.catalog)] == [3, 3]
    image = images.by_rowid(intake.catalog, [1])[1]
    assert (image.kind, image.caption, image.external_id, image.width) == ("file", "a cat", "cat_x", 120)
    filters = [("tags", "animal"), ("legs", "4"), ("variant", "x"), ("type", "image/png")]
    assert documents.filtered_rowids(intake.catalog, filters).tolist() == [1]


def test_captions_are_no_questions(intake: Intake, pack: Path) -> None:
    """The caption is what is indexed: a question made of it would be no test of text search."""
    take(intake, fill(pack, item("cat_x")))
    assert intake.catalog.execute("SELECT count(*) FROM queries").fetchone() == (0,)
    assert judgements.qrels(intake.catalog) == {}


def test_importing_again_is_a_sync(intake: Intake, pack: Path) -> None:
    fill(pack, item("cat_x"), item("cat_y"), item("dog_x"))
    take(intake, pack)
    seq = images.seq(intake.catalog)
    assert counts(take(intake, pack)) == (0, 0, 3, 0)
    assert images.seq(intake.catalog) == seq
    write(pack / "images/cat_y.png", waves(77))
    fill(pack, item("cat_x", caption="another cat"), item("cat_y"))
    report = take(intake, pack)
    assert (counts(report), report.groups) == ((0, 2, 0, 1), 1)
    assert {one.external_id: one.caption for one in images.by_rowid(intake.catalog, range(9)).values()} == {
        "cat_x": "another cat", "cat_y": "a cat",
    }  # fmt: skip
    assert [member.external_id for member in images.groups(intake.catalog)] == ["cat_x", "cat_y"]
    assert intake.catalog.execute("SELECT count(*) FROM image_groups").fetchone() == (2,)


def test_a_changed_group_is_taken_over(intake: Intake, pack: Path) -> None:
    take(intake, fill(pack, item("cat_x")))
    assert counts(take(intake, fill(pack, item("cat_x", group="lion", split="dev")))) == (0, 1, 0, 0)
    assert [(one.group, one.split) for one in images.groups(intake.catalog)] == [("lion", "dev")]


def test_bad_pictures_are_skipped_with_a_code(intake: Intake, pack: Path, tmp_path: Path) -> None:
    write(tmp_path / "outside.png", waves(1))
    fill(
        pack,
        item("cat_x"), item("cut"), item("text"), item("gone"), item("page"),
        item("out", path="../outside.png"), item("link", path="images/link.png"),
    )  # fmt: skip
    (pack / "images/cut.png").write_bytes(broken("PNG", keep=0.5))
    (pack / "images/text.png").write_bytes(b"\x00\x01\x02\x03" * 99)
    (pack / "images/page.png").write_text("<html><p>A page.")
    (pack / "images/gone.png").unlink()
    (pack / "images/link.png").unlink()
    (pack / "images/link.png").symlink_to(tmp_path / "outside.png")
    report = take(intake, pack)
    assert report.rejected == {
        "cut": "corrupt", "text": "binary", "gone": "unreadable", "page": "unsupported", "out": "unreadable", "link": "unreadable"
    }  # fmt: skip
    assert report.images == 1
    assert documents.counts(intake.catalog)["skipped"] == {"unreadable": 3, "binary": 1, "corrupt": 1, "unsupported": 1}
    again = take(intake, pack)
    assert (again.rejected, counts(again)) == (report.rejected, (0, 0, 7, 0))
    write(pack / "images/cut.png", waves(5))
    write(pack / "images/gone.png", waves(6))
    assert take(intake, pack).rejected.keys() == {"text", "page", "out", "link"}


def test_a_drawing_of_the_generator_is_no_evidence(intake: Intake, pack: Path) -> None:
    fill(pack, item("cat_x"), item("cat_y"))
    save_picture(pack / "images/cat_y.png", waves(3), Provenance("a cat", 1, "compact:painter", "r3"))
    for _ in range(2):
        report = take(intake, pack)
        assert (report.rejected, report.images) == ({"cat_y": "generated"}, 1)
    assert documents.counts(intake.catalog)["skipped"] == {"generated": 1}
    assert [member.external_id for member in images.groups(intake.catalog)] == ["cat_x"]


def test_a_lost_rendering_comes_back_with_an_import(intake: Intake, pack: Path, workspace: Workspace) -> None:
    take(intake, fill(pack, item("cat_x"), item("dog_x")))
    media = images.by_rowid(intake.catalog, [1])[1].media
    blob = workspace.blobs / media[:2] / media
    before = blob.read_bytes()
    blob.unlink()
    assert counts(take(intake, pack)) == (0, 0, 2, 0)
    assert blob.read_bytes() == before


def test_an_id_that_occurs_twice(intake: Intake, pack: Path) -> None:
    fill(pack, item("cat_x"), item("cat_x"))
    with pytest.raises(InputError, match=r"twice in items\.jsonl"):
        take(intake, pack)


def test_an_id_of_a_corpus_that_is_there_is_not_taken(intake: Intake, pack: Path, tmp_path: Path) -> None:
    (tmp_path / "beir").mkdir()
    (tmp_path / "beir" / "corpus.jsonl").write_text('{"_id": "cat_x", "text": "Text."}\n')
    import_beir(intake.catalog, read_beir(tmp_path / "beir"), passage_words=160)
    with pytest.raises(InputError, match="belongs to another document"):
        take(intake, fill(pack, item("cat_x")))


def test_a_pack_that_was_moved(intake: Intake, pack: Path, tmp_path: Path) -> None:
    fill(pack, item("cat_x"), item("dog_x"))
    take(intake, pack)
    seq = images.seq(intake.catalog)
    shutil.move(pack, tmp_path / "elsewhere")
    assert counts(take(intake, tmp_path / "elsewhere")) == (2, 0, 0, 0)
    assert images.seq(intake.catalog) == seq, "it is the same pack: nothing came or went"
    assert len(documents.sources(intake.catalog)) == len(images.groups(intake.catalog)) == 2


def test_adding_a_folder_above_leaves_an_imported_pack_alone(intake: Intake, pack: Path) -> None:
    take(intake, fill(pack, item("cat_x")))
    sync(intake, [pack.parent / "pack"])
    assert [member.external_id for member in images.groups(intake.catalog)] == ["cat_x"]
    shutil.rmtree(pack)
    sync(intake, [pack])
    assert [member.external_id for member in images.groups(intake.catalog)] == ["cat_x"]


def test_a_kill_loses_at_most_a_batch(intake: Intake, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing_images, "COMMIT_ITEMS", 2)
    fill(pack, *(item(f"cat_{number}") for number in range(7)))
    told: list[int] = []

    def killed(done: int) -> None:
        told.append(done)
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_pack(intake, read_pack(pack), on_progress=killed)
    assert len(images.groups(intake.catalog)) == 4, "and what is there is whole: pictures, passages, groups"
    assert counts(take(intake, pack)) == (3, 0, 4, 0)
    assert told == [2, 4]
