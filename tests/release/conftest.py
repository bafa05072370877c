"""A workspace with a few documents, an index and the hashing embedder; releases are built over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from honed.release.parts import Parts

from honed.answer.settings import RetrievalSettings
from honed.session import Session, open_session
from honed.settle import settle
from honed.workspace import create
from tests.catalog.make import put

TEXTS = {"flu": "The flu brings fever and cough.", "gout": "Gout hurts in the big toe.", "ebola": "Ebola is a virus."}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    workspace = create(tmp_path / "ws", 'embedder = "hash:64"\n')
    with open_session(workspace, create=True) as opened:
        for name, text in TEXTS.items():
            put(opened.catalog, name, text)
        settle(opened, lambda _: None)
        yield opened


def parts(**changes: object) -> Parts:
    values = {
        "what": "test",
        "embedder": "hash:64",
        "space": "hash-1-64",
        "retrieval": RetrievalSettings(),
        "pool": 50,
        "language": "english",
    }
    return Parts(**{**values, **changes})  # type: ignore[arg-type]
