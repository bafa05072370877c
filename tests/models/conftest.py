from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_model import make_tiny_bert


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model; read only."""
    return make_tiny_bert(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same tokenizer with other weights; read only."""
    return make_tiny_bert(tmp_path_factory.mktemp("other") / "model", seed=1)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Graphs that tests share."""
    return tmp_path_factory.mktemp("cache")
