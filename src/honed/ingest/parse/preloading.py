"""Import before the fork what parsers import on first use: once the sandbox has closed, no file can be opened any more."""

from __future__ import annotations

import encodings
import functools
import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from PIL import Image

from honed.ingest.parse import Job, reader

_WINDOWS = ("mbcs", "oem", "cp65001")
_LATER = ("heapq", "_strptime", "PIL.ImageCms", "PIL.ImageFilter", "PIL.TiffImagePlugin")
"""Modules that the standard library and Pillow import inside of functions."""


def prepare(job: Job) -> tuple[Path, ...]:
    """Import the reader of a job and what it will need; a second time this costs next to nothing.

    A reader may offer `preload(job)`, and `opens()`, which names the files that it opens by their path while it parses.

    Returns:
        What `opens` says.

    Raises:
        Refused: `unsupported`, `ocr-missing`.
        ImportError: The reader's library is broken.
    """
    import_all(encodings, without=_WINDOWS)
    Image.init()
    for name in _LATER:
        importlib.import_module(name)
    module = reader(job.media_type)
    preload: Callable[[Job], None] | None = getattr(module, "preload", None)
    if preload:
        preload(job)
    opens: Callable[[], tuple[Path, ...]] = getattr(module, "opens", tuple)
    return opens()


@functools.cache
def import_all(package: ModuleType, *, without: tuple[str, ...] = ()) -> None:
    """Import every module of a package: its subpackages too, but not what lies in them."""
    for module in pkgutil.iter_modules(package.__path__):
        if module.name not in without:
            importlib.import_module(f"{package.__name__}.{module.name}")
