from __future__ import annotations

import json
import logging
import multiprocessing
from pathlib import Path

import pytest

from honed.evaluate.ledger import Look, ledger_path, looks_elsewhere


def test_looks_of_other_workspaces_count_once_an_experiment(state: Path) -> None:
    assert looks_elsewhere(Look("t", "first", "w1")) == 0
    assert looks_elsewhere(Look("t", "first", "w1")) == 0, "its own look"
    assert looks_elsewhere(Look("t", "first", "w2")) == 0, "the same experiment, run again elsewhere"
    assert looks_elsewhere(Look("t", "second", "w3")) == 1
    assert looks_elsewhere(Look("t", "third", "w3")) == 1, "the workspace counts its own looks itself"
    assert looks_elsewhere(Look("t", "first", "w4")) == 2
    assert looks_elsewhere(Look("other", "first", "w4")) == 0
    assert ledger_path() == state / "looks.jsonl"


def test_it_lies_in_the_state_folder_of_the_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HONED_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert ledger_path() == tmp_path / "honed" / "looks.jsonl"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ledger_path() == tmp_path / ".local" / "state" / "honed" / "looks.jsonl"


def test_a_broken_line_costs_no_other(state: Path) -> None:
    looks_elsewhere(Look("t", "first", "w1"))
    with ledger_path().open("a") as file:
        file.write('{"test_set": "t", "exper\n[]\n' + json.dumps({"other": 1}) + "\n")
    assert looks_elsewhere(Look("t", "second", "w2")) == 1


def test_where_it_cannot_be_written_a_warning_says_so(
    state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = state.parent / "file"
    blocked.write_text("")
    monkeypatch.setenv("HONED_STATE", str(blocked))
    with caplog.at_level(logging.WARNING):
        assert looks_elsewhere(Look("t", "first", "w1")) == 0
    assert "cannot be kept" in caplog.text


def test_two_processes_lose_no_look() -> None:
    looks = [Look("t", f"e{number}", f"w{number}") for number in range(40)]
    with multiprocessing.get_context("fork").Pool(4) as pool:
        counts = pool.map(looks_elsewhere, looks)
    assert sorted(counts) == list(range(40))
