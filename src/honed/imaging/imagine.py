"""From words to new pictures: retrieve references, draw from them, write files that say what they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from honed.errors import UsageError
from honed.imaging.references import live_references
from honed.ingest.describe import look_at_file, open_rendering
from honed.ingest.rendering import as_image
from honed.models.painter.provenance import Provenance, save_picture
from honed.protocols import ImageGenerator
from honed.release.build import manifest_of, row_of
from honed.release.open import open_image_release, painter_of
from honed.session import Session

if TYPE_CHECKING:
    from PIL import Image

MOST = 100
"""Pictures of one order."""

_WORDS = 6  # of the order in a file's name


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for.

    Attributes:
        text: What to draw; may be empty where references are given.
        style: One that the generator knows, or empty.
        files: Reference pictures; empty to retrieve them by the text.
        n: How many pictures.
        seed: Of the first; the next ones count up.
    """

    text: str
    style: str = ""
    files: tuple[Path, ...] = ()
    n: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Reference:
    """A picture that was drawn from.

    Attributes:
        image: Id of the catalog's image, or "sha256:..." of a file that was given.
        title: Its caption, or the file's name.
        source: Path of the file it came from.
        document: External id of its document, or "".
        score: Of the search; 1 for a file that was given.
    """

    image: str
    title: str
    source: str
    document: str
    score: float


@dataclass(frozen=True, slots=True)
class Imagined:
    """What came of an order: files in the order of their seeds, all drawn from the same references."""

    release: str
    model: str
    references: tuple[Reference, ...]
    files: tuple[Path, ...]
    seeds: tuple[int, ...]


def imagine(
    session: Session,
    order: Order,
    folder: Path,
    *,
    release: str = "live",
    done: Callable[[Path], None] = lambda _: None,
) -> Imagined:
    """Draw an order and write it to a folder; no file is replaced.

    Args:
        session: Where the references are looked for.
        order: What to draw.
        folder: For the PNG files; made if it is not there.
        release: Whose index finds and whose generator draws.
        done: Told each file as it is written.

    Raises:
        UsageError: The order is empty or for too many, or the style is unknown.
        MissingError: There is no image generator, or nothing to search in.
        InputError: A reference is no picture.
    """
    _check(order)
    manifest = manifest_of(session.workspace, row_of(session.catalog, release))
    painter = painter_of(session.workspace, manifest, session.settings)
    known, pictures = _given(order.files) if order.files else _retrieved(session, order, release, painter)
    folder.mkdir(parents=True, exist_ok=True)
    names = _unused(folder, order)
    files, seeds = [], []
    for seed in range(order.seed, order.seed + order.n):
        drawn = _draw(painter, order, pictures, seed)
        path = next(names)
        words = Provenance(
            order.text, seed, painter.name, manifest.release, order.style, tuple(one.image for one in known)
        )
        save_picture(path, drawn, words)
        files.append(path)
        seeds.append(seed)
        done(path)
    return Imagined(manifest.release, painter.name, known, tuple(files), tuple(seeds))


def _check(order: Order) -> None:
    if not order.text.strip() and not order.files:
        raise UsageError("There is nothing to draw.", hint='honed imagine "a red umbrella" -o drawings')
    if not 1 <= order.n <= MOST:
        raise UsageError(f"{order.n} pictures cannot be ordered.", hint=f"-n takes 1 to {MOST}")
    if order.seed < 0:
        raise UsageError("A seed is 0 or more.")


def _draw(painter: ImageGenerator, order: Order, pictures: Sequence[Image.Image], seed: int) -> Image.Image:
    """One picture. Each begins with another reference, so that an order of several is not one idea several times."""
    turn = (seed - order.seed) % len(pictures) if pictures else 0
    turned = [*pictures[turn:], *pictures[:turn]]
    return painter.generate(order.text, turned, n=1, seed=seed, style=order.style)[0]


def _given(files: Sequence[Path]) -> tuple[tuple[Reference, ...], list[Image.Image]]:
    looks = [look_at_file(path) for path in files]
    known = tuple(
        Reference(f"sha256:{look.media}", path.name, str(path), "", 1.0)
        for look, path in zip(looks, files, strict=True)
    )
    return known, [as_image(look.picture) for look in looks]


def _retrieved(
    session: Session, order: Order, release: str, painter: ImageGenerator
) -> tuple[tuple[Reference, ...], list[Image.Image]]:
    retriever = open_image_release(session.workspace, session.catalog, session.settings, release)
    hits = live_references(retriever, order.text, painter.references)
    known = tuple(
        Reference(hit.image.id, hit.image.caption, hit.image.source, hit.image.external_id, round(hit.score, 4))
        for hit in hits
    )
    return known, [open_rendering(session.workspace, hit.image.media) for hit in hits]


def _unused(folder: Path, order: Order) -> Iterator[Path]:
    """Names for files that are not there yet."""
    words = re.findall(r"\w+", order.text.lower())[:_WORDS] or ["picture"]
    stem = "-".join([*words, *re.findall(r"\w+", order.style.lower())])[:80]
    return (path for number in count(1) if not (path := folder / f"{stem}-{number}.png").exists())
