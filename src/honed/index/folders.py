"""How a derived index lives on disk: immutable folders beside each other, a pointer, a lock, leases.

    PLACE/
      CURRENT            name of the folder that is searched, replaced atomically
      lock               held while the next one is built
      SEQ-N/             SEQ: the catalog's change number, N: rises with every build
        ...
        manifest.json    written last: what it was built from, sha256 and size of each file

Whoever opens a folder holds a shared lock on its manifest, so that pruning leaves it alone. A kill at any moment leaves the
old folder or the new one; half-built ones carry the prefix `.building-` and are swept by the next build, which alone holds
the lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

from honed.errors import BusyError, InputError, IntegrityError
from honed.workspace import fsync_folder, fsync_tree, read_json, sha256_file, write_atomic

CURRENT = "CURRENT"
MANIFEST = "manifest.json"
BUILDING = ".building-"

KEEP = 2
"""Folders that stay: the current one and the one before, for readers that are about to open it."""

LOCK_SECONDS = 600.0

Verify = Literal["sizes", "hashes"]

Progress = Callable[[str], None]
"""Told each step of a build as it begins."""

_log = logging.getLogger(__name__)
_NAME = re.compile(r"\d+-\d+")


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size and hash of one file."""

    size: int
    sha256: str


class Opened(Protocol):
    """An index that is open for reading."""

    @property
    def folder(self) -> Path:
        """The folder of its files."""


OpenIndex = TypeVar("OpenIndex", bound=Opened)


class Listed(Protocol):
    """A manifest, as far as its files go."""

    @property
    def files(self) -> Mapping[str, FileRecord]:
        """Path below the folder -> size and hash."""


def place(root: Path, name: str) -> Path:
    """The folder below `root` for one space or key: 12 characters of a fingerprint, or of a name's hash if it is none."""
    digest = name if re.fullmatch(r"[0-9a-f]{12,}", name) else hashlib.sha256(name.encode()).hexdigest()
    return root / digest[:12]


def generation_folders(folder: Path) -> list[Path]:
    """The folders of a place, oldest build first."""
    folders = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(folders, key=lambda path: int(path.name.partition("-")[2]))


# -- reading ---------------------------------------------------------------------------------------------------------


def _leased_current(folder: Path) -> tuple[Path, int] | None:
    """The folder that CURRENT names and a descriptor that keeps it; None, with the reason in the log, if there is none."""
    for _ in range(10):  # The pointer may move and the old folder be pruned between two lines of this loop.
        try:
            name = (folder / CURRENT).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            refuse(folder / CURRENT, str(error))
            return None
        if not _NAME.fullmatch(name):
            refuse(folder / CURRENT, f"names {name!r}")
            return None
        lease = _lease(folder / name)
        if lease is not None:
            return folder / name, lease
    refuse(folder / name, "its manifest is missing")
    return None


def faults(folder: Path, manifest: Listed, verify: Verify) -> list[str]:
    """What is wrong with the files of a folder, in words; empty when nothing is."""
    wrong = []
    for name, record in manifest.files.items():
        path = folder / name
        try:
            size = path.stat().st_size
        except OSError:
            wrong.append(f"{name} is missing")
            continue
        if size != record.size:
            wrong.append(f"{name} has {size} bytes, not {record.size}")
        elif verify == "hashes" and sha256_file(path) != record.sha256:
            wrong.append(f"{name} does not match its hash")
    return wrong


class Flawed(Exception):
    """Files of a folder are not what its manifest says, or belong to something else."""


def open_current(place: Path, read: Callable[[Path], OpenIndex]) -> OpenIndex | None:
    """What `read` makes of the folder that CURRENT names, kept while it lives; None, with the reason in the log, if it fails.

    Args:
        place: Where the folders of one index lie.
        read: Opens the files of a folder; raises `Flawed` for what must not be used.
    """
    leased = _leased_current(place)
    if leased is None:
        return None
    folder, lease = leased
    content = None
    try:
        content = read(folder)
        weakref.finalize(content, os.close, lease)
        return content
    except Flawed as flaw:
        refuse(folder, str(flaw))
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, InputError) as error:
        refuse(folder, f"{type(error).__name__}: {error}")
        return None
    finally:
        if content is None:
            os.close(lease)


def refuse(path: Path, reason: str) -> None:
    """Say in the log why something is not used."""
    _log.warning("The index %s is not used and will be rebuilt: %s", path, reason)


