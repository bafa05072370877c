"""Every hostile file ends as it should, and the honest one after it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from honed.ingest.codes import CODES
from honed.ingest.sandbox import Sandbox
from honed.types import Parsed, Rejection
from tests.ingest.hostile import CASES, PARSED, SECRET, Case

MOST_CPU_SECONDS = 5.0
MOST_BYTES = 512 << 20


def check(case: Case, sandbox: Sandbox, folder: Path) -> None:
    path = case.write(folder)
    sandbox.last = None
    outcome = sandbox.parse(path)
    code = outcome.code if isinstance(outcome, Rejection) else PARSED
    assert code in case.allowed.split("|"), outcome
    assert code == PARSED or code in CODES
    assert SECRET not in repr(outcome)
    if sandbox.last:
        assert sandbox.last.cpu_seconds <= MOST_CPU_SECONDS
        assert sandbox.last.peak_bytes <= MOST_BYTES
    honest = folder / "honest.txt"
    honest.write_text("A line of honest text.")
    assert isinstance(sandbox.parse(honest), Parsed)


@pytest.mark.parametrize("case", [case for case in CASES if case.quick], ids=lambda case: case.name)
def test_quick(case: Case, sandbox: Sandbox, tmp_path: Path) -> None:
    check(case, sandbox, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if not case.quick], ids=lambda case: case.name)
def test_all(case: Case, sandbox: Sandbox, tmp_path: Path) -> None:
    check(case, sandbox, tmp_path)


def test_there_are_enough_cases_with_different_names() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60
