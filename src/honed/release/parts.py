"""What a release is made of: given by a turn, or taken over from the release before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from honed.answer.settings import RetrievalSettings
from honed.models.towers import open_towers
from honed.release.manifest import ImageSide, Manifest
from honed.workspace import Workspace

CAPTIONS_ALONE = "Words find pictures by captions alone until `honed tune --role text-to-image`."
"""What a turn says whose release makes the text matrix of the one before it void."""

WORDLESS = "Pictures are drawn from references and style alone until `honed tune --role image-generator`."
"""What a turn says whose release has another document tower than the one that the painter learnt with."""


@dataclass(frozen=True, slots=True)
class ImageParts:
    """The image side of a release. `folder` and `head` are copied; `folder` wins over `encoder`, a spec."""

    encoder: str
    space: str
    folder: Path | None = None
    head: Path | None = None
    text_space: str = ""
    neighbours: int = 0
    weight: float = 0.0
    leads: int = 0

    def without_words(self) -> ImageParts:
        """The same without what a text matrix of before says: it is void once head, encoder or document tower change."""
        return replace(self, text_space="", weight=0.0, leads=0)


@dataclass(frozen=True, slots=True)
class Parts:
    """What goes into a release.

    Attributes:
        what: One line for a person.
        embedder: Spec of an embedder that is used as it is; ignored where folders are given.
        query_folder: Model folder of the query tower, to be copied.
        document_folder: Model folder of the document tower, to be copied.
        adapter: Query-side matrix, to be copied.
        images: The image side, if there is one.
        painter: Folder of the image generator, to be copied.
    """

    what: str
    embedder: str
    space: str
    retrieval: RetrievalSettings
    pool: int
    language: str
    query_folder: Path | None = None
    document_folder: Path | None = None
    adapter: Path | None = None
    images: ImageParts | None = None
    painter: Path | None = None
    lineage: dict[str, Any] | None = None


def parts_of(workspace: Workspace, manifest: Manifest, *, what: str, lineage: dict[str, Any]) -> Parts:
    """What a release consists of, as the parts of the next one, which replaces those that were tuned."""
    folder = workspace.releases / manifest.release
    model = folder / manifest.embedder
    query, document = open_towers(model) if manifest.files and model.is_dir() else (None, None)
    return Parts(
        what=what,
        embedder=manifest.embedder,
        space=manifest.space,
        retrieval=manifest.retrieval,
        pool=manifest.pool,
        language=manifest.language,
        query_folder=query,
        document_folder=document,
        adapter=folder / manifest.adapter if manifest.adapter else None,
        images=image_parts(folder, manifest.images),
        painter=folder / manifest.painter if manifest.painter else None,
        lineage=lineage,
    )


def image_parts(folder: Path, side: ImageSide | None) -> ImageParts | None:
    """The image side of the release in `folder`, to go on unchanged in the next one."""
    if side is None:
        return None
    inside = folder / side.encoder
    return ImageParts(
        encoder=side.encoder,
        space=side.space,
        text_space=side.text_space,
        folder=inside if inside.is_dir() else None,
        head=folder / side.head if side.head else None,
        neighbours=side.neighbours,
        weight=side.weight,
        leads=side.leads,
    )


def words_lost(live: Manifest, *, space: str = "") -> tuple[str, ...]:
    """What to say when a release with a new image side, or with a document tower of another space, follows the live one."""
    side = live.images
    found = (CAPTIONS_ALONE,) if side and side.finds_by_words and space != live.space else ()
    return (*found, WORDLESS) if live.painter and space and space != live.space else found
