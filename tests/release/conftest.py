"""A workspace with a few documents, an index and the hashing embedder; releases are built over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from honed.answer.settings import RetrievalSettings
from honed.catalog import history
from honed.release.build import Shipment, build
from honed.release.manifest import RETRIEVER, Part
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


def text_part(
    *,
    embedder: str = "hash:64",
    space: str = "hash-1-64",
    retrieval: RetrievalSettings | None = None,
    model: Path | None = None,
    adapter: Path | None = None,
) -> Part:
    """The text part of a release; a model folder holds both towers."""
    files = {name: path for name, path in (("model", model), ("adapter", adapter)) if path}
    values = {
        "embedder": embedder,
        "retrieval": (retrieval or RetrievalSettings()).as_dict(),
        "pool": 50,
        "language": "english",
    }
    return Part(values, files, space)


def shipment(
    lineage: Mapping[str, Any] | None = None, others: Mapping[str, Part] | None = None, **text: Any
) -> Shipment:
    """A new text part, and parts of other roles."""
    return Shipment("test", {RETRIEVER: text_part(**text), **(others or {})}, lineage or {})


def release(session: Session, what: Shipment | None = None) -> str:
    """Build on what is live."""
    return build(
        session.workspace,
        session.catalog,
        what or shipment(),
        expected=history.live_release(session.catalog),
        reason="why",
    )


def older_manifest(**changes: Any) -> dict[str, Any]:
    """A manifest of the format before, in which every number of every role had a name of its own."""
    value = {
        "release": "r1",
        "created": "2026-01-01T00:00:00Z",
        "what": "test",
        "embedder": "hash:64",
        "space": "hash-1-64",
        "weight": 0.5,
        "pool": 50,
        "language": "english",
        "adapter": "",
        "lineage": {},
        "files": {},
        "images": None,
        "painter": "",
        "format": 2,
    }
    return value | changes
