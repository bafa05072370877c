"""Every damage is found, named and, where it is derived, mended; the truth is never guessed."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from honed.catalog import history
from honed.cli import main
from honed.session import open_session
from honed.upkeep.doctor import examine
from honed.upkeep.finding import Finding
from honed.upkeep.leftovers import writer
from honed.upkeep.repair import repair
from honed.workspace import Workspace

Damage = Callable[[Workspace], None]


def flip(path: Path, at: int = -20) -> None:
    """Change one byte."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def sql(*statements: str) -> Damage:
    """Run statements behind the catalog's back: no foreign keys, and no triggers if the first one drops them."""

    def damage(workspace: Workspace) -> None:
        with closing(sqlite3.connect(workspace.catalog_path, isolation_level=None)) as connection:
            connection.execute("PRAGMA writable_schema = ON")
            for statement in statements:
                connection.execute(statement)

    return damage


def current(workspace: Workspace) -> Path:
    """Folder of the live index."""
    (pointer,) = workspace.index.glob("*/CURRENT")
    return pointer.parent / pointer.read_text().strip()


def blob(workspace: Workspace) -> Path:
    return min(workspace.blobs.glob("??/*"))


def strange_vectors(workspace: Workspace) -> None:
    """Unit vectors that the model did not give."""
    with closing(sqlite3.connect(workspace.catalog_path, isolation_level=None)) as connection:
        connection.execute("UPDATE vectors SET vector = ?", (np.eye(1, 64, dtype=np.float32).tobytes(),))


def half_done(workspace: Workspace) -> None:
    """What a killed process may leave, of each kind."""
    (workspace.root / ".honed.toml.abc_1234.tmp").write_text("x")
    blob(workspace).with_name(f"{'a' * 64}.77.tmp").write_text("x")
    for folder in (
        workspace.releases / ".building-x",
        current(workspace).parent / ".building-y",
        workspace.releases / "r9",
    ):
        folder.mkdir()
        (folder / "part").write_text("x")
    (workspace.runs / "2030-01-01-000000-tune").mkdir(parents=True)
    (workspace.runs / "2030-01-01-000000-tune" / "run.json").write_text("{}")


def strange_graph(workspace: Workspace) -> None:
    folder = workspace.cache / "encoders" / "0a1b" / "fp32"
    folder.mkdir(parents=True)
    (folder / "graph.onnx").write_text("x")
    (folder / "hashes.json").write_text('{"graph.onnx": "y"}')


def model_gone(workspace: Workspace) -> None:
    """Nothing is live, and what is configured is not installed."""
    sql("DELETE FROM live", "DELETE FROM audit")(workspace)
    workspace.settings_path.write_text('embedder = "folder:/x"')


def older_catalog(workspace: Workspace) -> None:
    """A catalog from before the last documents came."""
    sql(
        "DROP TRIGGER passage_removed",
        "CREATE TRIGGER passage_removed AFTER DELETE ON passages BEGIN DELETE FROM changes WHERE passage = old.rowid; END",
        "DELETE FROM sources WHERE document = (SELECT id FROM documents ORDER BY rowid DESC LIMIT 1)",
        "DELETE FROM passages WHERE document = (SELECT max(rowid) FROM documents)",
        "DELETE FROM documents WHERE rowid = (SELECT max(rowid) FROM documents)",
    )(workspace)


