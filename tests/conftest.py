"""What holds for every test."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from uuid import uuid4

import pytest

# A shell that starts the tests in the background makes their children ignore Ctrl-C; some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# On a busy machine OpenMP's threads, which wait in a loop for each other, make torch a hundred times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_STATE = tempfile.TemporaryDirectory(prefix="honed-state-")  # removed when the tests end
os.environ["HONED_STATE"] = _STATE.name


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of its own for every test: nobody's real one counts, and none of another test's."""
    folder = Path(_STATE.name) / uuid4().hex
    monkeypatch.setenv("HONED_STATE", str(folder))
    return folder
