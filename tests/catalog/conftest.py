from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from honed.catalog import Catalog


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "catalog.db", create=True) as opened:
        yield opened