MENDED: dict[str, tuple[Damage, str, str]] = {
    "an original was changed": (lambda w: flip(blob(w), 0), "blobs", "wrong"),
    "an original is gone": (lambda w: blob(w).unlink(), "blobs", "wrong"),
    "a vector grew": (sql("UPDATE vectors SET vector = vector || vector WHERE rowid = 3"), "vectors", "wrong"),
    "a vector is zero": (sql("UPDATE vectors SET vector = zeroblob(256) WHERE rowid = 3"), "vectors", "wrong"),
    "vectors are gone": (sql("DELETE FROM vectors WHERE rowid < 9"), "vectors", "unfinished"),
    "vectors are another model's": (strange_vectors, "vectors", "wrong"),
    "the index was changed": (lambda w: flip(current(w) / "dense.vectors.npy"), "index", "wrong"),
    "the index lost a file": (lambda w: next(current(w).glob("lexical/*.term")).unlink(), "index", "wrong"),
    "the index's pointer is garbage": (lambda w: (current(w).parent / "CURRENT").write_text("?"), "index", "wrong"),
    "there is no index": (lambda w: shutil.rmtree(w.index), "index", "unfinished"),
    "the catalog is older than the index": (older_catalog, "index", "wrong"),
    "a graph was changed": (strange_graph, "cache", "unfinished"),
    "a kill left files": (half_done, "leftovers", "unfinished"),
    "documents lost their source": (sql("DELETE FROM sources WHERE path LIKE '%note1.md'"), "documents", "unfinished"),
    "an index of the catalog is damaged": (
        sql(
            "UPDATE sqlite_master SET sql = replace(sql, '(external_id)', '(title)') WHERE name = 'documents_external'"
        ),
        "catalog",
        "wrong",
    ),
}

