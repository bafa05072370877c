"""The program's side of the fork server: start it, send it a document, read what comes back, restart it when it died."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from honed.errors import ServiceError
from honed.ingest.confine import Protection
from honed.ingest.limits import Limits
from honed.ingest.parse import Job
from honed.ingest.wire import BEGUN

_START_SECONDS = 60
SHORT_HINT = (
    "nothing is lost: repeat the command when memory, processes and open files are free (ulimit -a shows the limits)"
)
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True, slots=True)
class Ended:
    """How one sandboxed parse ended.

    Attributes:
        data: What it wrote, not longer than the limit and one byte.
        begun: It was confined and took up the first document; if not, the document cannot be what ended it.
        failed: Why the server could not even start it, in the words of the system.
        exit: Exit status, or the negative number of the signal; None if the server itself died.
        killed: "timeout" if the server killed it.
        cpu_seconds: Processor time used.
        peak_bytes: Largest resident memory, shared libraries included.
    """

    data: bytes = field(default=b"", repr=False)
    begun: bool = False
    failed: str = ""
    exit: int | None = None
    killed: str = ""
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


class Abandoned(Exception):
    """Nobody waits for this parse any more."""


class ForkServer:
    """One warm server process. Any number of threads may call `run` at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._protection: Protection | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the server; None before the first use and after `close`."""
        return self._process.pid if self._process else None

    @property
    def measured(self) -> Protection | None:
        """What a child really gave up; None before the first use."""
        return self._protection

    def protection(self) -> Protection:
        """What a child of the server really gave up on this machine; starts the server."""
        with self._lock:
            self._alive()
            assert self._protection
            return self._protection

    def run(self, documents: Sequence[int], jobs: Sequence[Job], limits: Limits, *, abandon: int = -1) -> Ended:
        """Parse open files in one fork; the descriptors stay open. A dead server is replaced first.

        If this raises, whatever it raises, the server sees the pipes close and kills the fork.

        Args:
            documents: Descriptors of the files.
            jobs: What to do with each.
            limits: Bounds of the fork.
            abandon: Descriptor of a pipe; when its other end is closed, the parse is given up.

        Raises:
            Abandoned: By `abandon`.
            ServiceError: The server does not start.
        """
        result, result_end = os.pipe()
        status, status_end = os.pipe()
        try:
            request = {"jobs": [asdict(job) for job in jobs], "limits": asdict(limits)}
            try:
                self._send(request, [*documents, result_end, status_end])
            finally:
                os.close(result_end)
                os.close(status_end)
            written = _read(result, limits.output_bytes + 1 + len(BEGUN), abandon)
            data, begun = written.removeprefix(BEGUN), written.startswith(BEGUN)
            if len(data) > limits.output_bytes:
                return Ended(data, begun)
            report = _read(status, 1 << 16, abandon)
            return Ended(data, begun, **json.loads(report)) if report else Ended(data, begun)
        finally:
            os.close(result)
            os.close(status)

    def close(self) -> None:
        """End the server and all its children; harmless when there is none."""
        with self._lock:
            if self._control:
                self._control.close()
            if self._process:
                try:
                    self._process.wait(timeout=5)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
            self._control = self._process = None

    def _send(self, request: dict[str, Any], fds: list[int]) -> None:
        message = json.dumps(request).encode()
        with self._lock:
            for last_try in (False, True):
                control = self._alive()
                try:
                    socket.send_fds(control, [message], fds)
                    return
                except OSError as error:
                    if last_try:
                        raise ServiceError(f"The parser process does not take documents: {error}.") from error
                    self._bury()

    def _alive(self) -> socket.socket:
        if self._process and self._process.poll() is not None:
            self._bury()
        if not self._control:
            self._start()
        assert self._control
        return self._control

    def _bury(self) -> None:
        if self._control:
            self._control.close()
        if self._process:
            self._process.kill()
            self._process.wait()
        self._control = self._process = None

    def _start(self) -> None:
        try:
            self._launch()
        except OSError as error:
            raise ServiceError(f"The parser process cannot be started: {error.strerror}.", hint=SHORT_HINT) from error

    def _launch(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
            environment |= _ONE_THREAD | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "honed.ingest.sandbox_server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if os.environ.get("HONED_DEBUG_SANDBOX") else subprocess.DEVNULL,
                process_group=0,  # Ctrl-C reaches this program only, which then ends the server
            )
        self._control = ours
        ours.settimeout(_START_SECONDS)
        hello = b""
        with suppress(OSError):
            hello = ours.recv(1 << 16)
        if not hello:
            self._bury()
            raise ServiceError("The parser process did not start.", hint=SHORT_HINT)
        ours.settimeout(None)
        self._protection = Protection.from_dict(json.loads(hello)["protection"])


def _read(fd: int, limit: int, abandon: int) -> bytes:
    """Read to the end of a pipe, or until `limit` bytes are there."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if abandon >= 0:
        poll.register(abandon, 0)
    pieces: list[bytes] = []
    size = 0
    while size < limit:
        if any(ready == abandon for ready, _ in poll.poll()):
            raise Abandoned
        piece = os.read(fd, min(1 << 20, limit - size))
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)
