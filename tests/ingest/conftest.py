from __future__ import annotations

from collections.abc import Iterator

import pytest

from honed.ingest.sandbox import Sandbox


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(ocr=False) as opened:
        yield opened
