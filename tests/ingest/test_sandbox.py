from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from honed.ingest import sandbox as sandbox_module
from honed.ingest.codes import MACHINE
from honed.ingest.forkserver import Ended, ForkServer
from honed.ingest.limits import Limits
from honed.ingest.parse import Job
from honed.ingest.sandbox import Sandbox
from honed.types import Parsed, Rejection
from tests.ingest.shortage import no_more_files


def write(folder: Path, name: str, text: str = "Some honest text to read.") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until(true: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_file_is_read(sandbox: Sandbox, tmp_path: Path) -> None:
    outcome = sandbox.parse(write(tmp_path, "a.md", "# Title\n\nBody."))
    assert isinstance(outcome, Parsed)
    assert (outcome.title, outcome.blocks[0].text, outcome.blocks[0].headings) == ("Title", "Body.", ("Title",))


def test_what_cannot_be_read_is_a_rejection(sandbox: Sandbox, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    outcomes = [sandbox.parse(tmp_path / name) for name in ("missing.txt", "pipe", ".")]
    assert [outcome.code for outcome in outcomes if isinstance(outcome, Rejection)] == ["unreadable"] * 3


def test_the_order_is_kept_and_every_path_has_its_own_outcome(sandbox: Sandbox, tmp_path: Path) -> None:
    paths = [write(tmp_path, f"{number:02}.txt", f"This is text {number}.") for number in range(30)]
    paths.insert(7, tmp_path / "missing.txt")
    outcomes = list(sandbox.parse_many(paths))
    assert [path for path, _ in outcomes] == paths
    for path, outcome in outcomes:
        expected = f"This is text {int(path.stem)}." if path.exists() else ""
        assert expected == (outcome.blocks[0].text if isinstance(outcome, Parsed) else "")


def test_threads_may_share_a_sandbox(sandbox: Sandbox, tmp_path: Path) -> None:
    paths = [write(tmp_path, f"{number}.txt", f"This is text {number}.") for number in range(8)]
    found: dict[Path, object] = {}

    def work(path: Path) -> None:
        found[path] = sandbox.parse(path)

    threads = [threading.Thread(target=work, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(
        isinstance(outcome, Parsed) and outcome.blocks[0].text.endswith(f"{path.stem}.")
        for path, outcome in found.items()
    )


def test_a_dead_server_is_replaced(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt")
    with Sandbox(ocr=False) as sandbox:
        assert isinstance(sandbox.parse(path), Parsed)
        first = sandbox._text.pid
        assert first
        os.kill(first, signal.SIGKILL)
        assert isinstance(sandbox.parse(path), Parsed)
        assert sandbox._text.pid != first


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with Sandbox(ocr=False) as sandbox:
        sandbox.parse(write(tmp_path, "a.txt"))
        pid = sandbox._text.pid
        assert pid and alive(pid)
    assert not alive(pid)


def test_a_generator_that_is_given_up_ends_its_work(tmp_path: Path) -> None:
    paths = [write(tmp_path, f"{number}.txt") for number in range(20)]
    with Sandbox(ocr=False) as sandbox:
        results = sandbox.parse_many(paths)
        next(results)
        results.close()  # type: ignore[attr-defined]
        pid = sandbox._text.pid
        assert pid
        wait_until(lambda: not children(pid))


def test_the_server_dies_with_its_program(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from honed.ingest.sandbox import Sandbox\n"
        "sandbox = Sandbox(ocr=False); sandbox.parse(Path(sys.argv[1])); print(sandbox._text.pid, flush=True); time.sleep(60)"
    )
    arguments = [sys.executable, "-c", program, str(write(tmp_path, "a.txt"))]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        server = int(process.stdout.readline())
        process.kill()
    wait_until(lambda: not alive(server))


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    slow = write(tmp_path, "slow.md", "**a *b _c " * 60_000)
    program = (
        "import sys; from pathlib import Path; from honed.ingest.sandbox import Sandbox\n"
        "with Sandbox(ocr=False) as sandbox:\n"
        "    sandbox.protection; print(sandbox._text.pid, flush=True); list(sandbox.parse_many([Path(sys.argv[1])] * 4))"
    )
    arguments = [sys.executable, "-c", program, str(slow)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        server = int(process.stdout.readline())
        wait_until(lambda: children(server))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) != 0
    wait_until(lambda: not alive(server))


def test_a_parse_is_ended_by_processor_time(tmp_path: Path) -> None:
    slow = write(tmp_path, "slow.md", "**a *b _c " * 300_000)
    with Sandbox(Limits(cpu_seconds=1), ocr=False) as sandbox:
        outcome = sandbox.parse(slow)
        assert isinstance(outcome, Rejection) and outcome.code == "timeout"
        assert sandbox.last and sandbox.last.cpu_seconds < 2.5


def test_a_parse_is_ended_by_memory(tmp_path: Path) -> None:
    large = write(tmp_path, "large.txt", "word " * 8_000_000)
    with Sandbox(Limits(memory_bytes=64 << 20), ocr=False) as sandbox:
        outcome = sandbox.parse(large)
    assert isinstance(outcome, Rejection) and outcome.code == "memory"


@pytest.mark.parametrize("limits", [Limits(output_bytes=1000), Limits(blocks=10)])
def test_a_result_may_be_only_so_long(limits: Limits, tmp_path: Path) -> None:
    path = write(tmp_path, "long.txt", "some words\n\n" * 200)
    with Sandbox(limits, ocr=False) as sandbox:
        outcome = sandbox.parse(path)
    assert isinstance(outcome, Rejection) and outcome.code == "output"


def test_a_file_may_be_only_so_large(tmp_path: Path) -> None:
    with Sandbox(Limits(file_bytes=10), ocr=False) as sandbox:
        outcome = sandbox.parse(write(tmp_path, "a.txt"))
    assert isinstance(outcome, Rejection) and outcome.code == "too-big"


def test_an_abandoned_parse_is_ended_at_once(tmp_path: Path) -> None:
    class Abandoned(Exception):
        pass

    def abandon(*_: object) -> None:
        raise Abandoned

    server = ForkServer()
    document = os.open(write(tmp_path, "slow.md", "**a *b _c " * 300_000), os.O_RDONLY)
    pid = server.protection() and server.pid
    assert pid
    before = signal.signal(signal.SIGUSR1, abandon)
    watcher = threading.Thread(target=lambda: (wait_until(lambda: children(pid)), os.kill(os.getpid(), signal.SIGUSR1)))
    try:
        watcher.start()
        with pytest.raises(Abandoned):
            server.run([document], [Job("slow.md", "text/markdown")], Limits(cpu_seconds=60, wall_seconds=60))
        wait_until(lambda: not children(pid))
        assert server.pid == pid
    finally:
        watcher.join()
        signal.signal(signal.SIGUSR1, before)
        os.close(document)
        server.close()


def test_a_parse_that_is_killed_from_outside_says_nothing_of_the_file(tmp_path: Path) -> None:
    slow = write(tmp_path, "slow.md", "**a *b _c " * 300_000)
    with Sandbox(Limits(cpu_seconds=60, wall_seconds=60), ocr=False) as sandbox:
        pid = sandbox.protection and sandbox._text.pid
        assert pid

        def kill_the_parser() -> None:
            wait_until(lambda: children(pid))
            os.kill(children(pid)[0], signal.SIGKILL)

        killer = threading.Thread(target=kill_the_parser)
        killer.start()
        outcome = sandbox.parse(slow)
        killer.join()
    assert isinstance(outcome, Rejection) and outcome.code == MACHINE


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (Ended(failed="Resource temporarily unavailable"), MACHINE),
        (Ended(exit=1), MACHINE),
        (Ended(exit=12), MACHINE),
        (Ended(begun=False, killed="timeout", exit=-9), MACHINE),
        (Ended(), MACHINE),
        (Ended(begun=True), MACHINE),
        (Ended(begun=True, exit=-9), MACHINE),
        (Ended(begun=True, killed="timeout", exit=-9), "timeout"),
        (Ended(begun=True, exit=-9, cpu_seconds=5.0), "timeout"),
        (Ended(begun=True, exit=-11), "crash"),
        (Ended(begun=True, exit=12), "memory"),
    ],
)
def test_only_what_happened_after_a_document_was_taken_up_is_its_fault(ended: Ended, code: str) -> None:
    outcome = sandbox_module._outcome(ended, Limits())
    assert isinstance(outcome, Rejection) and outcome.code == code


def test_a_program_without_a_free_descriptor_blames_itself(sandbox: Sandbox, tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt")
    assert isinstance(sandbox.parse(path), Parsed)
    with no_more_files():
        outcome = sandbox.parse(path)
    assert isinstance(outcome, Rejection) and outcome.code == MACHINE
    assert isinstance(sandbox.parse(path), Parsed)
