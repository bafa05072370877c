from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from honed import runs
from honed.catalog import Catalog, history
from honed.runs import Run, look_at, open_run
from honed.workspace import Workspace, create


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create(tmp_path / "ws", "")


@pytest.fixture
def catalog(workspace: Workspace) -> Iterator[Catalog]:
    with Catalog(workspace.catalog_path, create=True) as opened:
        yield opened


def end(catalog: Catalog, run: Run) -> None:
    with catalog.transaction():
        history.end_run(catalog, run.id, "done", {})


def test_an_interrupted_run_goes_on_under_the_same_settings(workspace: Workspace, catalog: Catalog) -> None:
    first = open_run(workspace, catalog, "tune", {"budget": 1})
    again = open_run(workspace, catalog, "tune", {"budget": 1})
    assert (first.resumed, again.resumed, again.id) == (False, True, first.id)
    end(catalog, again)
    assert open_run(workspace, catalog, "tune", {"budget": 1}).id != first.id


def test_other_settings_begin_anew_and_clear_what_was_heavy(workspace: Workspace, catalog: Catalog) -> None:
    first = open_run(workspace, catalog, "tune", {"budget": 1})
    (first.folder / "checkpoint-1").touch()
    (first.folder / "model").mkdir()
    second = open_run(workspace, catalog, "tune", {"budget": 2})
    assert (second.resumed, second.id != first.id) == (False, True)
    assert [path.name for path in first.folder.iterdir()] == ["run.json"]
    assert catalog.execute("SELECT state FROM runs WHERE id = ?", (first.id,)).fetchone() == ("failed",)


def test_a_run_whose_folder_is_gone_begins_anew(workspace: Workspace, catalog: Catalog) -> None:
    first = open_run(workspace, catalog, "tune", {})
    (first.folder / "run.json").unlink()
    first.folder.rmdir()
    assert not open_run(workspace, catalog, "tune", {}).resumed


def test_runs_of_one_second_do_not_share_a_folder(
    workspace: Workspace, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(runs.datetime):
        @classmethod
        def now(cls, tz: object = None) -> runs.datetime:  # type: ignore[override]
            return cls(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr(runs, "datetime", Stopped)
    names = []
    for _ in range(3):
        run = open_run(workspace, catalog, "tune", {})
        names.append(run.id)
        end(catalog, run)
    assert names == ["2026-01-02-030405-tune", "2026-01-02-030405-tune-2", "2026-01-02-030405-tune-3"]


def test_a_new_workspace_does_not_make_a_test_set_fresh(catalog: Catalog, tmp_path: Path) -> None:
    assert look_at(catalog, "t", "run 1", {"budget": 1}) == 1
    assert look_at(catalog, "t", "run 1", {"budget": 1}) == 1, "resumed after its look"
    assert look_at(catalog, "t", "run 2", {"budget": 2}) == 2
    with Catalog(tmp_path / "another.db", create=True) as other:
        assert look_at(other, "t", "run 1", {"budget": 1}) == 2, "its own, and the one experiment that differs"
        assert look_at(other, "t", "run 2", {"budget": 3}) == 4
