"""Parse files that nobody vouches for: every file in its own confined process, with a coded rejection if it goes wrong."""

from __future__ import annotations

import importlib.util
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from honed.errors import ServiceError
from honed.ingest.codes import MACHINE, not_opened, rejection
from honed.ingest.confine import Protection
from honed.ingest.forkserver import SHORT_HINT, Ended, ForkServer
from honed.ingest.limits import MOST_DOCUMENTS, OCR_LIMITS, PARSE_LIMITS, Limits
from honed.ingest.parse import PARSERS, Job
from honed.ingest.sources import media_type
from honed.ingest.wire import MOST_PICTURES, Outcome, decode, frames
from honed.types import Parsed, Picture, Rejection

Outcomes = Iterator[tuple[Path, Outcome]]

_EXIT_MEMORY = 12
_SIGXCPU, _SIGKILL = -24, -9
_LEAST_PAGES = 20
"""A parse that ran out of time goes on in the next one if it got this far; one that did not is hostile."""

_LEAST_PICTURES = 8
"""The same for a parse that reads pictures."""

_BATCH_BYTES = 4 << 20
"""Pictures that share a fork are together at most this large: the time of one parse is enough for them."""


@dataclass(slots=True)
class _Visit:
    """A document that is being parsed, in one fork after the other.

    Attributes:
        document: Its descriptor.
        abandon: See `ForkServer.run`.
        parts: How often it was parsed for its text.
        seconds: Processor time that this took.
    """

    document: int
    abandon: int
    parts: int = 0
    seconds: float = 0.0


