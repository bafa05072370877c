"""What a release pins: models, fusion, space, lineage. One folder, `manifest.json` written last, every file hashed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from honed.answer.settings import RetrievalSettings
from honed.errors import IntegrityError, MissingError
from honed.workspace import read_json, sha256_file

FORMAT = 3
"""1 had no image side: such a manifest is read as one whose image side is untuned. 1 and 2 had a fusion weight and one BM25."""

NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class ImageSide:
    """How a release sees pictures.

    Attributes:
        encoder: Spec of the image encoder, or the name of a folder inside the release.
        space: Fingerprint of the encoder; descriptors of another space are refused.
        head: File inside the release that turns descriptors into vectors, or "" for the descriptors themselves.
        text_space: Space of the document tower that the head's text matrix was tuned with: with another one, text finds
            pictures by their captions alone.
        neighbours: Nearest pictures that a query by image is expanded with; 0 for none.
        weight: Share of what is seen, against captions, where text looks for pictures.
        leads: Captions that lead a text towards the pictures that they belong to; 0 for none.
    """

    encoder: str
    space: str
    head: str = ""
    text_space: str = ""
    neighbours: int = 0
    weight: float = 0.0
    leads: int = 0  # younger than FORMAT 2: a manifest without it has none

    @property
    def finds_by_words(self) -> bool:
        """Whether text finds pictures by what is seen, and not by captions alone."""
        return self.weight > 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a release.

    Attributes:
        release: "r1", "r2", ...
        created: UTC, ISO 8601.
        what: One line for a person.
        embedder: Spec of the embedder, or the name of a folder inside the release.
        adapter: Name of the query-side matrix inside the release, or "".
        space: Fingerprint of the document tower; an index of another space is refused.
        retrieval: What counts on the keyword side, and how both sides are fused.
        pool: Candidates that each side gives.
        language: Analysis of the keyword side.
        images: The image side; None where no picture had come when the release was made: then the configured encoder sees.
        painter: Folder inside the release that holds the image generator, or "".
        lineage: Run, parent release, hashes of data and verdict: how this came to be.
        files: Relative path -> sha256 of everything else in the folder.
    """

    release: str
    created: str
    what: str
    embedder: str
    adapter: str
    space: str
    retrieval: RetrievalSettings
    pool: int
    language: str
    images: ImageSide | None = None
    painter: str = ""
    lineage: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def read_manifest(folder: Path, expected_sha256: str) -> Manifest:
    """Read a release's manifest and check it against the hash in the catalog.

    Raises:
        MissingError: The release's folder is gone.
        IntegrityError: The manifest is not the one that was recorded.
    """
    path = folder / NAME
    if not path.is_file():
        raise MissingError(f"The release folder {folder} is missing.", hint="restore it, or `honed rollback`")
    if sha256_file(path) != expected_sha256:
        raise IntegrityError(f"{path} is not what was released.", hint="restore it, or `honed rollback`")
    value = read_json(path)
    if value.get("format") not in range(1, FORMAT + 1):
        raise IntegrityError(
            f"{path} has format {value.get('format')}, expected {FORMAT}.", hint="pip install -U honed"
        )
    images = value.get("images")
    if "weight" in value:
        retrieval = RetrievalSettings.before_choices(value.pop("weight"), value["pool"])
    else:
        retrieval = RetrievalSettings.from_dict(value["retrieval"])
    return Manifest(**{**value, "retrieval": retrieval, "images": ImageSide(**images) if images else None})


def faults(folder: Path, manifest: Manifest) -> list[str]:
    """Files of a release that are missing or changed, as sentences; empty when all is well."""
    found = []
    for name, digest in manifest.files.items():
        path = folder / name
        if not path.is_file():
            found.append(f"{path} is missing")
        elif sha256_file(path) != digest:
            found.append(f"{path} does not match its hash")
    return found
