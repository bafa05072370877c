"""The image index: what `test_generation.py` asks of the text index, for pictures."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from honed.catalog import Catalog, images
from honed.errors import InputError
from honed.index.folders import generation_folders
from honed.index.images import (
    IMAGE_STEPS,
    Descriptors,
    ImageGeneration,
    ImageSpace,
    open_images,
    refresh_images,
)
from honed.index.rows import Change, RowIds
from tests.catalog.make import drop, put
from tests.catalog.pictures import show

ROOT = Path(__file__).parents[2]
ENCODER = "cd34" * 8
WIDTH, DIMENSION = 24, 8


@dataclass(frozen=True)
class Line:
    seq: int
    rowid: int
    op: str


@dataclass
class Pictures:
    """A catalog of pictures in memory."""

    live: dict[int, bool] = field(default_factory=dict)
    log: list[Line] = field(default_factory=list)
    block: int = 7
    blocks_read: int = 0

    @property
    def seq(self) -> int:
        return len(self.log)

    def add(self, *rowids: int, described: bool = True) -> None:
        for rowid in rowids:
            self.live[rowid] = described
            self.log.append(Line(len(self.log) + 1, rowid, "add"))

    def remove(self, *rowids: int) -> None:
        for rowid in rowids:
            del self.live[rowid]
            self.log.append(Line(len(self.log) + 1, rowid, "remove"))

    def changes_since(self, seq: int) -> Sequence[Change]:
        return self.log[seq:]

    def phashes(self) -> tuple[RowIds, np.ndarray]:
        rowids = np.array(sorted(self.live), np.int64)
        return rowids, np.array([phash(rowid) for rowid in rowids.tolist()], np.uint64)

    def descriptor_blocks(self, space: str, rowids: RowIds | None = None) -> Iterator[tuple[RowIds, Descriptors]]:
        assert space == ENCODER
        wanted = [row for row, there in sorted(self.live.items()) if there and (rowids is None or row in rowids)]
        for start in range(0, len(wanted), self.block):
            part = wanted[start : start + self.block]
            self.blocks_read += 1
            yield np.array(part, np.int64), np.stack([descriptor(rowid) for rowid in part])


def descriptor(rowid: int) -> np.ndarray:
    return np.random.default_rng(rowid).standard_normal(WIDTH).astype(np.float32) * 3 + 5


def phash(rowid: int) -> int:
    return int(np.random.default_rng([rowid, 1]).integers(2**63)) * 2 + rowid % 2


class Projection:
    """A head: it centres and keeps the first numbers."""

    key = "head"
    dimension = DIMENSION

    def apply(self, descriptors: Descriptors) -> Descriptors:
        moved = descriptors[:, :DIMENSION] - 5
        return moved / np.linalg.norm(moved, axis=1, keepdims=True)


SPACE = ImageSpace(ENCODER, Projection())


@pytest.fixture
def pictures() -> Pictures:
    found = Pictures()
    found.add(*range(1, 101))
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "index"


def assert_holds(generation: ImageGeneration, pictures: Pictures) -> None:
    """Every live picture is found by its vector and by its hash, and nothing else is there."""
    described = [rowid for rowid, there in sorted(pictures.live.items()) if there]
    assert generation.seq == pictures.seq
    assert generation.rowids.tolist() == sorted(pictures.live)
    assert generation.dense.rowids.tolist() == described
    assert generation.waiting.tolist() == [rowid for rowid, there in sorted(pictures.live.items()) if not there]
    for rowid in sorted(pictures.live)[:: max(1, len(pictures.live) // 10)]:
        assert generation.near_copies(phash(rowid), 0)[0].tolist() == [rowid]
        if pictures.live[rowid]:
            scores, rowids = generation.search(Projection().apply(descriptor(rowid)[None]), 1)
            assert rowids[0, 0] == rowid and scores[0, 0] == pytest.approx(1, abs=1e-5)


def test_a_first_refresh_builds_and_the_second_costs_nothing(pictures: Pictures, root: Path) -> None:
    steps: list[str] = []
    assert open_images(root, SPACE) is None
    first = refresh_images(pictures, root, SPACE, on_progress=steps.append)
    assert tuple(steps) == IMAGE_STEPS
    assert_holds(first, pictures)
    assert first.folder.parent == root / "images" / SPACE.key[:12] and first.folder.name == "100-1"
    steps.clear()
    read = pictures.blocks_read
    assert refresh_images(pictures, root, SPACE, on_progress=steps.append).folder == first.folder
    assert not steps and pictures.blocks_read == read


def test_few_changes_pass_only_new_pictures_through_the_head(pictures: Pictures, root: Path) -> None:
    first = refresh_images(pictures, root, SPACE)
    pictures.block, pictures.blocks_read = 1000, 0
    pictures.remove(3, 4)
    pictures.add(101, 102)
    pictures.remove(102)
    second = refresh_images(pictures, root, SPACE)
    assert second.manifest.churn == 4 and pictures.blocks_read == 1
    assert_holds(second, pictures)
    assert first.rowids.tolist() == list(range(1, 101))  # a reader that is still at the old one
    pictures.remove(5)
    third = refresh_images(pictures, root, SPACE)
    assert third.manifest.churn == 5
    assert_holds(third, pictures)


def test_many_changes_are_built_anew(pictures: Pictures, root: Path) -> None:
    refresh_images(pictures, root, SPACE)
    pictures.add(*range(200, 225))
    built = refresh_images(pictures, root, SPACE)
    assert built.manifest.churn == 0
    assert_holds(built, pictures)


@pytest.mark.parametrize("late", [(7,), tuple(range(1, 60))])
def test_descriptors_that_come_later_are_indexed(pictures: Pictures, root: Path, late: tuple[int, ...]) -> None:
    for rowid in late:
        pictures.live[rowid] = False
    assert_holds(refresh_images(pictures, root, SPACE), pictures)
    for rowid in late:
        pictures.live[rowid] = True
    assert_holds(refresh_images(pictures, root, SPACE), pictures)


def test_no_picture_and_no_picture_any_more(root: Path) -> None:
    pictures = Pictures()
    empty = refresh_images(pictures, root, SPACE)
    assert_holds(empty, pictures)
    assert empty.search(np.ones((1, DIMENSION), np.float32), 3)[1].tolist() == [[-1, -1, -1]]
    assert empty.near_copies(0, 64)[0].size == 0
    pictures.add(1, 2)
    assert_holds(refresh_images(pictures, root, SPACE), pictures)
    pictures.remove(1, 2)
    assert_holds(refresh_images(pictures, root, SPACE), pictures)
    pictures.add(3, described=False)
    assert_holds(refresh_images(pictures, root, SPACE), pictures)


def test_an_older_catalog_means_a_full_build(pictures: Pictures, root: Path) -> None:
    refresh_images(pictures, root, SPACE)
    older = Pictures()
    older.add(*range(1, 51))
    assert_holds(refresh_images(older, root, SPACE), older)


def test_heads_and_encoders_do_not_meet(pictures: Pictures, root: Path) -> None:
    refresh_images(pictures, root, SPACE)

    class Other(Projection):
        key = "other"

    assert open_images(root, ImageSpace(ENCODER, Other())) is None
    assert open_images(root, ImageSpace("another", Projection())) is None
    other = refresh_images(pictures, root, ImageSpace(ENCODER, Other()))
    assert len(list((root / "images").iterdir())) == 2
    # Folders that were mixed up by hand are noticed by what the manifest says.
    other.folder.parent.rename(root / "images" / "aside")
    SPACE.folder(root).rename(ImageSpace(ENCODER, Other()).folder(root))
    assert open_images(root, ImageSpace(ENCODER, Other())) is None


@pytest.mark.parametrize("exact_up_to", [50_000, 60])
def test_a_search_keeps_to_what_is_allowed(pictures: Pictures, root: Path, exact_up_to: int) -> None:
    space = ImageSpace(ENCODER, Projection(), exact_up_to)
    generation = refresh_images(pictures, root, space)
    assert (generation.dense.ivf is None) == (exact_up_to > 100)
    query = Projection().apply(descriptor(50)[None])
    assert generation.search(query, 3)[1][0, 0] == 50
    allowed = np.array([2, 40, 70, 999], np.int64)
    assert set(generation.search(query, 9, allowed=allowed)[1][0].tolist()) == {2, 40, 70, -1}
    pictures.add(101)
    assert_holds(refresh_images(pictures, root, space), pictures)
    # Another bound is another index, built from nothing.
    again = refresh_images(pictures, root, ImageSpace(ENCODER, Projection(), exact_up_to + 1))
    assert again.manifest.exact_up_to == exact_up_to + 1 and again.manifest.churn == 0


def test_near_copies_come_nearest_first(pictures: Pictures, root: Path) -> None:
    generation = refresh_images(pictures, root, SPACE)
    close = phash(9) ^ 0b101  # two bits off
    assert [part.tolist() for part in generation.near_copies(close, 2)] == [[9], [2]]
    assert generation.near_copies(close, 1)[0].size == 0
    rowids, distances = generation.near_copies(close, 64)
    assert len(rowids) == 100 and distances[0] == 2 and (np.diff(distances) >= 0).all()
    assert generation.near_copies(2**64 - 1, 0)[0].size == 0


@pytest.mark.parametrize(
    ("harm", "name"),
    [
        ("flip", "dense.vectors.npy"),
        ("flip", "phashes.npy"),
        ("cut", "rowids.npy"),
        ("cut", "manifest.json"),
        ("remove", "dense.json"),
        ("remove", "manifest.json"),
    ],
)
def test_a_flaw_is_found_and_rebuilt(
    pictures: Pictures, root: Path, name: str, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    built = refresh_images(pictures, root, SPACE)
    path = built.folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(data if harm == "flip" else data[: len(data) // 2])
    with caplog.at_level(logging.WARNING):
        assert open_images(root, SPACE, verify="hashes") is None
    assert "will be rebuilt" in caplog.text
    if harm != "flip":
        assert open_images(root, SPACE) is None
    pictures.add(900)
    rebuilt = refresh_images(pictures, root, SPACE)
    assert rebuilt.manifest.churn == 0
    assert_holds(rebuilt, pictures)


@pytest.mark.parametrize("change", [{"format": 99}, {"files": None}, {"files": {"a": {}}}, {"more": 1}, {"seq": None}])
def test_a_manifest_of_another_kind_is_not_read(pictures: Pictures, root: Path, change: dict[str, object]) -> None:
    path = refresh_images(pictures, root, SPACE).folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert open_images(root, SPACE) is None
    assert_holds(refresh_images(pictures, root, SPACE), pictures)


def test_an_error_while_building_leaves_nothing_behind(pictures: Pictures, root: Path) -> None:
    def fail(step: str) -> None:
        if step == "sync":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refresh_images(pictures, root, SPACE, on_progress=fail)
    assert [path.name for path in SPACE.folder(root).iterdir()] == ["lock"]

    class Broken(Projection):
        def apply(self, descriptors: Descriptors) -> Descriptors:
            return np.full((len(descriptors), DIMENSION), np.nan, np.float32)

    with pytest.raises(InputError, match="NaN"):
        refresh_images(pictures, root, ImageSpace(ENCODER, Broken()))
    assert open_images(root, SPACE) is None


def test_rebuild_keeps_no_older_generation(pictures: Pictures, root: Path) -> None:
    refresh_images(pictures, root, SPACE)
    pictures.remove(1)
    refresh_images(pictures, root, SPACE)
    assert len(generation_folders(SPACE.folder(root))) == 2
    assert_holds(refresh_images(pictures, root, SPACE, rebuild=True), pictures)
    assert len(generation_folders(SPACE.folder(root))) == 1


def test_pictures_of_a_real_catalog_come_and_go(tmp_path: Path, root: Path) -> None:
    with Catalog(tmp_path / "catalog.db", create=True) as catalog:
        key = put(catalog, "a.pdf", "text")
        show(catalog, key, *(f"figure {number}" for number in range(12)), phash=5)
        source = images.CatalogImages(catalog)
        rowids, medias = images.medias(catalog)
        matrix = np.stack([descriptor(rowid) for rowid in rowids.tolist()])
        images.put_descriptors(catalog, ENCODER, medias[:11], matrix[:11])
        first = refresh_images(source, root, SPACE)
        assert first.waiting.tolist() == rowids[11:].tolist() and len(first.near_copies(5, 0)[0]) == 12
        images.put_descriptors(catalog, ENCODER, medias[11:], matrix[11:])
        second = refresh_images(source, root, SPACE)
        assert second.manifest.churn == 1
        assert second.search(Projection().apply(matrix), 1)[1][:, 0].tolist() == rowids.tolist()
        drop(catalog, "a.pdf")
        assert refresh_images(source, root, SPACE).rowids.size == 0


WORKER = """
import os, sys
from pathlib import Path
from honed.index.images import refresh_images
from tests.index.test_images import SPACE, Pictures
def tell(step):
    if step == sys.argv[2]:
        os._exit(9)
