"""What a release pins: a part for each role, and how it came to be. `manifest.json` is written last, every file is hashed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from honed.answer.settings import RetrievalSettings
from honed.errors import IntegrityError, MissingError
from honed.workspace import read_json, sha256_file

FORMAT = 3
"""1 had no image side, 2 named every number of every role in one table; both are read as parts."""

NAME = "manifest.json"

RETRIEVER, IMAGE_RETRIEVER = "retriever", "image-retriever"
TEXT_TO_IMAGE, IMAGE_GENERATOR = "text-to-image", "image-generator"
"""Roles whose parts live search and drawing read."""


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a release that belongs to one role.

    Attributes:
        values: What the role pins, as JSON.
        files: The role's name for a file or folder -> where it lies: in a manifest below the release's folder, in a shipment
            where it is copied from.
        key: Fingerprint of what other parts may have been tuned with, such as an embedding space.
        needs: Role -> key of its part that this one was tuned with; with another one it is void.
        otherwise: What to tell the user when it is void.
        lasts: Whether a void part stays in the release all the same, because it can do without.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    key: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = ""
    lasts: bool = False

    def below(self, folder: Path) -> Part:
        """This part with its files below a folder."""
        return replace(self, files={name: folder / path for name, path in self.files.items()})

    def fits(self, parts: Mapping[str, Part]) -> bool:
        """Whether it was tuned with these parts of other roles."""
        return all(role in parts and parts[role].key == key for role, key in self.needs.items())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"files": {name: path.as_posix() for name, path in self.files.items()}}


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a release.

    Attributes:
        release: "r1", "r2", ...
        created: UTC, ISO 8601.
        what: One line for a person.
        parts: Role -> its part. A role without one works untuned, as the settings say.
        lineage: Run, parent release, hashes of data and verdict: how this came to be.
        files: Relative path -> sha256 of everything else in the folder.
    """

    release: str
    created: str
    what: str
    parts: Mapping[str, Part]
    lineage: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def retrieval(self) -> RetrievalSettings:
        """What counts in a search over text, and how its sides are fused."""
        return RetrievalSettings.from_dict(self.parts[RETRIEVER].values["retrieval"])

    @property
    def space(self) -> str:
        """Embedding space of the text index."""
        return self.parts[RETRIEVER].key

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"parts": {role: part.as_dict() for role, part in self.parts.items()}}


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
    if value.get("format") not in (1, 2, FORMAT):
        raise IntegrityError(
            f"{path} has format {value.get('format')}, expected {FORMAT}.", hint="pip install -U honed"
        )
    parts = _parts(value["parts"]) if value["format"] == FORMAT else _older_parts(value)
    kept = {name: value[name] for name in ("release", "created", "what", "lineage", "files")}
    return Manifest(parts=parts, **kept)


def faults(folder: Path, manifest: Manifest) -> list[str]:
    """Files of a release that are missing or changed, as sentences; empty when all is well."""
    wrong = []
    for name, digest in manifest.files.items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{path} is missing")
        elif sha256_file(path) != digest:
            wrong.append(f"{path} does not match its hash")
    return wrong


def _parts(value: Mapping[str, Any]) -> dict[str, Part]:
    return {
        role: Part(**{**part, "files": {name: Path(path) for name, path in part["files"].items()}})
        for role, part in value.items()
    }


def _older_parts(value: Mapping[str, Any]) -> dict[str, Part]:
    """The parts of a manifest of format 1 or 2."""
    names = {Path(name).parts[0] for name in value["files"]}
    files = {"model": Path("model")} if value["embedder"] == "model" and "model" in names else {}
    if value["adapter"]:
        files["adapter"] = Path(value["adapter"])
    text = {name: value[name] for name in ("embedder", "pool", "language")}
    text["retrieval"] = RetrievalSettings.before_choices(value["weight"], value["pool"]).as_dict()
    parts = {RETRIEVER: Part(text, files, value["space"])}
    if value.get("images"):
        parts |= _older_images(value["images"], names)
    if value.get("painter"):
        parts[IMAGE_GENERATOR] = Part(files={"painter": Path(value["painter"])})
    return parts


def _older_images(side: Mapping[str, Any], names: set[str]) -> dict[str, Part]:
    files = {"encoder": Path(side["encoder"])} if side["encoder"] in names else {}
    if side["head"]:
        files["head"] = Path(side["head"])
    values = {name: side.get(name, 0) for name in ("encoder", "space", "neighbours")}
    parts = {IMAGE_RETRIEVER: Part(values, files, side["space"])}
    if side.get("weight") and "head" in files:
        values = {"weight": side["weight"], "leads": side.get("leads", 0)}
        needs = {RETRIEVER: side["text_space"], IMAGE_RETRIEVER: side["space"]}
        parts[TEXT_TO_IMAGE] = Part(values, {"head": files["head"]}, needs=needs, otherwise=CAPTIONS_ALONE)
    return parts


CAPTIONS_ALONE = "Words find pictures by captions alone until `honed tune --role text-to-image`."
"""Notice for the user when a release makes the text matrix of the one before it void."""
