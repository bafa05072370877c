"""What goes on in a workspace while a turn learns: others write, no second turn, no clearing up, no overtaken release."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from honed.catalog import history
from honed.errors import BusyError, UsageError
from honed.formats import read_beir
from honed.ingest.importing import import_beir
from honed.release.build import Shipment, build
from honed.release.open import open_release
from honed.session import open_session
from honed.settle import settle
from honed.tuning import run
from honed.tuning.registry import load_role, role_names
from honed.upkeep.doctor import examine
from honed.workspace import Workspace, create
from tests import toy

pytest.importorskip("torch", reason="a turn trains: pip install 'honed[tune]'")

from tests.runs import tune

ROOT = Path(__file__).parents[1]
LEARNING = "adapter"
"""The line of progress at which the plan is made and the first rung begins."""


def prepared(folder: Path) -> Workspace:
    model = toy.model(folder / "model")
    workspace = create(folder / "ws", f'embedder = "folder:{model}"\nthreads = 1\n')
    rows = read_beir(toy.write_beir(folder / "beir"))
    with open_session(workspace, create=True) as session:
        import_beir(session.catalog, rows, passage_words=160)
        settle(session, lambda _: None, given={query.id: query.split for query in rows.queries})
    return workspace


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]), "OMP_NUM_THREADS": "1"}


def honed(workspace: Workspace, *words: object) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own."""
    command = [sys.executable, "-m", "honed", "-w", str(workspace.root), *map(str, words), "--json"]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)


def value(workspace: Workspace, *words: object) -> dict[str, object]:
    done = honed(workspace, *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def learning(workspace: Workspace) -> Iterator[subprocess.Popen[str]]:
    """A turn in another process that has been surveyed and is learning; it goes on when a line is written to it."""
    command = [sys.executable, "-m", "tests.paused_tune", str(workspace.root), LEARNING]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=pipe, stdout=pipe, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "paused\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def refused(done: subprocess.CompletedProcess[str], pid: int) -> bool:
    return done.returncode == 2 and f"process {pid}" in done.stderr and "hint: wait" in done.stderr


@pytest.mark.timeout(400)
def test_documents_and_labels_come_and_go_while_a_turn_learns(tmp_path: Path) -> None:
    workspace = prepared(tmp_path)
    corpus = (tmp_path / "beir/corpus.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/harbour.txt").write_text("The harbour closes when the tide is low.\n")
    (tmp_path / "labels.csv").write_text("question,source,split\nwhen does the harbour close,harbour.txt,test\n")
    with learning(workspace) as process:
        assert value(workspace, "add", tmp_path / "notes")["new"] == 1
        assert value(workspace, "label", tmp_path / "labels.csv")["questions"] == 1
        # A document that a test question asks for is deleted: the run goes on with it, search does not.
        (tmp_path / "beir/corpus.jsonl").write_text("".join(corpus[:-1]))
        assert value(workspace, "import", tmp_path / "beir")["removed"] == 1
        for command in (("tune", "--budget", "60s"), ("compact",), ("doctor", "--repair")):
            assert refused(honed(workspace, *command), process.pid), command
        checkup = examine(workspace, surroundings=False)
        assert not checkup.wrong
        assert [finding.message for finding in checkup.findings if finding.check == "runs"] == [
            f"Run {path.name} is under way in process {process.pid}, or waits for that one to end."
            for path in workspace.runs.iterdir()
        ]
        output, _ = process.communicate("go on\n")
    turn = json.loads(output.splitlines()[-1])
    assert (turn["verdict"], turn["release"]) == ("proven", "r2")
    assert turn["queries"] == 24, "the test is the one that was surveyed"
    (note,) = [note for note in turn["notes"] if "while this ran" in note]
    assert note.startswith(
        "1 document came, 1 document went, 1 label came or changed while this ran; the test was of the state at 2"
    )
    with open_session(workspace) as session:
        retriever = open_release(session.workspace, session.catalog, session.settings)
        assert retriever.release == "r2"
        assert "harbour" in retriever.search("harbour tide", 3)[0].passage.text
        gone = json.loads(corpus[-1])["text"]
        assert gone not in [context.passage.text for context in retriever.search(gone, 50)]
    assert not examine(workspace, surroundings=False).wrong


@pytest.mark.timeout(400)
def test_a_turn_that_is_killed_while_others_write_holds_nothing(tmp_path: Path) -> None:
    workspace = prepared(tmp_path)
    (tmp_path / "note.txt").write_text("The harbour closes when the tide is low.\n")
    with learning(workspace) as process:
        assert value(workspace, "add", tmp_path / "note.txt")["new"] == 1
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert honed(workspace, "doctor", "--repair").returncode == 0
    with open_session(workspace) as session:
        assert history.unfinished_run(session.catalog, "retriever") is not None
        turn = tune(session, budget=600.0, tell=lambda _: None)
        assert turn is not None
        assert turn.release == "r2"
        assert not any("while this ran" in note for note in turn.notes), "the note was there when this one was surveyed"
        assert sorted(history.run_states(session.catalog).values()) == ["done", "failed"], "begun anew on other data"


@pytest.mark.timeout(400)
def test_a_release_that_went_live_while_a_turn_learned_stays_live(tmp_path: Path) -> None:
    """Nothing is lost: the run can go on once what it started from is live again, and no look at the test was spent."""
    workspace = prepared(tmp_path)
    with open_session(workspace) as session:
        catalog = session.catalog

        def overtake(line: str) -> None:
            if line.startswith(LEARNING) and history.live_release(catalog) == 1:
                build(workspace, catalog, Shipment("by hand", {}), expected=1, reason="meanwhile")

        with pytest.raises(UsageError, match="r2 went live while this ran, which started from r1") as error:
            tune(session, budget=600.0, tell=overtake)
        assert error.value.hint
        assert [(row.name, row.live) for row in history.releases(catalog)] == [("r1", False), ("r2", True)]
        (unfinished,) = history.unfinished_runs(catalog)
        assert (workspace.runs / unfinished[0]).is_dir()
        with catalog.transaction():
            history.switch_live(catalog, "rollback", 2, 1, "back")
        said: list[str] = []
        turn = tune(session, budget=600.0, tell=said.append)
        assert turn is not None
        assert f"going on with {unfinished[0]}" in said
        assert (turn.run.id, turn.release, turn.comparison.test_reads) == (unfinished[0], "r3", 1)


def test_a_second_run_of_any_role_is_refused_before_it_begins(tmp_path: Path) -> None:
    workspace = create(tmp_path / "ws", 'embedder = "hash:64"\n')
    with open_session(workspace, create=True) as session, ThreadPoolExecutor(1) as other, ExitStack() as lock:
        other.submit(lock.enter_context, workspace.tuning()).result()
        for name in role_names():
            with pytest.raises(BusyError, match=f"tuned or cleared up by process {os.getpid()}"):
                run.tune(session, load_role(name), budget=60.0, tell=lambda _: None)
        other.submit(lock.close).result()
