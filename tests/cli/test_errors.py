"""Bad input: one sentence, a hint, the right exit code, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cli.conftest import HASHED, Honed, Result


def refused(result: Result, code: int, *words: str) -> None:
    """Assert that a command said no as it should."""
    assert result.code == code, (result.code, result.err)
    assert "Traceback" not in result.err
    assert "this is a defect" not in result.err
    lines = result.err.strip().splitlines()
    assert sum(line.startswith("error: ") for line in lines) == 1, result.err
    for word in words:
        assert word in result.err, result.err


def test_no_workspace(honed: Honed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["search", "x"], ["status"], ["add", "."], ["releases"], ["tune"], ["doctor"], ["compact"]):
        refused(honed(*command), 2, "There is no workspace", "hint: honed init")


def test_a_workspace_without_documents(honed: Honed, workspace: Path) -> None:
    refused(honed("search", "x"), 3, "no catalog", "hint:")
    (workspace / "empty").mkdir()
    assert honed("add", "empty").code == 0
    refused(honed("search", "x"), 3, "Nothing is live yet", "hint: honed add")
    refused(honed("ask", "x"), 3, "Nothing is live yet")
    refused(honed("evaluate"), 2, "no labelled questions", "hint:")
    if find_spec("torch"):
        refused(honed("tune"), 2, "questions in dev", "hint:")
    refused(honed("export", "model", "out"), 2, "no release")
    refused(honed("promote", "r1"), 2, "no release 'r1'", "hint: releases are: none yet")
    refused(honed("report"), 3, "no finished run")
    assert honed("status", "--json").json["live"] is None


def test_dash_w_names_exactly_that_folder(honed: Honed, imported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert honed("-w", imported, "search", "flu", "--json").code == 0
    refused(honed("-w", imported / "no such folder", "status"), 2, "no such folder")
    (imported / "sub").mkdir()
    refused(honed("-w", imported / "sub", "status"), 2, "is no workspace")
    monkeypatch.chdir(imported / "sub")
    assert honed("status").code == 0


def test_wrong_arguments(honed: Honed, imported: Path) -> None:
    refused(honed("search", "   "), 2, "search text is empty")
    refused(honed("search", "flu", "-k", "0"), 2, "k must be at least 1")
    refused(honed("search", "flu", "--filter", "nothing"), 2, "KEY=VALUE")
    refused(honed("search", "flu", "--release", "r9"), 2, "no release 'r9'")
    refused(honed("evaluate", "--split", "all"), 2, "no split 'all'")
    refused(honed("evaluate", "--system", "magic"), 2, "no release 'magic'")
    refused(honed("tune", "--budget", "soon"), 2, "not a duration")
    refused(honed("tune", "--budget", "nan"), 2, "not a duration")
    refused(honed("compare", "bm25", "r7"), 2, "no release 'r7'")
    refused(honed("export", "rankings", "--split", "none", "x.trec"), 2, "no split")
    refused(honed("export", "rankings", "-k", "0", "x.trec"), 2, "k must be at least 1")
    refused(honed("add", "not-there"), 2, "not-there: No such file", "hint:")
    refused(honed("import", "not-there"), 2, "no corpus.jsonl", "hint:")
    refused(honed("label", "not-there.csv"), 2, "no file", "hint:")


def test_usage_errors_of_the_command_line_itself(honed: Honed, imported: Path) -> None:
    for arguments in (["serch", "x"], ["search"], ["search", "x", "-k", "many"], ["search", "x", "--no-such-option"]):
        result = honed(*arguments)
        assert result.code == 2
        assert "Traceback" not in result.err
        assert result.out == ""


def test_folders_and_files_where_the_other_is_meant(honed: Honed, imported: Path) -> None:
    (imported / "file").write_text("a file")
    refused(honed("init", "file"), 2, "is a file")
    refused(honed("init", "file/below"), 2, "file: File exists", "hint:")
    refused(honed("label", "runs"), 2, "no file")
    refused(honed("export", "model", "file"), 2, "exists already")
    (imported / "folder").mkdir()
    refused(honed("export", "rankings", "folder"), 2, "folder")
    refused(honed("import", "file"), 2, "no corpus.jsonl")


def test_an_exported_run_goes_into_a_pipe_without_replacing_it(honed: Honed, imported: Path) -> None:
    pipe = imported / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True)
    result = honed("export", "rankings", "--split", "dev", pipe)
    assert result.code == 0, result.err
    assert pipe.is_fifo()
    assert " Q0 " in reader.communicate(timeout=10)[0]


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("corpus.jsonl", b'{"_id": "a", "text": "x"}\n{broken\n', ("corpus.jsonl, line 2", "not valid JSON")),
        ("corpus.jsonl", b'{"_id": "a", "text": "caf\xe9"}\n', ("corpus.jsonl", "UTF-8")),
        ("corpus.jsonl", b'{"text": "x"}\n', ("line 1", "no 'id'")),
        ("corpus.jsonl", b'{"_id": "a", "text": "x"}\n{"_id": "a", "text": "y"}\n', ("'a' occurs twice",)),
        ("corpus.jsonl", b"[1, 2]\n", ("line 1", "expected an object")),
        ("queries.jsonl", b'{"_id": "q", "text": "x"}\n{"_id": "q", "text": "y"}\n', ("'q' occurs twice",)),
        ("queries.jsonl", b"\xff\xfe", ("queries.jsonl", "UTF-8")),
        ("qrels/dev.tsv", b"q\tflu/causes\tone\nq\tflu/causes\ttwo\n", ("dev.tsv, line 2", "hint:")),
        ("qrels/dev.tsv", b"query-id\tcorpus-id\tscore\nq\xe9\tx\t1\n", ("dev.tsv", "UTF-8")),
        ("answers.jsonl", b"nonsense\n", ("answers.jsonl, line 1",)),
    ],
)
def test_broken_packs(
    honed: Honed, workspace: Path, pack: Path, file: str, content: bytes, words: tuple[str, ...]
) -> None:
    if file == "queries.jsonl":
        (pack / "qrels/dev.tsv").write_text("query-id\tcorpus-id\tscore\nq\tflu/causes\t1\n")
    (pack / file).write_bytes(content)
    refused(honed("import", pack), 2, *words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("frage;quelle\na;b\n", ("columns", "hint:")),
        ("question,source\na,nowhere\n", ("No source in the label table", "hint:")),
        ("question,source,grade\na,flu/causes,high\n", ("line 2", "not a whole number")),
        ("", ("columns none", "hint:")),
        (b"question,source\ncaf\xe9?,flu/causes\n", ("UTF-8", "hint:")),
        ('question,source\n"' + "x" * 200_000 + '",flu/causes\n', ("labels.csv, line 1", "field", "hint:")),
    ],
)
def test_broken_label_tables(honed: Honed, imported: Path, content: str | bytes, words: tuple[str, ...]) -> None:
    table = imported / "labels.csv"
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(honed("label", table), 2, *words)


def test_wrong_settings(honed: Honed, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = workspace / "honed.toml"
    settings.write_text("pool = \n")
    refused(honed("add", "."), 2, "not valid TOML", "hint:")
    settings.write_text('pool = "many"\n')
    refused(honed("add", "."), 2, "pool", "honed.toml")
    settings.write_text("colour = 1\n")
    refused(honed("add", "."), 2, "no setting 'colour'", "hint: settings are:")
    settings.write_text(HASHED)
    monkeypatch.setenv("HONED_SEED", "x")
    refused(honed("add", "."), 2, "HONED_SEED")
    monkeypatch.delenv("HONED_SEED")
    monkeypatch.setenv("HONED_EMBEDDER", "magic:x")
    (workspace / "a.txt").write_text("Some text.")
    refused(honed("add", "a.txt"), 2, "magic", "hint:")
    monkeypatch.setenv("HONED_EMBEDDER", "package:no-such-model")
    refused(honed("add", "a.txt"), 3, "not installed", "hint: pip install")


def test_a_catalog_that_is_none(honed: Honed, imported: Path) -> None:
    (imported / ".honed/catalog.db").write_bytes(b"not a database at all" * 100)
    for name in ("catalog.db-wal", "catalog.db-shm"):
        (imported / ".honed" / name).unlink(missing_ok=True)
    refused(honed("search", "flu"), 3, "cannot be read as a catalog", "hint:")


def test_a_busy_workspace(honed: Honed, imported: Path) -> None:
    from honed.workspace import Workspace

    with ThreadPoolExecutor(1) as other, ExitStack() as lock:  # a thread that holds the lock may take it again
        other.submit(lock.enter_context, Workspace(imported).writing()).result()
        refused(honed("add", "."), 2, f"process {os.getpid()}", "hint: wait")
        assert honed("search", "flu").code == 0, "reading needs no lock"
        other.submit(lock.close).result()
    assert honed("compact").code == 0


def test_a_full_disk_is_no_defect(honed: Honed, imported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "run.trec")

    monkeypatch.setattr("honed.formats.write_trec", full)
    refused(honed("export", "rankings", "--split", "dev", "run.trec"), 2, "run.trec: No space left on device")


def test_text_that_is_no_unicode(honed: Honed, imported: Path) -> None:
    assert honed("search", os.fsdecode(b"fl\xfc treatment")).code == 0
    assert honed("search", "flu\x00 treatment").code == 0
    assert honed("ask", "文 🤒 \u202e flu?").code == 0


def test_a_damaged_release(honed: Honed, imported: Path) -> None:
    manifest = imported / ".honed/releases/r1/manifest.json"
    content = manifest.read_bytes()
    manifest.write_bytes(content + b" ")
    refused(honed("search", "flu"), 3, "not what was released", "hint:")
    manifest.unlink()
    refused(honed("promote", "r1"), 3, "missing", "hint:")
    manifest.write_bytes(content)
    assert honed("promote", "r1").code == 0


def start(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from honed.cli import main; main()", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_an_interrupt_says_how_to_go_on(workspace: Path) -> None:
    many = workspace / "many"
    many.mkdir()
    for number in range(3000):
        (many / f"{number}.txt").write_text(f"Text number {number}.")
    process = start(["add", "many"], workspace)
    lock = workspace / ".honed/lock"
    until = time.monotonic() + 60
    while not (lock.is_file() and lock.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "type the same command again" in errors
    assert "Traceback" not in errors


def test_a_reader_that_went_away_is_no_error(imported: Path) -> None:
    process = start(["search", "flu", "-k", "50", "--json"], imported)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0, errors
    assert errors == ""


def test_debug_shows_the_traceback(imported: Path) -> None:
    process = start(["--debug", "search", " "], imported)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" in errors


def test_stdout_is_only_data(honed: Honed, workspace: Path, pack: Path) -> None:
    pytest.importorskip("torch")
    for command in (["import", str(pack)], ["add", str(pack)], ["search", "flu"], ["status"], ["tune", "--dry-run"]):
        result = honed(*command, "--json")
        assert result.code == 0, result.err
        assert isinstance(json.loads(result.out), dict)
