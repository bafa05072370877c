"""Where things live on disk, and how bytes get there: temporary file, fsync, rename, fsync of the folder.

honed.toml                 settings; its presence makes a folder a workspace
.honed/
  catalog.db               the truth (SQLite, WAL)
  lock                     held by the one writer
  tune.lock                held by the one run that learns
  blobs/ab/abcd...         original files, named by sha256
  index/SPACE/SEQ-N/       derived: dense and lexical index
  cache/                   derived: ONNX graphs, the probe's choice of runtime
  releases/rN/             immutable: models, settings, lineage, manifest.json written last
runs/ID/                   what one run left: plan, checkpoints, comparison.json, report.html
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread, current_thread
from typing import IO, Any

from honed.errors import BusyError, InputError, UsageError

SETTINGS_FILE = "honed.toml"
STATE_FOLDER = ".honed"
TUNE_LOCK = "tune.lock"


def fsync_folder(folder: Path) -> None:
    """Make the names inside a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durable: the name of a new folder is lost with the power like that of a new file."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        fsync_folder(folder.parent)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that after a crash it is either the old one or the new one, never a part."""
    make_folder(path.parent)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, keys as given, readable by a person; numbers that are not finite become null."""
    write_atomic(path, (json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def finite(value: Any) -> Any:
    """The same with None for NaN and infinities, which JSON has no word for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def read_json(path: Path) -> Any:
    """Read a JSON file that this program wrote."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except ValueError as error:
        raise InputError(
            f"{path} is not valid JSON: {error}", hint="delete it if it is derived; `honed doctor` says"
        ) from error


def sha256_file(path: Path) -> str:
    """Hash of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_hashes(folder: Path) -> dict[str, str]:
    """Relative path -> sha256 of every file below a folder, in a fixed order."""
    return {
        str(path.relative_to(folder)): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".tmp")
    }


def fsync_tree(folder: Path) -> None:
    """Make every file and folder below `folder` durable, and `folder`'s own entry."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            fsync_folder(path)
        elif path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    fsync_folder(folder)


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with a `honed.toml`, and the paths below it."""

    root: Path

    @property
    def state(self) -> Path:
        """Everything that is not the user's own."""
        return self.root / STATE_FOLDER

    @property
    def settings_path(self) -> Path:
        """The one settings file."""
        return self.root / SETTINGS_FILE

    @property
    def catalog_path(self) -> Path:
        """The truth."""
        return self.state / "catalog.db"

    @property
    def blobs(self) -> Path:
        """Original files by hash."""
        return self.state / "blobs"

    @property
    def index(self) -> Path:
        """Derived indexes, one folder a space."""
        return self.state / "index"

    @property
    def cache(self) -> Path:
        """Derived model artefacts; safe to delete."""
        return self.state / "cache"

    @property
    def releases(self) -> Path:
        """Immutable releases."""
        return self.state / "releases"

    @property
    def runs(self) -> Path:
        """One folder a run, for people to read."""
        return self.root / "runs"

    def blob(self, digest: str) -> Path:
        """Where the bytes of a sha256 are kept."""
        return self.blobs / digest[:2] / digest

    @contextmanager
    def writing(self, *, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
        """Hold the workspace's one writer lock. A thread that holds it may take it again.

        Args:
            waiting: Told once who is waited for. Without it, nobody is.

        Raises:
            BusyError: Another process holds it.
        """
        with _held(self.state / "lock", f"The workspace {self.root} is being changed by", waiting):
            yield

    @contextmanager
    def tuning(self) -> Iterator[None]:
        """Hold the lock of what goes on for an hour and lets others write meanwhile; taken before the writer lock.

        Who deletes what nothing seems to need holds it too: a run that is under way needs more than the catalog tells.

        Raises:
            BusyError: Another process holds it.
        """
        with _held(self.state / TUNE_LOCK, f"The workspace {self.root} is being tuned or cleared up by", None):
            yield

    def put_blob(self, path: Path) -> str:
        """Keep a file's bytes under their sha256; returns the hash. Durable when it returns."""
        digest = sha256_file(path)
        target = self.blob(digest)
        if target.exists():
            fsync_folder(target.parent)  # whoever wrote it may have been killed between its rename and this
            return digest
        make_folder(target.parent)
        half = target.with_suffix(f".{os.getpid()}.tmp")
        try:
            shutil.copyfile(path, half)
            if sha256_file(half) != digest:
                raise InputError(f"{path} changed while it was read.", hint="add it again")
            with half.open("rb") as file:
                os.fsync(file.fileno())
            half.replace(target)
        finally:
            half.unlink(missing_ok=True)
        fsync_folder(target.parent)
        return digest


_holders: dict[Path, Thread] = {}


@contextmanager
def _held(path: Path, sentence: str, waiting: Callable[[str], None] | None) -> Iterator[None]:
    """Hold an exclusive lock on a file that names its holder. The system gives the lock of a killed process back."""
    if _holders.get(path) is current_thread():
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        while not _is_locked(file):
            file.seek(0)
            message = f"{sentence} {file.read().strip() or 'another process'}."
            if waiting is None:
                raise BusyError(message, hint="wait until it ends, then try again")
            waiting(f"{message} This waits until it ends.")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        _holders[path] = current_thread()
        try:
            yield
        finally:
            del _holders[path]
            file.truncate(0)


def _is_locked(file: IO[str]) -> bool:
    """Whether this open file holds its lock now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def create(root: Path, settings: str) -> Workspace:
    """Make a folder a workspace. A folder that is one already is left as it is."""
    workspace = Workspace(root.resolve())
    if root.exists() and not root.is_dir():
        raise InputError(f"{root} is a file.", hint="give a folder that does not exist yet, or an empty one")
    make_folder(workspace.state)
    if not workspace.settings_path.exists():
        write_atomic(workspace.settings_path, settings.encode())
    return workspace


def find(start: Path) -> Workspace:
    """The nearest folder upwards that holds `honed.toml`."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / SETTINGS_FILE).is_file():
            return Workspace(folder)
    raise UsageError(f"There is no workspace at {start} or above it.", hint="honed init NAME && cd NAME")


def at(folder: Path) -> Workspace:
    """The workspace that is this very folder: who names one does not mean another one above it."""
    if not (folder / SETTINGS_FILE).is_file():
        raise UsageError(f"{folder} is no workspace.", hint=f"honed init {folder}")
    return Workspace(folder.resolve())
