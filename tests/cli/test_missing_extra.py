"""Without the extra `tune` everything but tuning works, and tuning says exactly what to type."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import honed as honed_package
from tests.cli.conftest import Honed

TUNE = ("torch", "transformers", "safetensors", "scipy", "matplotlib")


@pytest.fixture
def base_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the extra: its packages cannot be imported."""
    for room in ("train", "roles"):  # who imports a room anew also replaces it in its package
        if hasattr(honed_package, room):
            monkeypatch.setattr(honed_package, room, getattr(honed_package, room))
    for name in list(sys.modules):
        if name.partition(".")[0] in TUNE or name.startswith(("honed.train", "honed.roles")):
            monkeypatch.delitem(sys.modules, name)
    for name in TUNE:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("base_install")
def test_a_base_install(honed: Honed, imported: Path, tmp_path: Path) -> None:
    refused = honed("tune", "--budget", "60s")
    assert refused.code == 3, refused.err
    assert "error: The package 'torch' is not installed." in refused.err
    assert "hint: pip install 'honed[tune]'" in refused.err
    for command in (
        ["search", "flu"],
        ["ask", "What causes the flu?"],
        ["status"],
        ["evaluate", "--split", "dev"],
        ["compare", "bm25", "hybrid", "--split", "dev"],
        ["export", "rankings", "--split", "dev", "run.trec"],
        ["releases"],
        ["promote", "r1"],
        ["doctor"],
        ["compact"],
    ):
        done = honed(*command)
        assert done.code == 0, (command, done.err)
