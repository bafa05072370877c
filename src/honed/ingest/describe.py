"""Give every picture a descriptor, in batches that are kept as they come: a kill loses one batch, a rename none."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from honed.catalog import Catalog, images
from honed.errors import InputError, IntegrityError
from honed.ingest.renderings import Rendered, rendered
from honed.protocols import ImageEncoder
from honed.types import Rejection
from honed.workspace import Workspace

if TYPE_CHECKING:
    from PIL import Image

BATCH = 256
"""Pictures between two durable writes, and decoded at once: about 200 MB at 512 pixels."""

Progress = Callable[[int, int], None]
"""Called with (done, total) after each batch."""


def open_rendering(workspace: Workspace, media: str) -> Image.Image:
    """The picture that a blob of our own making holds, decoded to RGB.

    Raises:
        IntegrityError: It is gone or damaged.
    """
    from PIL import Image

    path = workspace.blob(media)
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            return picture.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise IntegrityError(f"The picture {path} cannot be read: {error}.", hint="honed doctor") from error


def describe_missing(
    workspace: Workspace, catalog: Catalog, encoder: ImageEncoder, *, on_progress: Progress | None = None
) -> int:
    """Encode the pictures that have no descriptor in the encoder's space yet; returns how many were encoded.

    Raises:
        IntegrityError: A picture is gone or damaged.
    """
    missing = images.missing_descriptors(catalog, encoder.space)
    with ThreadPoolExecutor(2, thread_name_prefix="decode") as pool:
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            pictures = list(pool.map(lambda media: open_rendering(workspace, media), batch))
            images.put_descriptors(catalog, encoder.space, batch, encoder.encode_image(pictures))
            if on_progress:
                on_progress(start + len(batch), len(missing))
    return len(missing)


def look_at_file(path: Path, *, required: bool = True) -> Rendered:
    """Read a picture file in the sandbox, as `honed add` would, to search with it; nothing is kept.

    Args:
        path: The picture.
        required: See `Sandbox`.

    Raises:
        InputError: It is no picture, or a broken one.
    """
    from honed.ingest.sandbox import Sandbox

    if not path.is_file():
        raise InputError(
            f"There is no file {path}.", hint="give a picture: PNG, JPEG, WebP, GIF, TIFF, BMP, AVIF or SVG"
        )
    with Sandbox(ocr=False, required=required) as sandbox:
        outcome = sandbox.parse(path)
    if isinstance(outcome, Rejection):
        raise InputError(f"{path} cannot be searched with: {outcome.reason} [{outcome.code}].", hint=outcome.hint)
    if not outcome.media or outcome.media[0].kind != "file":
        raise InputError(f"{path} is not a picture.", hint="honed search TEXT finds by words")
    return rendered(outcome.media[0])[0]
