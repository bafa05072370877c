"""Parse files that nobody vouches for: every file in its own confined process, with a coded rejection if it goes wrong."""

from __future__ import annotations

import importlib.util
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from honed.ingest.codes import rejection
from honed.ingest.confine import Protection
from honed.ingest.forkserver import Ended, ForkServer
from honed.ingest.limits import OCR_LIMITS, PARSE_LIMITS, Limits
from honed.ingest.parse import PARSERS, Job
from honed.ingest.sources import media_type
from honed.ingest.wire import decode
from honed.types import Parsed, Rejection

_EXIT_MEMORY = 12
_SIGXCPU = -24
_LEAST_PAGES = 20
"""A parse that ran out of time goes on in the next one if it got this far; one that did not is hostile."""


class Sandbox:
    """Parses files in confined processes, two at a time. Use it as a context manager; threads may share it.

    Args:
        limits: Bounds on one parse.
        ocr_limits: Bounds on one parse that recognises text in images.
        ocr: Recognise text; by default, if rapidocr is installed.
    """

    def __init__(
        self, limits: Limits = PARSE_LIMITS, *, ocr_limits: Limits = OCR_LIMITS, ocr: bool | None = None
    ) -> None:
        self.limits = limits
        self.ocr_limits = ocr_limits
        self.ocr = importlib.util.find_spec("rapidocr") is not None if ocr is None else ocr
        self.last: Ended | None = None
        """How the latest parse ended: processor time and peak memory, for benchmarks."""
        self._text, self._images = ForkServer(), ForkServer()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server processes and whatever they are parsing."""
        self._text.close()
        self._images.close()

    @property
    def protection(self) -> Protection:
        """What is in force on this machine: Landlock, seccomp, network. Starts the server."""
        return self._text.protection()

    def parse(self, path: Path) -> Parsed | Rejection:
        """Read one file. Nothing that the file holds raises: whatever goes wrong with it is a rejection.

        Raises:
            ServiceError: The server process cannot be started on this machine.
        """
        return self._parse(path, abandon=-1)

    def _parse(self, path: Path, *, abandon: int) -> Parsed | Rejection:
        try:
            document = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            return rejection("unreadable", error.strerror or str(error))
        try:
            refused, kind = self._look_at(path, document)
            if refused:
                return refused
            job = Job(path.name, kind, seconds=self.limits.cpu_seconds * 0.6)
            return self._parse_open(document, job, abandon)
        finally:
            os.close(document)

    def parse_many(self, paths: Iterable[Path], *, workers: int = 2) -> Iterator[tuple[Path, Parsed | Rejection]]:
        """Each path with its outcome, in the order of the paths; up to `workers` files are parsed at the same time."""
        abandon, keep = os.pipe()
        pending: deque[tuple[Path, Future[Parsed | Rejection]]] = deque()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="honed-parse")
        try:
            for path in paths:
                pending.append((path, pool.submit(self._parse, path, abandon=abandon)))
                if len(pending) > 2 * workers:
                    first, outcome = pending.popleft()
                    yield first, outcome.result()
            while pending:
                first, outcome = pending.popleft()
                yield first, outcome.result()
        finally:
            os.close(keep)  # whoever still parses for this call is told to give up
            pool.shutdown(wait=True, cancel_futures=True)
            os.close(abandon)

    def _look_at(self, path: Path, document: int) -> tuple[Rejection | None, str]:
        facts = os.fstat(document)
        if not stat.S_ISREG(facts.st_mode):
            return rejection("unreadable", "not a regular file"), ""
        if facts.st_size > self.limits.file_bytes:
            return rejection("too-big", f"{facts.st_size >> 20} MB of {self.limits.file_bytes >> 20} MB"), ""
        if not facts.st_size:
            return rejection("empty", "0 bytes"), ""
        try:
            kind = media_type(path)
        except OSError as error:
            return rejection("unreadable", error.strerror or str(error)), ""
        if kind == "application/octet-stream":
            return rejection("binary"), kind
        if kind == "application/x-ole-storage" and _is_encrypted_office(document):
            return rejection("encrypted"), kind
        return (None, kind) if kind in PARSERS else (rejection("unsupported", kind), kind)

    def _parse_open(self, document: int, job: Job, abandon: int) -> Parsed | Rejection:
        parsed = self._all_pages(self._text, document, job, self.limits, abandon)
        if isinstance(parsed, Rejection) or not parsed.meta.get("scanned_pages"):
            return parsed
        if not self.ocr:
            return parsed if parsed.blocks else rejection("ocr-missing")
        job = replace(job, ocr=True, seconds=self.ocr_limits.cpu_seconds * 0.6)
        recognised = self._all_pages(self._images, document, job, self.ocr_limits, abandon)
        if isinstance(recognised, Rejection):
            return replace(parsed, warnings=(*parsed.warnings, recognised.reason)) if parsed.blocks else recognised
        return recognised

    def _all_pages(
        self, server: ForkServer, document: int, job: Job, limits: Limits, abandon: int
    ) -> Parsed | Rejection:
        """Parse, and parse on from where a long document was left, until its end."""
        parts: list[Parsed] = []
        while True:
            outcome = self._once(server, document, job, limits, abandon)
            if isinstance(outcome, Rejection):
                return outcome
            parts.append(outcome)
            next_page = outcome.meta.get("next_page")
            if not isinstance(next_page, int):
                return _joined(parts)
            if next_page < job.first_page + (1 if job.ocr else _LEAST_PAGES):
                return rejection("timeout")
            if next_page > limits.pages:
                return rejection("too-big", f"more than {limits.pages} pages")
            job = replace(job, first_page=next_page)

    def _once(self, server: ForkServer, document: int, job: Job, limits: Limits, abandon: int) -> Parsed | Rejection:
        for _ in range(2):
            # Each child gets its own description, so that no two share a file position.
            own = os.open(f"/proc/self/fd/{document}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                self.last = ended = server.run(own, job, limits, abandon=abandon)
            finally:
                os.close(own)
            if ended.exit is not None or ended.data:
                return _outcome(ended, limits)
        return rejection("crash", "the parser process died twice")


def _outcome(ended: Ended, limits: Limits) -> Parsed | Rejection:
    if len(ended.data) > limits.output_bytes:
        return rejection("output")
    if ended.killed or ended.exit == _SIGXCPU:
        return rejection("timeout", f"{ended.cpu_seconds:.0f} s of processor time")
    if ended.exit == _EXIT_MEMORY:
        return rejection("memory")
    if ended.exit != 0:
        return rejection("memory" if ended.peak_bytes > 0.7 * limits.memory_bytes else "crash", f"exit {ended.exit}")
    try:
        return decode(ended.data)
    except ValueError as error:
        return rejection("crash", str(error))


def _joined(parts: list[Parsed]) -> Parsed:
    if len(parts) == 1:
        return parts[0]
    meta: dict[str, Any] = {key: value for part in parts for key, value in part.meta.items() if key != "next_page"}
    scanned = [page for part in parts for page in part.meta.get("scanned_pages", ())]
    if scanned:
        meta["scanned_pages"] = scanned
    warnings = dict.fromkeys(warning for part in parts for warning in part.warnings)
    blocks = tuple(block for part in parts for block in part.blocks)
    return replace(parts[0], blocks=blocks, meta=meta, warnings=tuple(warnings))


def _is_encrypted_office(document: int) -> bool:
    """An OLE container with a stream "EncryptedPackage" is a DOCX, PPTX or XLSX with a password."""
    name = "EncryptedPackage".encode("utf-16-le")
    end = max(0, os.fstat(document).st_size - (1 << 20))
    return name in os.pread(document, 1 << 20, 0) or name in os.pread(document, 1 << 20, end)
