"""Keep what was rendered: many small blobs, made durable together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from honed.ingest.rendering import encoded, perceptual_hash
from honed.types import Picture
from honed.workspace import Workspace, fsync_folder, write_atomic

_WRITERS = 16
"""Threads that wait for the disk at the same time: one after the other takes many times as long."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A picture and what its copies share with it: the sha256 of its rendering, its perceptual hash."""

    picture: Picture
    media: str
    phash: int


def rendered(picture: Picture) -> tuple[Rendered, bytes]:
    """A picture with its identity, and the bytes of its rendering."""
    data = encoded(picture)
    return Rendered(picture, hashlib.sha256(data).hexdigest(), perceptual_hash(picture)), data


def keep(workspace: Workspace, pictures: Sequence[Picture]) -> list[Rendered]:
    """Encode pictures and write those that are not there yet as blobs, named by their sha256."""
    if not pictures:
        return []
    with ThreadPoolExecutor(min(_WRITERS, len(pictures)), thread_name_prefix="honed-keep") as pool:
        return list(pool.map(lambda picture: _keep(workspace, picture), pictures))


def is_kept(workspace: Workspace, media: str) -> bool:
    """Whether a rendering is there."""
    return workspace.blob(media).is_file()


def _keep(workspace: Workspace, picture: Picture) -> Rendered:
    rendering, data = rendered(picture)
    target = workspace.blob(rendering.media)
    if target.is_file() and target.stat().st_size == len(data):
        fsync_folder(target.parent)  # whoever wrote it may have been killed between its rename and this
    else:
        write_atomic(target, data)
    return rendering