class Sandbox:
    """Parses files in confined processes, two at a time. Use it as a context manager; threads may share it.

    Args:
        limits: Bounds on one parse.
        ocr_limits: Bounds on one parse that recognises text in images.
        ocr: Recognise text; by default, if rapidocr is installed.
        required: Parse nothing where the system-call filter is not in force.
    """

    def __init__(
        self,
        limits: Limits = PARSE_LIMITS,
        *,
        ocr_limits: Limits = OCR_LIMITS,
        ocr: bool | None = None,
        required: bool = True,
    ) -> None:
        self.limits = limits
        self.required = required
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

    @property
    def used(self) -> Protection | None:
        """What was in force while files were parsed; None if none was."""
        return self._text.measured or self._images.measured

    def parse(self, path: Path) -> Outcome:
        """Read one file. Nothing that the file holds raises: whatever goes wrong with it is a rejection.

        Raises:
            ServiceError: The server process cannot be started, or a protection that is required is not in force.
        """
        return self._parse(path, -1)

    def parse_many(self, paths: Iterable[Path], *, workers: int = 2) -> Outcomes:
        """Each path with its outcome, in the order of the paths; up to `workers` files are parsed at the same time."""
        return _in_order(((path,) for path in paths), self._parse_each, workers)

    def parse_pictures(self, paths: Iterable[Path], *, workers: int = 2) -> Outcomes:
        """The same for many small pictures of one origin, without recognising text: neighbours share a process.

        That makes it several times as fast. A picture that takes over its process could falsify what comes after it in the
        batch, so this is for files that come together anyway. One that ends its process is parsed again alone.
        """
        return _in_order(_batches(paths), self._parse_together, workers)

    def _parse_each(self, paths: Sequence[Path], abandon: int) -> list[Outcome]:
        return [self._parse(path, abandon) for path in paths]

    def _parse(self, path: Path, abandon: int) -> Outcome:
        with ExitStack() as stack:
            opened = self._open(path, stack)
            if isinstance(opened, Rejection):
                return opened
            document, job = opened
            return self._parse_open(_Visit(document, abandon), job)

    def _parse_together(self, paths: Sequence[Path], abandon: int) -> list[Outcome]:
        with ExitStack() as stack:
            opened = [self._open(path, stack) for path in paths]
            taken = [file for file in opened if not isinstance(file, Rejection)]
            outcomes = iter(self._batch(taken, abandon))
            return [file if isinstance(file, Rejection) else next(outcomes) for file in opened]

    def _batch(self, opened: Sequence[tuple[int, Job]], abandon: int) -> Iterator[Outcome]:
        """Parse in one fork; after one that broke it off, which is parsed alone, in the next."""
        while opened:
            ended = self._run(self._text, opened, self.limits, abandon)
            whole = frames(ended.data)[: len(opened)]
            for frame in whole:
                yield _decoded(frame)
            if len(whole) < len(opened):
                document, job = opened[len(whole)]
                yield self._all_pages(self._text, _Visit(document, abandon), job, self.limits)
            opened = opened[len(whole) + 1 :]

    def _open(self, path: Path, stack: ExitStack) -> tuple[int, Job] | Rejection:
        """A descriptor, which the stack closes, and the job; or why the file is not parsed at all."""
        try:
            document = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            return not_opened(error)
        stack.callback(os.close, document)
        refused, kind = self._look_at(path, document)
        return refused or (document, Job(path.name, kind, seconds=self.limits.cpu_seconds * 0.6))

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
            return not_opened(error), ""
        if kind == "application/octet-stream":
            return rejection("binary"), kind
        if kind == "application/x-ole-storage" and _is_encrypted_office(document):
            return rejection("encrypted"), kind
        return (None, kind) if kind in PARSERS else (rejection("unsupported", kind), kind)

    def _parse_open(self, visit: _Visit, job: Job) -> Outcome:
        parsed = self._all_pages(self._text, visit, job, self.limits)
        if isinstance(parsed, Parsed) and parsed.meta.get("scanned_pages"):
            parsed = self._recognised(visit, job, parsed)
        if isinstance(parsed, Parsed) and parsed.meta.get("pictures"):
            parsed = self._with_figures(visit, job, parsed)
            if isinstance(parsed, Parsed) and not (parsed.blocks or parsed.media or parsed.meta.get("links")):
                return rejection("empty")
        return parsed

    def _recognised(self, visit: _Visit, job: Job, parsed: Parsed) -> Outcome:
        """The document with the text of its page images."""
        if not self.ocr:
            return parsed if parsed.blocks or parsed.media else rejection("ocr-missing")
        job = replace(job, ocr=True, seconds=self.ocr_limits.cpu_seconds * 0.6)
        recognised = self._all_pages(self._images, visit, job, self.ocr_limits)
        parsed = replace(parsed, meta={key: value for key, value in parsed.meta.items() if key != "scanned_pages"})
        if isinstance(recognised, Rejection):
            if recognised.code == MACHINE:
                return recognised
            if parsed.media and recognised.code == "no-text":
                return parsed
            content = parsed.blocks or parsed.media
            return replace(parsed, warnings=(*parsed.warnings, recognised.reason)) if content else recognised
        return replace(parsed, blocks=(*parsed.blocks, *recognised.blocks)) if parsed.media else recognised

    def _with_figures(self, visit: _Visit, job: Job, parsed: Parsed) -> Outcome:
        """The document with its pictures, read in forks of their own: no picture can cost a document its text.

        The first has the time that the text left over; whoever got far in one part gets the time for another.
        """
        pictures: list[Picture] = []
        links: list[Any] = []
        first, why = 0, ""
        seconds = min(self.limits.cpu_seconds, int(self.limits.cpu_seconds * max(1, visit.parts) - visit.seconds))
        while not why:
            outcome = self._figures(visit, job, first, seconds)
            if isinstance(outcome, Rejection):
                if outcome.code == MACHINE:
                    return outcome
                why = outcome.reason
                break
            pictures += outcome.media
            links += outcome.meta.get("links", ())
            following = outcome.meta.get("next_page")
            if not isinstance(following, int):
                break
            if len(pictures) >= MOST_PICTURES:
                why = f"there are more than {MOST_PICTURES}"
            elif len(outcome.media) < _LEAST_PICTURES and following < first + _LEAST_PAGES:
                why = "they take too long"
            first, seconds = following, self.limits.cpu_seconds
        meta = {key: value for key, value in parsed.meta.items() if key != "pictures"} | (
            {"links": links} if links else {}
        )
        warnings = (*parsed.warnings, f"Not all pictures were taken: {why}") if why else parsed.warnings
        return replace(parsed, meta=meta, media=tuple(pictures[:MOST_PICTURES]), warnings=warnings)

    def _figures(self, visit: _Visit, job: Job, first: int, seconds: int) -> Outcome:
        """The pictures of a document, from one number on, within some seconds."""
        if seconds < 1:
            return rejection("timeout")
        wall = self.limits.wall_seconds * seconds / self.limits.cpu_seconds
        limits = replace(self.limits, cpu_seconds=seconds, wall_seconds=wall)
        job = replace(job, figures=True, first_page=first, seconds=seconds * 0.6)
        return self._once(self._text, visit, job, limits)

    def _all_pages(self, server: ForkServer, visit: _Visit, job: Job, limits: Limits) -> Outcome:
        """Parse, and parse on from where a long document was left, until its end."""
        parts: list[Parsed] = []
        while True:
            outcome = self._once(server, visit, job, limits)
            if isinstance(outcome, Rejection):
                return outcome
            visit.parts += not job.ocr
            parts.append(outcome)
            next_page = outcome.meta.get("next_page")
            if not isinstance(next_page, int):
                return _joined(parts)
            if next_page < job.first_page + (1 if job.ocr else _LEAST_PAGES):
                return rejection("timeout")
            if next_page > limits.pages:
                return rejection("too-big", f"more than {limits.pages} pages")
            job = replace(job, first_page=next_page)

    def _once(self, server: ForkServer, visit: _Visit, job: Job, limits: Limits) -> Outcome:
        ended = self._run(server, [(visit.document, job)], limits, visit.abandon)
        visit.seconds += 0.0 if job.ocr else ended.cpu_seconds
        return _outcome(ended, limits)

    def _run(self, server: ForkServer, opened: Sequence[tuple[int, Job]], limits: Limits, abandon: int) -> Ended:
        """Run a fork, once more if the server died; `exit` is None if it did so again.

        Raises:
            ServiceError: See `parse`.
        """
        self._demand(server.protection())
        for _ in range(2):
            with ExitStack() as stack:
                try:
                    # Each child gets its own descriptions, so that no two share a file position.
                    own = [os.open(f"/proc/self/fd/{document}", os.O_RDONLY | os.O_CLOEXEC) for document, _ in opened]
                    for fd in own:
                        stack.callback(os.close, fd)
                    self.last = ended = server.run(own, [job for _, job in opened], limits, abandon=abandon)
                except OSError as error:
                    self.last = ended = Ended(failed=error.strerror or str(error))
            if ended.exit is not None or ended.data or ended.failed:
                break
        return ended

    def _demand(self, protection: Protection) -> None:
        if self.required and not protection.complete:
            raise ServiceError(
                f"Nothing was parsed, because a hostile file could do harm here: {protection}.",
                hint='allow seccomp filters in this container, or set sandbox = "optional" if you trust every file',
            )


