"""What the doctor knows of images, what it mends, and that nothing of theirs is thrown away."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from honed.catalog import images
from honed.ingest.renderings import is_kept
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
        count = session.catalog.connection.execute("SELECT count(*) FROM vectors WHERE space = 'an encoder'").fetchone()
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
