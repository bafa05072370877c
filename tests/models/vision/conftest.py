from __future__ import annotations

from pathlib import Path

import pytest

from honed.models.vision.folder import write_encoder_folder
from tests.models.vision.make import SMALL, state_dict


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder folder with random weights for pictures of 32 pixels; read only."""
    return write_encoder_folder(tmp_path_factory.mktemp("encoder") / "model", state_dict(), SMALL)


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Graphs that tests share."""
    return tmp_path_factory.mktemp("graphs")
