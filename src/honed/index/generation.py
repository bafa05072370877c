"""A generation: one immutable folder that holds both indexes as they were at one change number of the catalog.

ROOT/SPACE12/SEQ-N/    see folders.py
  rowids.npy           the passages that were there
  dense.*              see dense.py
  lexical/             see lexical.py
  manifest.json        written last: format, space, seq, counts, sha256 and size of each file
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from honed.errors import HonedError
from honed.index import folders
from honed.index.dense import EXACT_UP_TO, DenseIndex
from honed.index.folders import (
    CURRENT,
    MANIFEST,
    FileRecord,
    Flawed,
    Verify,
    faults,
    generation_folders,
    place,
)
from honed.index.lexical import LANGUAGES, Language, LexicalIndex
from honed.index.rows import RowIds
from honed.workspace import read_json

__all__ = [
    "CURRENT",
    "MANIFEST",
    "Generation",
    "IndexSettings",
    "Manifest",
    "faults",
    "generation_folders",
    "is_older",
    "open_current",
    "space_folder",
]

FORMAT = 2
"""Raised when the layout or the meaning of the files changes; another number means rebuild. 1 had one BM25 for every release."""


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """Settings that change the bytes of an index; another value than the one it was built with means rebuild."""

    language: Language = "english"
    exact_up_to: int = EXACT_UP_TO


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
    return place(root, space)


def open_current(root: Path, space: str, *, verify: Verify = "sizes") -> Generation | None:
    """The generation that CURRENT names; None, with the reason in the log, when there is none or it is not whole.

    Args:
        root: Folder of all indexes.
        space: Fingerprint of the embedding space; an index of another space is refused.
        verify: "sizes" compares the size of each file with the manifest (well under a millisecond), "hashes" its bytes.
    """
    return folders.open_current(space_folder(root, space), lambda folder: _read(folder, space, verify))


def is_older(root: Path, space: str) -> bool:
    """Whether the current index of a space was made by a version of Honed that wrote another format."""
    place_ = space_folder(root, space)
    try:
        name = (place_ / CURRENT).read_text(encoding="ascii").strip()
        return int(read_json(place_ / name / MANIFEST)["format"]) < FORMAT
    except (OSError, ValueError, KeyError, TypeError, HonedError):
        return False  # there is none, or nobody can say what it is


def _read(folder: Path, space: str, verify: Verify) -> Generation:
    manifest = Manifest.from_json(read_json(folder / MANIFEST))
    wrong = faults(folder, manifest, verify)
    if manifest.space != space:
        wrong.append(f"it belongs to the space {manifest.space!r}")
    if wrong:
        raise Flawed("; ".join(wrong))
    return Generation(
        folder,
        manifest,
        np.load(folder / "rowids.npy"),
        DenseIndex.load(folder),
        LexicalIndex.open(folder / "lexical", language=manifest.settings.language),
    )
