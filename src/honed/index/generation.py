"""A generation: one immutable folder that holds both indexes as they were at one change number of the catalog.

    ROOT/SPACE12/
      CURRENT            name of the generation that is searched, replaced atomically
      lock               held while the next generation is built
      SEQ-N/             SEQ: the catalog's change number, N: rises with every build
        rowids.npy       the passages that were there
        dense.*          see dense.py
        lexical/         see lexical.py
        manifest.json    written last: format, space, seq, counts, sha256 and size of each file

Whoever opens a generation holds a shared lock on its manifest, so that pruning leaves it alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from honed.errors import InputError
from honed.index.dense import EXACT_UP_TO, DenseIndex
from honed.index.lexical import LANGUAGES, Language, LexicalIndex
from honed.index.rows import RowIds
from honed.workspace import read_json, sha256_file

FORMAT = 1
"""Raised when the layout or the meaning of the files changes; another number means rebuild."""

CURRENT = "CURRENT"
MANIFEST = "manifest.json"

Verify = Literal["sizes", "hashes"]

_log = logging.getLogger(__name__)
_NAME = re.compile(r"\d+-\d+")


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """What changes the bytes of an index. Another value than the one an index was built with means rebuild."""

    language: Language = "english"
    exact_up_to: int = EXACT_UP_TO


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size and hash of one file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation was built from and what it consists of.

    `churn` counts the rows that deltas have changed since the last full build: deleted rows still count in BM25's
    statistics and added ones lie in lists that were trained without them, so a full build is due when it grows.
    """

    space: str
    seq: int
    passages: int
    vectors: int
    churn: int
    settings: IndexSettings
    files: Mapping[str, FileRecord]
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """The manifest as it is written."""
        return {
            "format": self.format,
            "space": self.space,
            "seq": self.seq,
            "passages": self.passages,
            "vectors": self.vectors,
            "churn": self.churn,
            "language": self.settings.language,
            "exact_up_to": self.settings.exact_up_to,
            "files": {name: {"size": file.size, "sha256": file.sha256} for name, file in self.files.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Manifest:
        """Read what `to_json` gave. Raises ValueError or KeyError for anything else."""
        if value["format"] != FORMAT:
            raise ValueError(f"format {value['format']}, this version reads {FORMAT}")
        if value["language"] not in LANGUAGES:
            raise ValueError(f"text language {value['language']!r}")
        return cls(
            space=value["space"],
            seq=value["seq"],
            passages=value["passages"],
            vectors=value["vectors"],
            churn=value["churn"],
            settings=IndexSettings(value["language"], value["exact_up_to"]),
            files={name: FileRecord(file["size"], file["sha256"]) for name, file in value["files"].items()},
        )


@dataclass(frozen=True, eq=False)
class Generation:
    """Both indexes at one change number of the catalog, open for reading. Keeps its folder alive while it lives."""

    folder: Path
    manifest: Manifest
    rowids: RowIds
    dense: DenseIndex
    lexical: LexicalIndex

    @property
    def seq(self) -> int:
        """The catalog's change number that this generation holds."""
        return self.manifest.seq

    @property
    def space(self) -> str:
        """The embedding space of the vectors."""
        return self.manifest.space


def space_folder(root: Path, space: str) -> Path:
    """Folder of a space: 12 characters of its fingerprint, or of the name's hash when it is not a fingerprint."""
    digest = space if re.fullmatch(r"[0-9a-f]{12,}", space) else hashlib.sha256(space.encode()).hexdigest()
    return root / digest[:12]


def open_current(root: Path, space: str, *, verify: Verify = "sizes") -> Generation | None:
    """The generation that CURRENT names; None, with the reason in the log, when there is none or it is not whole.

    Args:
        root: Folder of all indexes.
        space: Fingerprint of the embedding space; an index of another space is refused.
        verify: "sizes" compares the size of each file with the manifest (well under a millisecond), "hashes" its bytes.
    """
    folder = space_folder(root, space)
    for _ in range(10):  # The pointer may move and the old generation be pruned between two lines of this loop.
        try:
            name = (folder / CURRENT).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _refuse(folder / CURRENT, str(error))
            return None
        if not _NAME.fullmatch(name):
            _refuse(folder / CURRENT, f"names {name!r}")
            return None
        lease = _lease(folder / name)
        if lease is not None:
            return _opened(folder / name, space, verify, lease)
    _refuse(folder / name, "its manifest is missing")
    return None


def generation_folders(folder: Path) -> list[Path]:
    """The generations of a space, oldest build first."""
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.partition("-")[2]))


def faults(folder: Path, manifest: Manifest, verify: Verify) -> list[str]:
    """What is wrong with the files of a generation, in words; empty when nothing is."""
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


def _opened(folder: Path, space: str, verify: Verify, lease: int) -> Generation | None:
    generation = None
    try:
        manifest = Manifest.from_json(read_json(folder / MANIFEST))
        wrong = faults(folder, manifest, verify)
        if manifest.space != space:
            wrong.append(f"it belongs to the space {manifest.space!r}")
        if wrong:
            _refuse(folder, "; ".join(wrong))
            return None
        generation = Generation(
            folder,
            manifest,
            np.load(folder / "rowids.npy"),
            DenseIndex.load(folder),
            LexicalIndex.open(folder / "lexical", language=manifest.settings.language),
        )
        weakref.finalize(generation, os.close, lease)
        return generation
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, InputError) as error:
        _refuse(folder, f"{type(error).__name__}: {error}")
        return None
    finally:
        if generation is None:
            os.close(lease)


def _lease(folder: Path) -> int | None:
    """A descriptor that holds a shared lock on a generation; None when it is gone or is being removed."""
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


def _refuse(path: Path, reason: str) -> None:
    _log.warning("The index %s is not used and will be rebuilt: %s", path, reason)
