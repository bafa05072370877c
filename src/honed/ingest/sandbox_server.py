"""The warm fork server: parsers are imported once, every document gets a fork that gives up everything first.

Started by `sandbox` as `python -m honed.ingest.sandbox_server FD`, never forked from a process that has threads. It
reads requests from the socket FD (one packet each: JSON, with the documents, a pipe for the results and a pipe for the
exit status), and ends, with all its children, when the other side of the socket is closed.
"""

from __future__ import annotations

import gc
import io
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from honed.ingest.codes import Refused, rejection
from honed.ingest.confine import Protection, confine, leave_the_network
from honed.ingest.limits import MOST_DOCUMENTS, PARSE_LIMITS, Limits
from honed.ingest.parse import Job, read
from honed.ingest.wire import BEGUN, Outcome, encode
from honed.types import Parsed

_STARVED = 0.5
_STRETCH = 20
_FIRST = 3


@dataclass(slots=True)
class _Child:
    pid: int
    status: int
    limits: Limits
    started: float
    killed: str = ""


@dataclass(slots=True)
class _Server:
    control: socket.socket
    wake: int
    protection: Protection
    children: dict[int, _Child] = field(default_factory=dict)

    def serve(self) -> None:
        """Take requests until the other side is gone."""
        while self._take_events():
            self._reap()
            self._kill_the_late()

    def _take_events(self) -> bool:
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        for child in self.children.values():
            poll.register(child.status, 0)  # POLLERR: nobody waits for this result any more
        by_status = {child.status: child for child in self.children.values()}
        for fd, _ in poll.poll(20 if self.children else None):
            if fd == self.wake:
                os.read(self.wake, 4096)
            elif fd in by_status:
                _kill(by_status[fd], "cancelled")
            elif not self._take_request():
                return False
        return True

    def _take_request(self) -> bool:
        message, fds, _, _ = socket.recv_fds(self.control, 1 << 16, MOST_DOCUMENTS + 2)
        if not message or len(fds) < 3:
            return False
        request = json.loads(message)
        limits, jobs = Limits(**request["limits"]), [Job(**job) for job in request["jobs"]]
        *documents, result, status = fds
        if len(documents) != len(jobs):
            return False
        try:
            readable = sorted({file for job in jobs for file in _warm(job)})
            pid = os.fork()
        except (OSError, MemoryError) as error:
            _report(status, {"failed": str(error) or "out of memory"})
            for fd in (*documents, result):
                os.close(fd)
            return True
        if not pid:
            _child(jobs, limits, documents=documents, result=result, readable=readable, expected=self.protection)
        for fd in (*documents, result):
            os.close(fd)
        self.children[pid] = _Child(pid, status, limits, time.monotonic())
        return True

    def _reap(self) -> None:
        while self.children:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if not pid:
                return
            child = self.children.pop(pid)
            report = {
                "exit": os.waitstatus_to_exitcode(status),
                "killed": child.killed,
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "peak_bytes": usage.ru_maxrss * 1024,
            }
            _report(child.status, report)

    def _kill_the_late(self) -> None:
        for child in self.children.values():
            elapsed = time.monotonic() - child.started
            limit = child.limits.wall_seconds
            starved = elapsed < _STRETCH * limit and _cpu_seconds(child.pid) < _STARVED * elapsed
            if elapsed > limit and not starved:
                _kill(child, "timeout")

    def end(self) -> None:
        """Kill and bury every child."""
        for child in self.children.values():
            _kill(child, "cancelled")
        for pid in self.children:
            os.waitpid(pid, 0)


def _kill(child: _Child, why: str) -> None:
    child.killed = child.killed or why
    with suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)


def _cpu_seconds(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return float("inf")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _report(status: int, report: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):
        os.write(status, json.dumps(report).encode())
    os.close(status)


def _warm(job: Job) -> tuple[Path, ...]:
    """Import the reader before the fork, once for all documents; the files that it opens by their path."""
    from honed.ingest.parse.preloading import prepare

    readable: tuple[Path, ...] = ()
    with suppress(Refused, ImportError):
        readable = prepare(job)
        gc.freeze()
    return readable


def _measured(*, private_network: bool) -> Protection:
    """What a child can really give up here: a child confines itself, reports what is in force, and ends.

    Raises:
        OSError: There can be no child.
        ValueError: The child ended before it reported: the limits of this machine are too low to parse anything.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            protection = confine(PARSE_LIMITS, server=os.getppid(), private_network=private_network)
            os.write(writing, json.dumps(protection.as_dict()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123
        reply = pipe.read()
    os.waitpid(pid, 0)
    return Protection.from_dict(json.loads(reply))


def _child(
    jobs: Sequence[Job],
    limits: Limits,
    *,
    documents: Sequence[int],
    result: int,
    readable: Sequence[Path],
    expected: Protection,
) -> None:
    """Confine this process, say so, parse, write one result after the other, exit; never returns."""
    try:
        signal.set_wakeup_fd(-1)
        *documents, result = _keep_only([*documents, result])
        protection = confine(limits, server=os.getppid(), readable=readable)
        if (protection.seccomp, protection.landlock_abi) != (expected.seccomp, expected.landlock_abi):
            os._exit(1)
        with open(result, "wb") as sink:  # noqa: PTH123
            sink.write(BEGUN)
            sink.flush()
            for document, job in zip(documents, jobs, strict=True):
                with open(document, "rb") as source:  # noqa: PTH123
                    sink.write(_outcome(job, source, limits))
                sink.flush()
    except MemoryError:
        os._exit(_EXIT_MEMORY)
    except BaseException:
        os._exit(1)
    os._exit(0)


_EXIT_MEMORY = 12


def _outcome(job: Job, source: io.BufferedReader, limits: Limits) -> bytes:
    outcome: Outcome
    try:
        outcome = read(source, job)
        if isinstance(outcome, Parsed) and len(outcome.blocks) > limits.blocks:
            outcome = rejection("output", f"{len(outcome.blocks)} blocks")
    except Refused as refused:
        outcome = rejection(refused.code, refused.detail)
    except MemoryError:
        outcome = rejection("memory")
    except RecursionError:
        outcome = rejection("nesting")
    except Exception as error:  # a parser may raise anything: to the user it is all one thing
        outcome = rejection("corrupt", f"{type(error).__name__}: {error}")
    data = encode(outcome)
    return data if len(data) <= limits.output_bytes else encode(rejection("output"))


def _keep_only(fds: Sequence[int]) -> list[int]:
    """Close every descriptor but these: the others lead to the server and to other documents."""
    import fcntl

    above = _FIRST + len(fds)
    for place, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD, above) for fd in fds], _FIRST):
        os.dup2(fd, place, inheritable=False)
    os.closerange(above, os.sysconf("SC_OPEN_MAX"))
    return list(range(_FIRST, above))


def _wake_on_child_exit() -> int:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reading


def main(arguments: list[str]) -> None:
    """Run the server on the socket whose descriptor is the only argument."""
    control = socket.socket(fileno=int(arguments[0]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that started this one
    protection = _measured(private_network=leave_the_network())
    hello: dict[str, Any] = {"pid": os.getpid(), "protection": protection.as_dict()}
    control.send(json.dumps(hello).encode())
    server = _Server(control, _wake_on_child_exit(), protection)
    try:
        server.serve()
    finally:
        server.end()


if __name__ == "__main__":
    main(sys.argv[1:])
