"""Generations: fresh or rebuilt, and neither a kill, a flaw nor a second process gives a wrong answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from honed.errors import BusyError
from honed.index import folders
from honed.index.generation import (
    CURRENT,
    Generation,
    IndexSettings,
    generation_folders,
    open_current,
    space_folder,
)
from honed.index.refresh import STEPS, refresh
from tests.index.fakes import SPACE, LogCatalog, vector

ROOT = Path(__file__).parents[2]

WORKER = """
import os, sys
from pathlib import Path
from honed.index.refresh import refresh
from tests.index.fakes import SPACE, LogCatalog
home, die_at = Path(sys.argv[1]), sys.argv[2]
def tell(step):
    if step == die_at:
        os._exit(9)
refresh(LogCatalog(home / "log"), home / "index", SPACE, on_progress=tell)
"""


@pytest.fixture
def catalog(tmp_path: Path) -> LogCatalog:
    found = LogCatalog(tmp_path / "log")
    found.add(*range(1, 101), context="Title", terms=["lang=en"])
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "index"


def worker(home: Path, die_at: str = "") -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(home), die_at], env={**os.environ, "PYTHONPATH": path}, cwd=ROOT
    )


def assert_holds(generation: Generation, catalog: LogCatalog) -> None:
    """Every live passage is found by its word and by its vector, and nothing else is there."""
    live = catalog.live()
    assert generation.rowids.tolist() == list(live)
    assert len(generation.lexical) == len(live)
    assert generation.lexical.rows(["lang=en"]).tolist() == [row for row, line in live.items() if line.terms]
    embedded = {row: line for row, line in live.items() if line.embedded}
    assert generation.dense.rowids.tolist() == list(embedded)
    for rowid, line in list(live.items())[:: max(1, len(live) // 10)]:
        assert rowid in generation.lexical.search(line.text.split()[0], 200)[0]
        if line.embedded:
            scores, rowids = generation.dense.search(vector(rowid, line.text)[None], 1)
            assert rowids[0, 0] == rowid and scores[0, 0] == pytest.approx(1, abs=1e-5)


def test_a_first_refresh_builds_and_the_second_costs_nothing(catalog: LogCatalog, root: Path) -> None:
    steps: list[str] = []
    assert open_current(root, SPACE) is None
    first = refresh(catalog, root, SPACE, on_progress=steps.append)
    assert tuple(steps) == STEPS
    assert_holds(first, catalog)
    steps.clear()
    assert refresh(catalog, root, SPACE, on_progress=steps.append).folder == first.folder
    assert not steps
    assert first.folder.name == "100-1" and first.folder.parent.name == SPACE[:12]


@pytest.mark.parametrize("exact_up_to", [50_000, 40])
def test_few_changes_are_replayed_on_a_clone(catalog: LogCatalog, root: Path, exact_up_to: int) -> None:
    first = refresh(catalog, root, SPACE, settings=IndexSettings(exact_up_to=exact_up_to))
    catalog.remove(3, 4)
    catalog.add(101, 102)
    catalog.remove(102)
    catalog.add(7, text="replaced text about seven")
    second = refresh(catalog, root, SPACE)
    assert second.manifest.churn == 5 and second.manifest.settings.exact_up_to == exact_up_to
    assert_holds(second, catalog)
    assert second.lexical.search("word7", 5)[0].size == 0
    shared = [path for path in (second.folder / "lexical").iterdir() if path.stat().st_nlink > 1]
    assert shared
    assert_holds(first, LogCatalog(_before(catalog, 100)))


def _before(catalog: LogCatalog, seq: int) -> Path:
    path = catalog.path.with_name("before")
    path.write_text("".join(line + "\n" for line in catalog.path.read_text().splitlines()[:seq]))
    return path


def test_many_changes_are_built_anew(catalog: LogCatalog, root: Path) -> None:
    refresh(catalog, root, SPACE)
    for start in (200, 210):
        catalog.add(*range(start, start + 10))
        churn = refresh(catalog, root, SPACE).manifest.churn
    assert churn == 20
    catalog.add(*range(300, 310))
    built = refresh(catalog, root, SPACE)
    assert built.manifest.churn == 0
    assert_holds(built, catalog)


def test_replaying_many_deltas_is_still_right(catalog: LogCatalog, root: Path) -> None:
    rng = np.random.default_rng(1)
    for _ in range(6):
        catalog.remove(*rng.choice(list(catalog.live()), 2).tolist())
        catalog.add(*(int(row) for row in rng.integers(1, 150, 2)), text="again{0} turn")
        assert_holds(refresh(catalog, root, SPACE), catalog)


def test_vectors_that_come_later_are_indexed(catalog: LogCatalog, root: Path) -> None:
    catalog.add(500, embedded=False)
    assert_holds(refresh(catalog, root, SPACE), catalog)
    text = catalog.path.read_text()
    catalog.path.write_text(text.replace('"embedded": false', '"embedded": true'))
    assert_holds(refresh(catalog, root, SPACE), catalog)
    assert 500 in refresh(catalog, root, SPACE).dense.rowids


def test_an_empty_catalog_and_an_emptied_one(tmp_path: Path, root: Path) -> None:
    catalog = LogCatalog(tmp_path / "empty")
    assert_holds(refresh(catalog, root, SPACE), catalog)
    catalog.add(1, 2)
    assert_holds(refresh(catalog, root, SPACE), catalog)
    catalog.remove(1, 2)
    assert_holds(refresh(catalog, root, SPACE), catalog)


def test_an_older_catalog_or_other_settings_mean_a_full_build(catalog: LogCatalog, root: Path) -> None:
    refresh(catalog, root, SPACE)
    older = LogCatalog(_before(catalog, 50))
    assert_holds(refresh(older, root, SPACE), older)
    simple = refresh(older, root, SPACE, settings=IndexSettings(language="simple"))
    assert simple.lexical.language == "simple" and simple.manifest.churn == 0
    assert refresh(older, root, SPACE).lexical.language == "simple"


def test_spaces_do_not_meet(catalog: LogCatalog, root: Path) -> None:
    refresh(catalog, root, SPACE)
    assert open_current(root, "another space") is None
    assert open_current(root, SPACE[:12] + "0" * 52) is None
    assert space_folder(root, "another space").name != space_folder(root, "another space, too").name


@pytest.mark.parametrize(
    ("harm", "name"),
    [
        ("flip", "dense.vectors.npy"),
        ("flip", "dense.ivf"),
        ("flip", "lexical/meta.json"),
        ("cut", "rowids.npy"),
        ("cut", "manifest.json"),
        ("remove", "dense.json"),
        ("remove", "manifest.json"),
    ],
)
def test_a_flaw_is_found_and_rebuilt(
    catalog: LogCatalog, root: Path, name: str, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    built = refresh(catalog, root, SPACE, settings=IndexSettings(exact_up_to=40))
    path = built.folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(data if harm == "flip" else data[: len(data) // 2])
    assert open_current(root, SPACE, verify="hashes") is None
    assert name in caplog.text or built.folder.name in caplog.text
    if harm != "flip":
        assert open_current(root, SPACE) is None
    catalog.add(900)
    rebuilt = refresh(catalog, root, SPACE)
    assert rebuilt.manifest.churn == 0
    assert_holds(rebuilt, catalog)
    assert open_current(root, SPACE, verify="hashes") is not None


@pytest.mark.parametrize("content", ["", "../../etc", "1-", "100-9", "\xff"])
def test_a_broken_pointer_means_rebuild(catalog: LogCatalog, root: Path, content: str) -> None:
    folder = refresh(catalog, root, SPACE).folder.parent
    (folder / CURRENT).write_bytes(content.encode("latin-1"))
    assert open_current(root, SPACE) is None
    assert_holds(refresh(catalog, root, SPACE), catalog)


def test_a_manifest_of_another_format_is_not_read(catalog: LogCatalog, root: Path) -> None:
    path = refresh(catalog, root, SPACE).folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    assert open_current(root, SPACE) is None


@pytest.mark.parametrize("delta", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_kill_at_any_step_leaves_the_old_or_the_new(
    catalog: LogCatalog, root: Path, tmp_path: Path, delta: bool
) -> None:
    refresh(catalog, root, SPACE)
    for number, step in enumerate(STEPS):
        catalog.add(*range(1000 + 50 * number, 1000 + 50 * number + (3 if delta else 40)))
        before = open_current(root, SPACE)
        killed = worker(tmp_path, step)
        assert killed.wait(60) == 9
        after = open_current(root, SPACE, verify="hashes")
        assert before is not None and after is not None
        assert after.seq == (catalog.seq if step == "prune" else before.seq)
        assert_holds(refresh(catalog, root, SPACE), catalog)
        assert not list(space_folder(root, SPACE).glob(".*"))


def test_an_error_while_building_leaves_nothing_behind(catalog: LogCatalog, root: Path) -> None:
    def fail(step: str) -> None:
        if step == "sync":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refresh(catalog, root, SPACE, on_progress=fail)
    assert [path.name for path in space_folder(root, SPACE).iterdir()] == ["lock"]


def test_two_processes_build_once(catalog: LogCatalog, root: Path, tmp_path: Path) -> None:
    workers = [worker(tmp_path) for _ in range(2)]
    assert [each.wait(60) for each in workers] == [0, 0]
    assert len(generation_folders(space_folder(root, SPACE))) == 1
    generation = open_current(root, SPACE)
    assert generation is not None
    assert_holds(generation, catalog)


def test_pruning_keeps_two_and_what_is_read(catalog: LogCatalog, root: Path) -> None:
    held = refresh(catalog, root, SPACE)
    for rowid in range(200, 203):
        catalog.add(rowid)
        refresh(catalog, root, SPACE)
    left = [path.name for path in generation_folders(space_folder(root, SPACE))]
    assert left == ["100-1", "102-3", "103-4"]
    assert_holds(held, LogCatalog(_before(catalog, 100)))
    del held
    catalog.add(300)
    refresh(catalog, root, SPACE)
    assert [path.name for path in generation_folders(space_folder(root, SPACE))] == ["103-4", "104-5"]


def test_rebuild_keeps_no_older_generation(catalog: LogCatalog, root: Path) -> None:
    catalog.add(77, text="secretword")
    refresh(catalog, root, SPACE)
    catalog.remove(77)
    refresh(catalog, root, SPACE)
    assert_holds(refresh(catalog, root, SPACE, rebuild=True), catalog)
    assert len(generation_folders(space_folder(root, SPACE))) == 1
    files = [path for path in space_folder(root, SPACE).rglob("*") if path.is_file()]
    assert not [path for path in files if b"secretword" in path.read_bytes()]


def test_waiting_for_another_builder_ends(catalog: LogCatalog, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "LOCK_SECONDS", 0.1)
    folder = space_folder(root, SPACE)
    folder.mkdir(parents=True)
    with folders._building(folder), pytest.raises(BusyError, match="building"):
        refresh(catalog, root, SPACE)


def test_without_hard_links_files_are_copied(catalog: LogCatalog, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    refresh(catalog, root, SPACE)
    monkeypatch.setattr(os, "link", refuse)
    catalog.add(101)
    second = refresh(catalog, root, SPACE)
    assert second.manifest.churn == 1
    assert_holds(second, catalog)


def test_opening_is_fast(catalog: LogCatalog, root: Path) -> None:
    refresh(catalog, root, SPACE)
    took = []
    for _ in range(5):
        start = time.process_time()
        assert open_current(root, SPACE) is not None
        took.append(time.process_time() - start)
    assert min(took) < 0.05