def _in_order(
    groups: Iterable[Sequence[Path]], parse: Callable[[Sequence[Path], int], Sequence[Outcome]], workers: int
) -> Outcomes:
    """Parse groups of files in threads, up to `workers` at the same time; hand the outcomes over in order."""
    abandon, keep = os.pipe()
    pending: deque[tuple[Sequence[Path], Future[Sequence[Outcome]]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="honed-parse")
    try:
        for group in groups:
            try:
                pending.append((group, pool.submit(parse, group, abandon)))
            except RuntimeError as error:  # there can be no thread
                raise ServiceError(f"No more files can be read now: {error}.", hint=SHORT_HINT) from error
            if len(pending) > 2 * workers:
                first, future = pending.popleft()
                yield from zip(first, future.result(), strict=True)
        while pending:
            first, future = pending.popleft()
            yield from zip(first, future.result(), strict=True)
    finally:
        os.close(keep)  # whoever still parses for this call is told to give up
        pool.shutdown(wait=True, cancel_futures=True)
        os.close(abandon)


def _batches(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """Neighbours, as many as may share a fork."""
    batch: list[Path] = []
    size = 0
    for path in paths:
        try:
            weight = path.stat().st_size
        except OSError:
            weight = 0
        if batch and (len(batch) == MOST_DOCUMENTS or size + weight > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += weight
    if batch:
        yield batch


def _outcome(ended: Ended, limits: Limits) -> Outcome:
    slow = ended.killed or ended.exit == _SIGXCPU or ended.cpu_seconds > limits.cpu_seconds
    if not ended.begun or (ended.exit is None and not ended.data) or (ended.exit == _SIGKILL and not slow):
        return rejection(MACHINE, ended.failed or f"the parser's process was ended from outside, exit {ended.exit}")
    if len(ended.data) > limits.output_bytes:
        return rejection("output")
    if slow and ended.exit != 0:
        return rejection("timeout", f"{ended.cpu_seconds:.0f} s of processor time")
    if ended.exit == _EXIT_MEMORY:
        return rejection("memory")
    if ended.exit != 0:
        return rejection("memory" if ended.peak_bytes > 0.7 * limits.memory_bytes else "crash", f"exit {ended.exit}")
    return _decoded(ended.data)


def _decoded(frame: bytes) -> Outcome:
    try:
        return decode(frame)
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
