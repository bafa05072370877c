"""From words to new pictures: retrieve references, draw from them, write files that say what they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from honed.answer.references import live_references
from honed.errors import UsageError
from honed.ingest.describe import look_at_file, open_rendering
from honed.ingest.rendering import as_image
from honed.models.painter.provenance import Provenance, save_picture
from honed.release.build import manifest_of, row_of
from honed.release.open import open_image_release, painter_of
from honed.session import Session

if TYPE_CHECKING:
    from PIL import Image

MOST = 100
"""Pictures of one order."""

MOST_SEED = 2**62
"""What a generator of random numbers takes, and room to count up."""

_WORDS, _NAME_BYTES = 6, 120  # of the order in a file's name


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
class Drawing:
    """A file that was drawn: its seed, and the ids of what it was drawn from, the one that it begins with first."""

    file: Path
    seed: int
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Imagined:
    """What came of an order: drawings in the order of their seeds, and all references, best first."""

    release: str
    model: str
    references: tuple[Reference, ...]
    drawings: tuple[Drawing, ...]


Pictured = list[tuple[Reference, "Image.Image"]]
"""References with their pictures, best first."""


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
    if order.style and painter.styles and order.style not in painter.styles:
        raise UsageError(
            f"The painter knows no style '{order.style}'.", hint=f"it knows: {', '.join(painter.styles[:20])}"
        )
    pictured = (
        _given(order.files, required=session.settings.sandbox_required)
        if order.files
        else _retrieved(session, order, release, painter.references)
    )
    folder.mkdir(parents=True, exist_ok=True)
    names = _unused(folder, order)
    made = []
    for seed in range(order.seed, order.seed + order.n):
        used = _turned(pictured, seed)[: painter.references]
        pictures = [picture for _, picture in used]
        drawn = painter.generate(order.text, pictures, n=1, seed=seed, style=order.style)[0]
        references = tuple(reference.image for reference, _ in used)
        path = next(names)
        save_picture(path, drawn, Provenance(order.text, seed, painter.name, manifest.release, order.style, references))
        made.append(Drawing(path, seed, references))
        done(path)
    return Imagined(manifest.release, painter.name, tuple(reference for reference, _ in pictured), tuple(made))


def _check(order: Order) -> None:
    if not order.text.strip() and not order.files:
        raise UsageError("There is nothing to draw.", hint='honed imagine "a red umbrella" -o drawings')
    if not 1 <= order.n <= MOST:
        raise UsageError(f"{order.n} pictures cannot be ordered.", hint=f"-n takes 1 to {MOST}")
    if not 0 <= order.seed < MOST_SEED:
        raise UsageError(f"A seed of {order.seed} is not known.", hint=f"--seed takes 0 to {MOST_SEED - 1}")
    try:
        f"{order.text}{order.style}".encode()
    except UnicodeEncodeError as error:
        raise UsageError("The words are not UTF-8 text.", hint="check the terminal's encoding") from error


def _turned(references: Pictured, seed: int) -> Pictured:
    """The references with another one in front for each seed, so that an order of several is not one idea several times."""
    turn = seed % len(references) if references else 0
    return [*references[turn:], *references[:turn]]


def _given(files: Sequence[Path], *, required: bool) -> Pictured:
    looks = [(path, look_at_file(path, required=required)) for path in files]
    return [
        (Reference(f"sha256:{look.media}", path.name, str(path), "", 1.0), as_image(look.picture))
        for path, look in looks
    ]


def _retrieved(session: Session, order: Order, release: str, k: int) -> Pictured:
    retriever = open_image_release(session.workspace, session.catalog, session.settings, release)
    return [
        (
            Reference(hit.image.id, hit.image.caption, hit.image.source, hit.image.external_id, round(hit.score, 4)),
            open_rendering(session.workspace, hit.image.media),
        )
        for hit in live_references(retriever, order.text, k)
    ]


def _unused(folder: Path, order: Order) -> Iterator[Path]:
    """Names for files that are not there yet."""
    words = re.findall(r"\w+", order.text.lower())[:_WORDS] or ["picture"]
    stem = "-".join([*words, *re.findall(r"\w+", order.style.lower())])
    stem = stem.encode()[:_NAME_BYTES].decode(errors="ignore")
    return (path for number in count(1) if not (path := folder / f"{stem}-{number}.png").exists())
