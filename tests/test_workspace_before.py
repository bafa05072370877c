"""A workspace of the version before opens, searches, rolls back and tunes (see `data/make_workspace_before.py`)."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from honed.catalog import documents, history
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake, sync
from honed.release.open import open_release
from honed.session import Session, open_session
from honed.settle import make_live, settle
from honed.upkeep.doctor import examine
from honed.upkeep.repair import repair
from honed.workspace import Workspace
from tests import toy

FIXTURE = Path(__file__).parent / "data/workspace-before.tar.gz"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(tmp_path, filter="data")
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def session(workspace: Workspace) -> Iterator[Session]:
    with open_session(workspace) as opened:
        yield opened


def texts(session: Session, question: str, release: str = "live") -> list[str]:
    """The first hits."""
    retriever = open_release(session.workspace, session.catalog, session.settings, release)
    return [context.passage.text for context in retriever.search(question, 5)]


def right(session: Session) -> int:
    """For how many questions in jargon, whose words no document has, the document is among the first five."""
    return sum(toy.document(pair) in texts(session, toy.question(pair)) for pair in toy.PAIRS)


def test_it_opens_and_finds(session: Session) -> None:
    assert history.live_release(session.catalog) == 2
    counts = documents.counts(session.catalog)
    assert (counts["documents"], counts["images"]) == (len(toy.PAIRS) + 3, {"file": 1})
    assert "The pilot waits until the tide is high." in texts(session, "pilot tide")
    assert "The pilot waits until the tide is high." in texts(session, "pilot tide", "r1")


def test_what_was_learned_is_kept_and_a_rollback_takes_it_back(session: Session) -> None:
    tuned = right(session)
    assert make_live(session, None, reason="worse") == "r1"
    assert right(session) < tuned
    assert make_live(session, "r2", reason="better") == "r2"
    assert right(session) == tuned


def test_doctor_finds_nothing_wrong(workspace: Workspace, session: Session) -> None:
    repair(workspace)
    checkup = examine(workspace, deep=True, surroundings=False)
    assert [(finding.check, finding.message) for finding in checkup.wrong] == []


def test_documents_come_and_go(workspace: Workspace, session: Session, tmp_path: Path) -> None:
    (tmp_path / "buoy.txt").write_text("A green buoy marks the wreck.\n")
    with Sandbox(ocr=False) as sandbox:
        assert sync(Intake(workspace, session.catalog, sandbox, 160), [tmp_path / "buoy.txt"]).new == 1
    settle(session, lambda _: None)
    assert "A green buoy marks the wreck." in texts(session, "buoy wreck")


@pytest.mark.timeout(300)
def test_it_tunes_on(session: Session) -> None:
    """The second look at a test set is counted as the second one, and the live release is what has to be beaten."""
    pytest.importorskip("torch", reason="a turn trains: pip install 'honed[tune]'")
    from tests.runs import finished

    turn = finished(session)
    assert turn.comparison.test_reads == 2
    assert turn.snapshot.baseline.dev["r2"] > 0.0
    assert history.live_release(session.catalog) == (3 if turn.release else 2)
    assert not examine(session.workspace, surroundings=False).wrong
