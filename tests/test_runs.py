from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed import runs
from honed.catalog import Catalog, history
from honed.errors import UsageError
from honed.evaluate.ledger import TestSet
from honed.runs import Run, look_at, looks_ahead, open_run
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


def test_settings_are_compared_as_they_are_stored(workspace: Workspace, catalog: Catalog) -> None:
    first = open_run(workspace, catalog, "tune", {"live": [("head", "1a")]})
    assert open_run(workspace, catalog, "tune", {"live": [("head", "1a")]}).id == first.id


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


def asked(count: int, *, fresh_only: bool = False, each: int = 4, proxy: bool = False) -> TestSet:
    """Questions in clusters of `each`; the set as a whole has another hash whenever a question is added."""
    texts = [f"what is {number}?" for number in range(count)]
    clusters = np.arange(count) // each
    return TestSet("retriever", "ndcg@10", texts, clusters, (f"{count} of them",), None, fresh_only, proxy)


def test_a_new_workspace_does_not_make_a_test_set_fresh(catalog: Catalog, tmp_path: Path) -> None:
    t = asked(40)
    assert look_at(catalog, t, "run 1", {"budget": 1}).reads == 1
    assert look_at(catalog, t, "run 1", {"budget": 1}).reads == 1, "resumed after its look"
    assert look_at(catalog, t, "run 2", {"budget": 2}).reads == 2
    with Catalog(tmp_path / "another.db", create=True) as other:
        assert look_at(other, t, "run 1", {"budget": 1}).reads == 2, "its own, and the one experiment that differs"
        assert look_at(other, t, "run 2", {"budget": 3}).reads == 4


def test_a_new_label_makes_a_used_test_set_no_fresh_one(catalog: Catalog, tmp_path: Path) -> None:
    for number in range(1, 7):
        assert look_at(catalog, asked(500), f"run {number}", {"number": number}).reads == number
    looks = look_at(catalog, asked(501), "run 7", {"number": 7})
    assert (looks.reads, int(looks.fresh.sum())) == (7, 1)
    with Catalog(tmp_path / "another.db", create=True) as other:
        assert look_at(other, asked(502), "run 1", {"number": 8}).reads == 8


def test_label_and_tune_again_spends_confidence(catalog: Catalog) -> None:
    reads = [look_at(catalog, asked(20 * number), f"run {number}", {"n": number}).reads for number in range(1, 11)]
    assert reads == list(range(1, 11))


def test_new_labels_alone_are_a_test_of_full_strength_once(catalog: Catalog) -> None:
    for number in range(4):
        look_at(catalog, asked(100), f"run {number}", {"n": number})
    first = look_at(catalog, asked(140, fresh_only=True), "run 4", {"n": 4})
    assert (first.reads, int(first.deciding.sum())) == (1, 40)
    resumed = look_at(catalog, asked(140, fresh_only=True), "run 4", {"n": 4})
    assert (resumed.reads, int(resumed.deciding.sum())) == (1, 40)
    with pytest.raises(UsageError, match="None of the 140 test questions can decide anything"):
        look_at(catalog, asked(140, fresh_only=True), "run 5", {"n": 5})
    rows = history.looks(catalog, "retriever")
    assert (len(rows), len(rows[-1].questions or "")) == (5, 40 * 16), (
        "the fresh ones alone, and no look that told nothing"
    )


def test_nothing_judged_is_no_look(catalog: Catalog) -> None:
    nothing = replace(asked(10), judged=np.zeros(10, bool))
    with pytest.raises(UsageError, match="can decide anything") as raised:
        look_at(catalog, nothing, "run", {})
    assert raised.value.hint
    assert history.looks(catalog, "retriever") == []


def test_looks_of_older_versions_count_for_all_that_is_in_the_test_set(catalog: Catalog) -> None:
    with catalog.transaction():
        for number in range(3):
            catalog.execute(
                "INSERT INTO ledger (test_set, run, at, role) VALUES ('old', ?, 'then', 'retriever')",
                (f"old {number}",),
            )
    assert looks_ahead(catalog, asked(80), "tune").reads == 4
    assert look_at(catalog, asked(80), "run", {}).reads == 4
    later = look_at(catalog, asked(400, fresh_only=True), "next", {"n": 1})
    assert int(later.deciding.sum()) == 320, "what came after the first look of this version is fresh"


def test_too_few_clusters_end_before_anything_is_tuned(catalog: Catalog) -> None:
    with pytest.raises(
        UsageError, match=r"The 64 titles, which stand in for questions, lie in 2 clusters .*; 6 are"
    ) as told:
        looks_ahead(catalog, asked(64, each=32, proxy=True), "tune")
    assert "add more documents" in (told.value.hint or "")
    assert looks_ahead(catalog, asked(24), "tune").reads == 1
    for number in range(3):
        look_at(catalog, asked(24), f"run {number}", {"n": number})
    with pytest.raises(UsageError, match=r"6 clusters .*; 9 are the fewest .* \(99.375% after 3 earlier looks\)"):
        looks_ahead(catalog, asked(24), "tune")
    assert len(history.looks(catalog, "retriever")) == 3, "looking ahead is no look"


def test_a_run_that_was_interrupted_after_its_look_has_the_same_fresh_questions(
    workspace: Workspace, catalog: Catalog
) -> None:
    run = open_run(workspace, catalog, "tune", {})
    look_at(catalog, asked(40, fresh_only=True), run.id, {})
    assert int(looks_ahead(catalog, asked(40, fresh_only=True), "tune").deciding.sum()) == 40
    end(catalog, run)
    with pytest.raises(UsageError, match="The 0 test questions that nobody has looked at"):
        looks_ahead(catalog, asked(40, fresh_only=True), "tune")