def _lease(folder: Path) -> int | None:
    """A descriptor that holds a shared lock on a folder; None when it is gone or is being removed."""
    try:
        fd = os.open(folder / MANIFEST, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if os.fstat(fd).st_ino == (folder / MANIFEST).stat().st_ino:
            return fd
    except OSError:
        pass
    os.close(fd)
    return None


# -- building --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Builder(Generic[OpenIndex]):
    """Operations on one kind of index that `renewed` needs to keep it up to date."""

    folder: Path
    """The folder that holds the index's folders and CURRENT."""

    open: Callable[[], OpenIndex | None]
    """The index that CURRENT names, if it is whole."""

    is_fresh: Callable[[OpenIndex], bool]
    """Whether it holds the catalog as it is now."""

    write: Callable[[Path, OpenIndex | None, Progress], None]
    """Writes all files of the next one into a folder, the manifest last, given the present one."""


def renewed(builder: Builder[OpenIndex], *, rebuild: bool = False, on_progress: Progress | None = None) -> OpenIndex:
    """The index that holds the catalog as it is now; built if need be.

    Args:
        builder: The kind of index.
        rebuild: Build from nothing and keep no older folder, so that nothing deleted stays in a file.
        on_progress: Called with the name of each step as it begins; not at all when there is nothing to do.

    Raises:
        BusyError: Another process has been building this index for ten minutes.
        IntegrityError: What was written cannot be read back.
    """
    if not rebuild:
        current = builder.open()
        if current is not None and builder.is_fresh(current):
            return current
    with _building(builder.folder):
        current = builder.open()  # Another process may have built it while this one waited.
        if current is not None and not rebuild and builder.is_fresh(current):
            return current
        _sweep(builder.folder)
        tell = on_progress or (lambda step: None)
        tell("read")
        with _scratch(builder.folder) as scratch:
            builder.write(scratch, current, tell)
            _publish(builder.folder, scratch, tell)
        del current  # Its lock would keep it from being pruned.
        fresh = builder.open()
        if fresh is None:
            raise IntegrityError(
                f"The index in {builder.folder} was written but cannot be opened.", hint="honed doctor"
            )
        tell("prune")
        _prune(builder.folder, fresh.folder, keep=1 if rebuild else KEEP)
        return fresh


@contextmanager
def _building(folder: Path) -> Iterator[None]:
    """Hold the lock of those who build; waits for another process that does.

    Raises:
        BusyError: It has been building for ten minutes.
    """
    until = time.monotonic() + LOCK_SECONDS
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise BusyError(f"Another process is building {folder}.", hint="wait until it ends") from None
                time.sleep(0.05)
        yield


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder to build in, on the file system of the finished ones; gone again if the block fails."""
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=BUILDING))
    scratch.chmod(0o755)
    try:
        yield scratch
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _sweep(folder: Path) -> None:
    """Remove what a killed build left."""
    for path in folder.glob(f"{BUILDING}*"):
        shutil.rmtree(path)
    for path in folder.glob(f".{CURRENT}.*.tmp"):
        path.unlink()


def records(scratch: Path, cloned: tuple[Path, Mapping[str, FileRecord]] | None = None) -> dict[str, FileRecord]:
    """Size and hash of every file. One that is a link to a file of `cloned` (folder, its files) keeps its verified hash."""
    folder, verified = cloned or (scratch, {})
    files = {}
    for path in sorted(path for path in scratch.rglob("*") if path.is_file()):
        name = str(path.relative_to(scratch))
        shared = name in verified and path.samefile(folder / name)
        files[name] = verified[name] if shared else FileRecord(path.stat().st_size, sha256_file(path))
    return files


def _publish(folder: Path, scratch: Path, tell: Progress) -> None:
    """Make a complete folder durable, give it its name, and point at it."""
    tell("sync")
    fsync_tree(scratch)
    tell("rename")
    built = generation_folders(folder)
    number = int(built[-1].name.partition("-")[2]) + 1 if built else 1
    name = f"{read_json(scratch / MANIFEST)['seq']}-{number}"
    scratch.rename(folder / name)
    fsync_folder(folder)
    tell("publish")
    write_atomic(folder / CURRENT, f"{name}\n".encode("ascii"))


def _prune(folder: Path, current: Path, *, keep: int) -> None:
    """Remove all but the newest folders, leaving those that a reader holds."""
    others = [path for path in generation_folders(folder) if path.name != current.name]
    for path in others[: max(0, len(others) - (keep - 1))]:
        with _removable(path) as free:
            if free:
                trash = folder / f"{BUILDING}{path.name}"
                path.rename(trash)  # One step for a reader: there, or not there.
                shutil.rmtree(trash)


@contextmanager
def _removable(folder: Path) -> Iterator[bool]:
    """Whether no reader holds a folder; none can take it while the block runs."""
    try:
        fd = os.open(folder / MANIFEST, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield True  # Without a manifest nobody can open it.
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = True
    except OSError:
        free = False
    try:
        yield free
    finally:
        os.close(fd)