pictures = Pictures()
pictures.add(*range(1, int(sys.argv[3])))
refresh_images(pictures, Path(sys.argv[1]), SPACE, on_progress=tell)
"""


@pytest.mark.slow
def test_a_kill_at_any_step_leaves_the_old_or_the_new(pictures: Pictures, root: Path) -> None:
    refresh_images(pictures, root, SPACE)
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    for number, step in enumerate(IMAGE_STEPS, 1):
        before = open_images(root, SPACE)
        pictures.add(100 + number)
        code = [sys.executable, "-c", WORKER, str(root), step, str(101 + number)]
        assert subprocess.run(code, env={**os.environ, "PYTHONPATH": path}, cwd=ROOT, check=False).returncode == 9
        after = open_images(root, SPACE, verify="hashes")
        assert before is not None and after is not None
        assert after.seq == (pictures.seq if step == "prune" else before.seq)
        assert_holds(refresh_images(pictures, root, SPACE), pictures)
        assert not list(SPACE.folder(root).glob(".*"))


def test_descriptors_are_never_held_all_at_once(root: Path) -> None:
    pictures = Pictures(block=50)
    pictures.add(*range(1, 2001))
    one = np.ones((50, 4096), np.float32)  # 33 MB in all

    class Wide(Pictures):
        def descriptor_blocks(self, space: str, rowids: RowIds | None = None) -> Iterator[tuple[RowIds, Descriptors]]:
            for start in range(1, 2001, 50):
                yield (
                    np.arange(start, start + 50),
                    one * (0.5 + np.arange(start, start + 50, dtype=np.float32))[:, None],
                )

    tracemalloc.start()
    generation = refresh_images(Wide(pictures.live, pictures.log), root, SPACE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(generation.dense) == 2000
    assert peak < 8e6
