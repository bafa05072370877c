"""A sound workspace with an embedder that needs no model: imported rows with questions, files, two releases."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from honed.catalog import history
from honed.formats import read_beir
from honed.ingest.importing import import_beir
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake, sync
from honed.release.build import Shipment, build, live_manifest, part_of
from honed.release.manifest import RETRIEVER
from honed.session import Session, open_session
from honed.settle import settle
from honed.workspace import Workspace, create
from tests.upkeep import world

Adding = Callable[[Session], None]


@pytest.fixture(scope="session")
def sandbox() -> Any:
    with Sandbox(ocr=False) as opened:
        yield opened


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Path:
    """The folder with `ws/`, `beir/` and `notes/` that tests copy."""
    root = tmp_path_factory.mktemp("sound")
    world.write_beir(root / "beir")
    (root / "notes").mkdir()
    for number in range(4):
        (root / "notes" / f"note{number}.md").write_text(f"# Harbour {number}\n\nThe tide{number} comes at noon.\n")
    workspace = create(root / "ws", 'embedder = "hash:64"\n')
    with workspace.writing(), open_session(workspace, create=True) as session:
        beir = read_beir(root / "beir")
        import_beir(session.catalog, beir, passage_words=160)
        sync(Intake(workspace, session.catalog, sandbox, 160), [root / "notes"])
        settle(session, lambda _: None, given={query.id: query.split for query in beir.queries})
        text = part_of(workspace, live_manifest(workspace, session.catalog), RETRIEVER)
        shipment = Shipment("again", {RETRIEVER: text})
        build(
            workspace, session.catalog, shipment, expected=history.live_release(session.catalog), reason="for the test"
        )
    return root


@pytest.fixture
def workspace(sound: Path, tmp_path: Path) -> Workspace:
    """A copy to damage. The notes stay where they were added from, so treat them as read-only, or use `home`."""
    shutil.copytree(sound / "ws", tmp_path / "ws")
    return Workspace(tmp_path / "ws")


@pytest.fixture
def home(tmp_path: Path, sandbox: Sandbox) -> tuple[Workspace, Path, Callable[[], None]]:
    """An empty workspace, a folder, and what `honed add FOLDER` does."""
    workspace, folder = create(tmp_path / "ws", 'embedder = "hash:64"\n'), tmp_path / "files"
    folder.mkdir()

    def add() -> None:
        with workspace.writing(), open_session(workspace, create=True) as session:
            sync(Intake(workspace, session.catalog, sandbox, 160), [folder])
            settle(session, lambda _: None)

    return workspace, folder, add
