"""What the doctor knows of images, what it mends, and that nothing of theirs is thrown away."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from honed.catalog import history, images
from honed.catalog.vectors import forget_space
from honed.ingest.renderings import is_kept
from honed.models.vision.head import plain_head
from honed.release.build import Shipment, build, promote
from honed.release.manifest import IMAGE_GENERATOR, IMAGE_RETRIEVER, Part
from honed.session import open_session
from honed.upkeep.compact import compact
from honed.upkeep.derived import damaged_vectors
from honed.upkeep.doctor import examine
from honed.upkeep.finding import Finding
from honed.upkeep.repair import repair
from honed.workspace import Workspace
from tests.ingest.draw import waves, write

Home = tuple[Workspace, Path, Callable[[], None]]


@pytest.fixture
def gallery(home: Home) -> Home:
    _, folder, add = home
    for number in range(3):
        write(folder / f"wave {number}.png", waves(number), compress_level=1)
    (folder / "page.md").write_text("# Page\n\nWords about a wave.\n\n![The first wave](wave%200.png)\n")
    add()
    return home


def found(workspace: Workspace, check: str = "images") -> list[Finding]:
    return [finding for finding in examine(workspace, deep=True, surroundings=False).findings if finding.check == check]


def medias(workspace: Workspace) -> list[str]:
    with open_session(workspace) as session:
        return sorted(set(images.medias(session.catalog)[1]))


def blob(workspace: Workspace, media: str) -> Path:
    return workspace.blobs / media[:2] / media


def test_a_sound_gallery(gallery: Home) -> None:
    (finding,) = found(gallery[0])
    assert (finding.level, finding.message) == ("ok", "3 renderings of images kept.")


def test_no_images_are_no_finding(home: Home) -> None:
    workspace, folder, add = home
    (folder / "a.txt").write_text("Words.")
    add()
    assert found(workspace) == []


def test_lost_and_damaged_renderings_are_made_again_byte_by_byte(gallery: Home) -> None:
    workspace, _, _ = gallery
    first, second, _ = medias(workspace)
    before = blob(workspace, first).read_bytes(), blob(workspace, second).read_bytes()
    blob(workspace, first).unlink()
    blob(workspace, second).write_bytes(before[1][:-1] + b"?")
    (finding,) = found(workspace)
    assert (finding.level, finding.repair) == ("wrong", "pictures")
    done, after = repair(workspace, deep=True)
    assert "made 2 renderings of images again" in done
    assert not after.actions & {"pictures", "blobs"}
    assert (blob(workspace, first).read_bytes(), blob(workspace, second).read_bytes()) == before


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM image_changes WHERE seq = 2", "rows missing in the log"),
        ("UPDATE image_changes SET op = 'remove' WHERE seq = 1", "tells wrongly"),
        (
            "UPDATE images SET passage = (SELECT max(rowid) FROM passages) WHERE rowid = 1",
            "belongs to another document",
        ),
        ("UPDATE images SET phash = x'00' WHERE rowid = 1", "without a size"),
    ],
)
def test_broken_rules_are_told(statement: str, what: str, gallery: Home) -> None:
    with closing(sqlite3.connect(gallery[0].catalog_path, isolation_level=None)) as connection:
        connection.execute(statement)
    assert any(finding.level == "wrong" and what in finding.message for finding in found(gallery[0]))


def test_compact_keeps_what_images_need_and_drops_the_rest(gallery: Home) -> None:
    workspace, folder, add = gallery
    with open_session(workspace) as session:
        missing = images.missing_descriptors(session.catalog, "an encoder")
        images.put_descriptors(session.catalog, "an encoder", missing, np.full((3, 8), 7.0, np.float32))
    gone = medias(workspace)
    (folder / "wave 1.png").unlink()
    add()
    kept = medias(workspace)
    sees = (workspace.index / "images").is_dir()  # where the default image encoder is installed
    with workspace.writing(), open_session(workspace) as session:
        compact(session, lambda _: None)
        assert len(images.descriptors(session.catalog, "an encoder")[0]) == len(images.medias(session.catalog)[0])
        assert images.missing_descriptors(session.catalog, "an encoder") == []
        count = session.catalog.execute("SELECT count(*) FROM vectors WHERE space = 'an encoder'").fetchone()
        assert count == (2,)
    assert len(gone) - len(kept) == 1
    assert (workspace.index / "images").is_dir() == sees
    with open_session(workspace) as session:
        rowids = images.medias(session.catalog)[0].tolist()
    assert all(np.load(path).tolist() == rowids for path in workspace.index.glob("images/*/*/rowids.npy"))
    assert [media for media in gone if is_kept(workspace, media)] == kept
    assert found(workspace)[0].level == "ok"


def test_raw_descriptors_are_no_damaged_vectors(gallery: Home) -> None:
    with open_session(gallery[0]) as session:
        missing = images.missing_descriptors(session.catalog, "an encoder")
        matrix = np.full((3, 8), 7.0, np.float32)
        matrix[1, 3] = np.nan
        images.put_descriptors(session.catalog, "an encoder", missing, matrix)
        assert damaged_vectors(session.catalog) == [("an encoder", images.media_key(missing[1]))]


@pytest.fixture
def seen(home: Home) -> Home:
    """Pictures that an encoder without weights describes; some of more pictures than a sample holds."""
    workspace, folder, add = home
    with workspace.settings_path.open("a") as file:
        file.write('image_encoder = "thumbnail:4"\n')
    for number in range(4):
        write(folder / f"wave {number}.png", waves(number), compress_level=1)
    add()
    return home


def test_descriptors_are_those_of_the_encoder(seen: Home) -> None:
    workspace, _, _ = seen
    (finding,) = found(workspace, "descriptors")
    assert (finding.level, finding.message) == ("ok", "4 pictures encoded anew: cosine 1.0000 or more.")
    assert not [one for one in examine(workspace, surroundings=False).findings if one.check == "descriptors"]
    with open_session(workspace) as session:
        (space,) = images.described_spaces(session.catalog)
        before = images.descriptors(session.catalog, space)[1]
        swapped = before[::-1].copy()
        with session.catalog.transaction():
            forget_space(session.catalog, space)
        images.put_descriptors(session.catalog, space, images.medias(session.catalog)[1], swapped)
    (finding,) = found(workspace, "descriptors")
    assert (finding.level, finding.repair) == ("wrong", "descriptors")
    assert "doctor --deep --repair" in finding.hint
    done, after = repair(workspace, deep=True)
    assert "dropped all descriptors of the live image encoder" in done
    assert not after.wrong
    with open_session(workspace) as session:
        np.testing.assert_array_equal(images.descriptors(session.catalog, space)[1], before)


def test_what_is_not_described_or_not_indexed_is_told_and_mended(seen: Home) -> None:
    workspace, _, _ = seen
    with open_session(workspace) as session:
        (space,) = images.described_spaces(session.catalog)
        with session.catalog.transaction():
            forget_space(session.catalog, space)
    assert [(one.level, one.repair) for one in found(workspace, "descriptors")] == [("unfinished", "descriptors")]
    repair(workspace, deep=True)
    assert [one.level for one in found(workspace, "descriptors")] == ["ok"]
    (vectors,) = workspace.index.glob("images/*/*/dense.vectors.npy")
    data = bytearray(vectors.read_bytes())
    data[-1] ^= 1
    vectors.write_bytes(data)
    assert [one.level for one in found(workspace, "descriptors")] == ["ok", "unfinished"]
    repair(workspace, deep=True)
    assert [one.level for one in found(workspace, "descriptors")] == ["ok"]


def test_an_encoder_that_is_not_there_is_a_note(seen: Home) -> None:
    workspace, _, _ = seen
    text = workspace.settings_path.read_text()
    workspace.settings_path.write_text(text.replace("thumbnail:4", f"folder:{workspace.root}/gone"))
    assert not [one for one in found(workspace, "descriptors") if one.level == "wrong"]


@pytest.mark.parametrize(
    "name",
    ["image-retriever/head", "image-retriever/encoder/model.safetensors", "image-generator/painter/model.safetensors"],
)
@pytest.mark.parametrize("how", ["changed", "lost"])
def test_every_file_of_a_tuned_image_side_and_of_a_painter_is_held_to_its_hash(
    name: str, how: str, seen: Home, tmp_path: Path
) -> None:
    workspace, _, _ = seen
    for folder in ("eye", "painter"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.safetensors").write_bytes(b"weights of " + folder.encode())
    plain_head(48).write(tmp_path / "head")
    with workspace.writing(), open_session(workspace) as session:
        values = {"encoder": "any", "space": "space", "neighbours": 0}
        parts = {
            IMAGE_RETRIEVER: Part(values, {"encoder": tmp_path / "eye", "head": tmp_path / "head"}),
            IMAGE_GENERATOR: Part(files={"painter": tmp_path / "painter"}),
        }
        expected = history.live_release(session.catalog)
        shipment = Shipment("pictures", parts)
        release = build(workspace, session.catalog, shipment, expected=expected, reason="for the test")
        promote(workspace, session.catalog, "r1", expected=int(release[1:]), reason="back")
    assert not found(workspace, f"release {release}")
    path = workspace.releases / release / name
    path.write_bytes(path.read_bytes()[:-1] + b"!") if how == "changed" else path.unlink()
    (finding,) = found(workspace, f"release {release}")
    assert finding.level == "wrong"
    assert name in finding.message
    assert f"restore .honed/releases/{release} from a backup" in finding.hint