TOLD: dict[str, tuple[Damage, str, str, str]] = {
    "a text was changed": (sql("UPDATE passages SET text = 'no' WHERE rowid = 5"), "rules", "wrong", "backup"),
    "half a document": (
        sql("DROP TRIGGER passage_removed", "UPDATE passages SET ordinal = 1 WHERE rowid = 5"),
        "rules",
        "wrong",
        "backup",
    ),
    "a document without passages": (
        sql("DROP TRIGGER passage_removed", "DELETE FROM passages WHERE rowid = 5"),
        "rules",
        "wrong",
        "backup",
    ),
    "a change was lost": (sql("DELETE FROM changes WHERE seq = 7"), "rules", "wrong", "backup"),
    "a source points nowhere": (sql("UPDATE sources SET document = 'x' WHERE rowid = 5"), "catalog", "wrong", "backup"),
    "the audit log lost a row": (sql("DELETE FROM audit WHERE seq = 2"), "rules", "wrong", "backup"),
    "a manifest was changed": (
        lambda w: flip(w.releases / "r2" / "manifest.json"),
        "release r2",
        "wrong",
        "promote r1",
    ),
    "a release is gone": (lambda w: shutil.rmtree(w.releases / "r1"), "release r1", "wrong", "restore"),
    "a page of the catalog was overwritten": (
        lambda w: os.truncate(w.catalog_path, w.catalog_path.stat().st_size // 2),
        "catalog",
        "wrong",
        "backup",
    ),
    "the catalog is no database": (lambda w: w.catalog_path.write_text("x" * 9000), "catalog", "wrong", "backup"),
    "there is no catalog": (lambda w: w.catalog_path.unlink(), "catalog", "wrong", "honed init"),
    "a setting is unknown": (lambda w: w.settings_path.write_text("colour = 1"), "settings", "wrong", "embedder"),
    "a model is not there": (model_gone, "model", "wrong", "layout"),
    "judgements name nothing": (sql("UPDATE qrels SET document = 'x' WHERE rowid = 5"), "judgements", "note", "add"),
}


def look(workspace: Workspace, *, deep: bool = True) -> list[Finding]:
    return list(examine(workspace, deep=deep, surroundings=False).findings)


def amiss(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level in ("wrong", "unfinished")]


def test_a_sound_workspace_is_called_sound(workspace: Workspace) -> None:
    checkup = examine(workspace, deep=True)
    assert not amiss(list(checkup.findings))
    assert checkup.settings["embedder"] == {"value": "hash:64", "origin": "honed.toml"}
    checks = {finding.check for finding in checkup.findings}
    assert {"python", "sandbox", "catalog", "rules", "blobs", "releases", "model", "vectors", "index"} <= checks


@pytest.mark.parametrize("what", MENDED)
def test_what_is_derived_is_found_and_mended(workspace: Workspace, what: str) -> None:
    damage, check, level = MENDED[what]
    damage(workspace)
    found = [finding for finding in amiss(look(workspace)) if finding.check == check]
    assert [finding.level for finding in found][:1] == [level]
    assert all(finding.repair and finding.hint for finding in found), found
    done, after = repair(workspace, deep=True)
    assert done
    assert not amiss(list(after.findings))
    with open_session(workspace) as session:
        assert session.catch_up(session.live_embedder(), tell=lambda _: None).seq == session.catalog.seq


@pytest.mark.parametrize("what", TOLD)
def test_where_the_truth_is_hit_it_says_where_truth_comes_from(workspace: Workspace, what: str) -> None:
    damage, check, level, hint = TOLD[what]
    damage(workspace)
    before = workspace.catalog_path.read_bytes() if workspace.catalog_path.exists() else b""
    found = [finding for finding in look(workspace) if finding.check == check and finding.level == level]
    assert found, look(workspace)
    assert hint in found[0].hint
    assert not found[0].repair
    if level == "wrong" and not examine(workspace, surroundings=False).actions:
        assert repair(workspace)[0] == []
        assert (workspace.catalog_path.read_bytes() if workspace.catalog_path.exists() else b"") == before


def test_an_original_comes_back_only_from_the_same_bytes(home: tuple[Workspace, Path, Callable[[], None]]) -> None:
    workspace, folder, add = home
    (folder / "a.txt").write_text("The pilot waits for the tide.")
    add()
    blob(workspace).unlink()
    (folder / "a.txt").write_text("The pilot waits no more.")
    (found,) = amiss(look(workspace))
    assert found.check == "blobs"
    assert not found.repair
    assert str(folder / "a.txt") in found.hint


def test_an_interrupted_run_is_not_a_leftover(workspace: Workspace) -> None:
    with open_session(workspace) as session:
        history.start_run(session.catalog, "2030-01-01-000000-tune", "tune", {})
    (workspace.runs / "2030-01-01-000000-tune" / "query-tower").mkdir(parents=True)
    (found,) = amiss(look(workspace))
    assert found.check == "runs"
    assert "honed tune" in found.hint
    repair(workspace)
    assert (workspace.runs / "2030-01-01-000000-tune" / "query-tower").is_dir()


def test_a_result_that_was_not_written_comes_from_the_catalog(workspace: Workspace) -> None:
    folder = workspace.runs / "2030-01-01-000000-tune"
    folder.mkdir(parents=True)
    with open_session(workspace) as session:
        history.start_run(session.catalog, folder.name, "tune", {})
        with session.catalog.transaction():
            history.end_run(session.catalog, folder.name, "done", {"verdict": "proven"})
    assert [finding.repair for finding in amiss(look(workspace))] == ["results"]
    assert not amiss(list(repair(workspace)[1].findings))
    assert json.loads((folder / "result.json").read_text()) == {"verdict": "proven"}


def test_who_writes_now_is_left_alone(workspace: Workspace) -> None:
    half_done(workspace)
    (workspace.state / "lock").write_text(f"process {os.getppid()}")
    assert writer(workspace) == os.getppid()
    assert not amiss(look(workspace))
    (workspace.state / "lock").write_text("process 4194304")  # above the largest process id
    assert writer(workspace) is None
    assert [finding.check for finding in amiss(look(workspace))] == ["leftovers"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["honed", *arguments])
    with pytest.raises(SystemExit) as leaving:
        main()
    return int(leaving.value.code or 0)


def test_the_command(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(workspace.root)
    assert run(monkeypatch, "-w", root, "doctor") == 0
    assert "WRONG" not in capsys.readouterr().out
    flip(current(workspace) / "rowids.npy")
    assert run(monkeypatch, "-w", root, "doctor", "--json") == 1
    output = capsys.readouterr()
    value = json.loads(output.out)
    assert not value["ok"]
    assert [finding["repair"] for finding in value["findings"] if finding["level"] == "wrong"] == ["rebuild"]
    assert "hint: honed doctor --repair" in output.err
    assert run(monkeypatch, "-w", root, "doctor", "--repair", "--json") == 0
    value = json.loads(capsys.readouterr().out)
    assert value["ok"]
    assert value["repaired"]
