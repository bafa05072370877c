from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from honed import workspace as module
from honed.errors import BusyError, InputError, UsageError
from honed.workspace import Workspace, at, create, find, read_json, tree_hashes, write_atomic, write_json


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create(tmp_path / "ws", "# settings\n")


def test_create_keeps_what_is_there(tmp_path: Path) -> None:
    root = tmp_path / "new" / "folder ü"
    made = create(root, "a = 1\n")
    assert (made.root, made.state.is_dir(), made.settings_path.read_text()) == (root, True, "a = 1\n")
    assert create(root, "b = 2\n").settings_path.read_text() == "a = 1\n"
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        create(tmp_path / "file", "")


def test_the_nearest_folder_upwards_is_found(workspace: Workspace, tmp_path: Path) -> None:
    deep = workspace.root / "a" / "b"
    deep.mkdir(parents=True)
    assert find(deep) == find(workspace.root) == workspace
    inner = create(workspace.root / "a", "")
    assert find(deep) == inner
    (tmp_path / "link").symlink_to(deep)
    assert find(tmp_path / "link") == inner
    with pytest.raises(UsageError, match="no workspace"):
        find(tmp_path)


def test_a_named_folder_is_that_folder(workspace: Workspace) -> None:
    assert at(workspace.root) == workspace
    (workspace.root / "sub").mkdir()
    for folder in ("sub", "none"):
        with pytest.raises(UsageError, match=f"{folder} is no workspace") as error:
            at(workspace.root / folder)
        assert "honed init" in error.value.hint


def test_a_file_is_the_old_one_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sub" / "file"
    write_atomic(path, b"old")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"old", 0o644)

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"], "no half file is left"


def test_the_names_of_new_folders_are_made_durable_too(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    synced: list[Path] = []
    monkeypatch.setattr(module, "fsync_folder", synced.append)
    digest = workspace.put_blob(tmp_path / "a")
    assert {workspace.state, workspace.blobs, workspace.blobs / digest[:2]} <= set(synced)
    write_atomic(workspace.root / "x/y/z", b"")
    assert {workspace.root, workspace.root / "x", workspace.root / "x/y"} <= set(synced)


def test_json_round_trips_and_a_broken_file_names_itself(tmp_path: Path) -> None:
    value = {"ü": [1, 2.5, None, "文"], "deep": {"a": True}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert "ü" in (tmp_path / "a.json").read_text(encoding="utf-8")
    (tmp_path / "a.json").write_bytes(b'{"half": ')
    with pytest.raises(InputError, match=r"a\.json is not valid JSON"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError):
        read_json(tmp_path / "a.json")


def test_hashes_of_a_tree(tmp_path: Path) -> None:
    write_atomic(tmp_path / "b" / "x", b"1")
    write_atomic(tmp_path / "a", b"2")
    (tmp_path / "half.tmp").write_bytes(b"3")
    assert list(tree_hashes(tmp_path).items()) == [
        ("a", hashlib.sha256(b"2").hexdigest()),
        ("b/x", hashlib.sha256(b"1").hexdigest()),
    ]


HOLD = """
import sys
from pathlib import Path
from honed.workspace import Workspace
with Workspace(Path(sys.argv[1])).writing():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_writer_at_a_time_and_a_killed_one_holds_nothing(workspace: Workspace) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workspace.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(BusyError, match=f"process {other.pid}") as error, workspace.writing():
        pass
    assert error.value.hint
    other.kill()
    other.communicate()
    with workspace.writing():
        assert (workspace.state / "lock").read_text() == f"process {os.getpid()}"
    assert (workspace.state / "lock").read_text() == ""


def test_who_is_patient_is_told_once_and_waits_for_the_writer(workspace: Workspace) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workspace.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    said: list[str] = []

    def told(line: str) -> None:
        said.append(line)
        assert other.stdin is not None
        other.stdin.close()  # it ends

    with workspace.writing(waiting=told):
        assert other.wait() == 0
    (line,) = said
    assert f"process {other.pid}" in line
    other.stdout.close()


def test_a_thread_that_holds_a_lock_may_take_it_again_and_another_may_not(workspace: Workspace) -> None:
    def taken() -> None:
        with workspace.writing():
            pass

    with workspace.writing(), ThreadPoolExecutor(1) as other:
        taken()
        with pytest.raises(BusyError, match=f"process {os.getpid()}"):
            other.submit(taken).result()
    taken()


def test_a_run_that_learns_keeps_others_from_learning_not_from_writing(workspace: Workspace) -> None:
    def learn() -> None:
        with workspace.tuning():
            pass

    with workspace.tuning(), ThreadPoolExecutor(1) as other:
        with pytest.raises(BusyError, match="is being tuned or cleared up by process"):
            other.submit(learn).result()
        with workspace.writing():
            pass


def test_the_lock_is_given_back_when_the_block_fails(workspace: Workspace) -> None:
    with pytest.raises(RuntimeError), workspace.writing():
        raise RuntimeError
    with workspace.writing():
        pass


def test_blobs_are_named_by_their_content(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    digest = workspace.put_blob(tmp_path / "a")
    stored = workspace.blobs / digest[:2] / digest
    assert (digest, stored.read_bytes()) == (hashlib.sha256(b"bytes").hexdigest(), b"bytes")
    stamp = stored.stat().st_mtime_ns
    assert workspace.put_blob(tmp_path / "a") == digest
    assert stored.stat().st_mtime_ns == stamp
    with pytest.raises(FileNotFoundError):
        workspace.put_blob(tmp_path / "none")


def test_a_file_that_changes_while_it_is_kept_is_refused(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"first")
    copy = module.shutil.copyfile

    def late(source: Path, target: Path) -> None:
        path.write_bytes(b"second")
        copy(source, target)

    monkeypatch.setattr(module.shutil, "copyfile", late)
    with pytest.raises(InputError, match="changed while"):
        workspace.put_blob(path)
    assert [entry for entry in workspace.blobs.rglob("*") if entry.is_file()] == []


def test_json_has_null_where_a_number_is_not_finite(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [float("nan"), 1.5, (float("-inf"),)], "b": {"c": float("inf")}, "d": 7})
    assert read_json(tmp_path / "a.json") == {"a": [None, 1.5, [None]], "b": {"c": None}, "d": 7}
