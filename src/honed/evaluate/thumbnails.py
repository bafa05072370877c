"""Small pictures for a report, inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from functools import cache

from honed.ingest.describe import open_rendering
from honed.types import ImageRecord
from honed.workspace import Workspace

SIDE = 96
"""Pixels of the longer side."""

Thumbnail = Callable[[int], tuple[str, str]]
"""Caption and data URI of the picture at a place of the gallery."""


def thumbnails(workspace: Workspace, records: Sequence[ImageRecord]) -> Thumbnail:
    """What a report shows of the pictures of a gallery; each is read once, when it is first shown."""

    @cache  # a picture is a hit of many queries
    def thumbnail(place: int) -> tuple[str, str]:
        record = records[place]
        return record.caption or record.external_id, _small(workspace, record.media)

    return thumbnail


def data_uri(png: bytes) -> str:
    """A PNG file as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _small(workspace: Workspace, media: str) -> str:
    picture = open_rendering(workspace, media)
    picture.thumbnail((SIDE, SIDE))
    sink = io.BytesIO()
    picture.save(sink, "PNG")
    return data_uri(sink.getvalue())
