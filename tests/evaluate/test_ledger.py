from __future__ import annotations

import json
import logging
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.evaluate import ledger
from honed.evaluate.ledger import Look, TestSet, count, ledger_path, looks_noted


def elsewhere(test_set: str, experiment: str, workspace: str) -> int:
    """How many looks of others the same questions have had."""
    test = questions(4, test_set)
    look = Look(test_set, experiment, workspace, test.role, test.metric, "".join(test.keys))
    return count(test, looks_noted(look).elsewhere).reads - 1


def questions(number: int, name: str = "q", *, start: int = 0, fresh_only: bool = False) -> TestSet:
    texts = [f"{name} {at}" for at in range(start, start + number)]
    return TestSet("retriever", "ndcg@10", texts, np.arange(number), (name,), fresh_only=fresh_only)


def look(test: TestSet, experiment: str = "e") -> Look:
    return Look(test.names[0], experiment, "w", test.role, test.metric, "".join(test.keys))


def test_looks_of_other_workspaces_count_once_an_experiment(state: Path) -> None:
    assert elsewhere("t", "first", "w1") == 0
    assert elsewhere("t", "first", "w1") == 0, "its own look"
    assert elsewhere("t", "first", "w2") == 0, "the same experiment, run again elsewhere"
    assert elsewhere("t", "second", "w3") == 1
    assert elsewhere("t", "third", "w3") == 1, "the workspace counts its own looks itself"
    assert elsewhere("t", "first", "w4") == 2
    assert elsewhere("other", "first", "w4") == 0
    assert ledger_path() == state / "looks.jsonl"


def test_a_test_set_has_been_looked_at_as_often_as_its_most_looked_at_twentieth() -> None:
    old = look(questions(100))
    assert count(questions(101), [old] * 6).reads == 7, "a new label makes no used set fresh"
    assert count(questions(1900), [old] * 6).reads == 7, "100 of 1,900 are more than a twentieth"
    assert count(questions(2000), [old] * 6).reads == 1, "a twentieth may be known"
    half = look(questions(50))
    assert count(questions(100), [old, half, half]).reads == 4
    assert count(questions(100, start=100), [old] * 6).reads == 1
    assert count(questions(10), [look(questions(1))]).reads == 2, "of ten questions none may be known"


def test_questions_that_nobody_looked_at_have_their_full_strength() -> None:
    known = look(questions(100))
    whole, alone = (count(questions(130, fresh_only=only), [known] * 5) for only in (False, True))
    assert (whole.reads, int(whole.fresh.sum()), int(whole.deciding.sum())) == (6, 30, 130)
    assert (alone.reads, int(alone.deciding.sum())) == (1, 30)
    masked = alone.scores({"ndcg@10": np.ones(130)})["ndcg@10"]
    assert np.isnan(masked[:100]).all() and (masked[100:] == 1).all()


def test_a_question_is_known_by_its_text_alone() -> None:
    first, again = questions(2), TestSet("retriever", "mrr@10", ["Q  0", "q 1\n"], np.arange(2), ("other",))
    assert first.keys == again.keys
    other_role = TestSet("text-to-image", "map", first.questions, np.arange(2), ("q",))
    assert not set(first.keys) & set(other_role.keys)


def test_lines_of_older_versions_are_read_and_count_for_the_whole_set(state: Path) -> None:
    state.mkdir(parents=True)
    ledger_path().write_text('{"test_set": "t", "experiment": "old", "workspace": "w0"}\n')
    assert elsewhere("t", "first", "w1") == 1
    assert elsewhere("other", "first", "w1") == 0


def test_it_lies_in_the_state_folder_of_the_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HONED_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert ledger_path() == tmp_path / "honed" / "looks.jsonl"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ledger_path() == tmp_path / ".local" / "state" / "honed" / "looks.jsonl"


def test_a_broken_line_costs_no_other(state: Path) -> None:
    elsewhere("t", "first", "w1")
    with ledger_path().open("a") as file:
        file.write('{"test_set": "t", "exper\n[]\n' + json.dumps({"other": 1}) + "\n")
    assert elsewhere("t", "second", "w2") == 1


def test_where_it_cannot_be_written_a_warning_says_so(
    state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = state.parent / "file"
    blocked.write_text("")
    monkeypatch.setenv("HONED_STATE", str(blocked))
    with caplog.at_level(logging.WARNING):
        assert elsewhere("t", "first", "w1") == 0
    assert "cannot be kept" in caplog.text


def test_two_processes_lose_no_look() -> None:
    looks = [("t", f"e{number}", f"w{number}") for number in range(40)]
    with multiprocessing.get_context("fork").Pool(4) as pool:
        counts = pool.starmap(elsewhere, looks)
    assert sorted(counts) == list(range(40))


def test_looks_in_a_copy_of_a_workspace_count_in_the_original(state: Path) -> None:
    """A copy, or a backup that is restored, has the name of the workspace; its catalog knows nothing of the later looks."""
    test = questions(40)
    for experiment in ("first", "in a copy", "in a copy, again"):
        looks_noted(look(test, experiment))
    noted = looks_noted(look(test, "now"), note=False)
    assert noted.elsewhere == []
    assert count(test, noted.elsewhere, [look(test, "first")], noted.here).reads == 4
    assert count(test, noted.elsewhere, [look(test, f"run {at}") for at in range(5)], noted.here).reads == 6


def test_a_look_after_a_torn_line_is_kept(state: Path) -> None:
    test = questions(4)
    looks_noted(look(test, "first"))
    ledger_path().write_text(ledger_path().read_text()[:-20])
    looks_noted(look(test, "second"))
    assert [entry.experiment for entry in looks_noted(look(test, "third")).here] == ["second"]


def test_an_experiment_that_looked_twice_looked_at_all_of_it(state: Path) -> None:
    for part in (questions(10), questions(10, start=10)):
        looks_noted(replace(look(part, "compare"), test_set="q"))
    (entry,) = looks_noted(look(questions(4), "now"), note=False).here
    assert count(questions(20), [entry]).reads == 2
    assert not count(questions(20), [entry]).fresh.any()


def test_what_cannot_be_written_is_read(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = questions(4)
    looks_noted(look(test, "first"))

    def refused(path: Path, entry: Look) -> list[Look]:
        raise PermissionError(path)

    monkeypatch.setattr(ledger, "_noted", refused)
    assert [entry.experiment for entry in looks_noted(look(test, "second")).here] == ["first"]
