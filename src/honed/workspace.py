"""Where things live on disk, and how bytes get there: temporary file, fsync, rename, fsync of the folder.

honed.toml                 settings; its presence makes a folder a workspace
.honed/
  catalog.db               the truth (SQLite, WAL)
  lock                     held by the one writer
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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from honed.errors import BusyError, InputError, UsageError

SETTINGS_FILE = "honed.toml"
STATE_FOLDER = ".honed"


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
    def writing(self) -> Iterator[None]:
        """Hold the workspace's one writer lock.

        Raises:
            BusyError: Another process holds it.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                owner = file.read().strip() or "another process"
                raise BusyError(
                    f"The workspace {self.root} is being changed by {owner}.", hint="wait until it ends, then try again"
                ) from None
            file.truncate(0)
            file.write(f"process {os.getpid()}")
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)

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
