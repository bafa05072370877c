"""What a turn of the image generator builds once: pictures as arrays, their references, who learns from them, who judges."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.answer.pictures import ImageRetriever
from honed.catalog import images
from honed.dataset.images import Pictures as Listed
from honed.dataset.images import load_image_task
from honed.errors import UsageError
from honed.imaging.references import held_out_references, train_references
from honed.ingest.describe import open_rendering
from honed.models.painter.compact import CompactPainter, read_painter
from honed.models.painter.config import PainterConfig
from honed.models.runtime import cores
from honed.models.vision.folder import package_tower
from honed.models.vision.prepare import Preparation
from honed.release.build import live_manifest
from honed.release.open import open_image_release, painter_of
from honed.session import Session
from honed.tune.painter.perception import Perception
from honed.tune.painter.pictures import Pictures, Rows, labels
from honed.tune.painter.train import Course, PaintRecipe
from honed.tune.painter.trial import Targets, real_threshold
from honed.turn import Tell
from honed.types import SPLITS, Split
from honed.workspace import Workspace

LEAST_TEST = 10
"""Pictures of a split below which no verdict is attempted."""

MOST_STYLES = 64
"""Variants beyond which they are names of pictures, not styles."""

REAL_PICTURES = 600
"""Train pictures whose distances to their references say what a near-copy is."""


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """The pictures of all splits, one after the other, as the generator learns from them and is judged by them.

    Attributes:
        pictures: Pixels, texts, styles, groups, references.
        rows: Of each split.
        ids: [n] external ids.
        asked: [n] words that each picture is asked for by.
        styles: [n] names; may be empty strings.
        notes: For the user.
    """

    pictures: Pictures
    rows: Mapping[Split, Rows]
    ids: tuple[str, ...]
    asked: tuple[str, ...]
    styles: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Atelier:
    """One turn's data, learner and judge.

    Attributes:
        collection: The pictures.
        course: What is learnt.
        perception: What sees how near a drawing is.
        threshold: Distance below which a drawing is nearly a copy.
        start: Weights to go on from: those of the live release's painter, if it fits; None starts from scratch.
        live: The live release's painter, which has to be beaten; None where there is none.
        release: Its name.
    """

    collection: Collection
    course: Course
    perception: Perception
    threshold: float
    start: Mapping[str, NDArray[Any]] | None
    live: CompactPainter | None
    release: str

    def targets(self, rows: Rows) -> Targets:
        """Some held-out pictures as targets; random references come from among them."""
        return Targets(self.collection.pictures, rows, rows, self.threshold, self.course.recipe.seed)


def open_atelier(
    session: Session, tell: Tell, recipe: PaintRecipe | None = None, config: PainterConfig | None = None
) -> Atelier:
    """Read the pictures, find their references through the live search, and take what the live release has.

    Raises:
        UsageError: There are too few pictures, or none has words to be asked for by.
        MissingError: The weights of the encoder that judges are not installed.
    """
    perception = Perception.of(package_tower())
    recipe = recipe or PaintRecipe()
    recipe = replace(recipe, seed=session.settings.seed, threads=cores(session.settings.threads))
    manifest = live_manifest(session.workspace, session.catalog)
    live = None
    if manifest.painter:
        opened = painter_of(session.workspace, manifest, session.settings)
        live = opened if isinstance(opened, CompactPainter) else None
    config = config or (live.config if live else default_config(recipe))
    collection, config = _collect(session, config, tell)
    start = None
    if live is not None and live.config == config:
        start = dict(read_painter(session.workspace.releases / manifest.release / manifest.painter)[1])
    course = Course(collection.pictures, collection.rows["train"], config, recipe, perception)
    train = collection.rows["train"]
    some = np.random.default_rng(recipe.seed).choice(train, min(REAL_PICTURES, len(train)), replace=False)
    threshold = real_threshold(collection.pictures, some, perception)
    return Atelier(collection, course, perception, threshold, start, live, manifest.release)


def default_config(recipe: PaintRecipe) -> PainterConfig:
    """The shape of a new painter: 32 pixels and 2 million weights on a CPU, 64 pixels and 8 million on a GPU."""
    return PainterConfig() if recipe.place.type == "cpu" else PainterConfig(side=64, channels=(64, 128, 192))


def _collect(session: Session, config: PainterConfig, tell: Tell) -> tuple[Collection, PainterConfig]:
    """All pictures with their references, and the config with styles and text space filled in."""
    task = load_image_task(session.catalog, seed=session.settings.seed)
    parts = [_enough(task.splits[split], split) for split in SPLITS]
    asked = tuple(text for part in parts for text in _asked(part))
    if not any(asked):
        raise UsageError(
            "No picture has words to be asked for by.", hint="captions come from file names, alt text, or a pack"
        )
    every, ends = np.arange(sum(len(part) for part in parts)), np.cumsum([len(part) for part in parts])
    rows: dict[Split, Rows] = dict(zip(SPLITS, np.split(every, ends[:-1]), strict=True))
    retriever = open_image_release(session.workspace, session.catalog, session.settings)
    embedder = retriever.text.embedder
    variants = tuple(name for part in parts for name in part.variants)
    known = tuple(sorted(set(variants) - {""}))
    styled = 2 <= len(known) <= MOST_STYLES
    config = replace(config, styles=known if styled else (), text=embedder.dimension, text_space=embedder.space)
    rowids = np.concatenate([part.rowids for part in parts])
    records = images.by_rowid(session.catalog, rowids)
    medias = tuple(records[rowid].media for rowid in rowids.tolist())
    tell(f"finding the references of {len(medias)} pictures")
    pictures = Pictures(
        _pixels(session.workspace, medias, config.side),
        _vectors(embedder, asked),
        labels(variants) if styled else np.zeros(len(medias), np.int64),
        np.concatenate([part.groups for part in parts]),
        _references(retriever, rows["train"], _Wanted(asked, medias, rowids), config.references),
    )
    ids = tuple(name for part in parts for name in part.ids)
    return Collection(pictures, rows, ids, asked, variants, task.notes), config


def _enough(listed: Listed, split: Split) -> Listed:
    if len(listed) < LEAST_TEST:
        raise UsageError(
            f"There are {len(listed)} pictures in {split}; {LEAST_TEST} are needed.",
            hint="honed import DIR, where items.jsonl names pictures, captions and splits",
        )
    return listed


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """What each picture is asked for by, what it is, and its row id in the catalog; all [n]."""

    asked: tuple[str, ...]
    medias: tuple[str, ...]
    rowids: NDArray[np.int64]

    def of(self, rows: Rows) -> tuple[list[str], list[str]]:
        """Words and media of some of them."""
        return [self.asked[row] for row in rows.tolist()], [self.medias[row] for row in rows.tolist()]


def _references(retriever: ImageRetriever, train: Rows, wanted: _Wanted, k: int) -> Rows:
    """The k references of every picture, [n, k] rows of the arrays: of train inside train, of the others through live search."""
    found = np.full((len(wanted.rowids), k), -1, np.int64)
    found[train] = train_references(retriever, *wanted.of(train), wanted.rowids[train], k)
    others = np.setdiff1d(np.arange(len(found)), train)
    found[others] = held_out_references(retriever, *wanted.of(others), wanted.rowids, k)
    return _rows_of(found, wanted.rowids)


def _asked(listed: Listed) -> list[str]:
    """What a picture is asked for by: its title, or what else is said of it."""
    return [title or ", ".join(words) for title, words in zip(listed.titles, listed.keywords, strict=True)]


def _vectors(embedder: Any, texts: tuple[str, ...]) -> NDArray[np.float32]:
    """Unit vectors of texts [n, d] by the document tower, which the release pins; zeros where there are no words."""
    known = [text for text in dict.fromkeys(texts) if text]
    vectors = dict(zip(known, embedder.encode_document(known), strict=True))
    empty = np.zeros(embedder.dimension, np.float32)
    return np.stack([np.asarray(vectors.get(text, empty), np.float32) for text in texts])


def _rows_of(references: Rows, rowids: NDArray[np.int64]) -> Rows:
    """Row ids of the catalog [n, k] as rows of the arrays; -1 stays."""
    order = np.argsort(rowids)
    at = np.searchsorted(rowids[order], references.clip(0)).clip(0, len(rowids) - 1)
    found = order[at]
    return np.where((references >= 0) & (rowids[found] == references), found, -1).astype(np.int64)


def _pixels(workspace: Workspace, medias: tuple[str, ...], side: int) -> NDArray[np.uint8]:
    """The pictures [n, side, side, 3], whole and on white, as `CompactPainter.preparation` makes them."""
    prepare = Preparation(side, "pad", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    with ThreadPoolExecutor(2, thread_name_prefix="decode") as pool:
        return np.stack(list(pool.map(lambda media: prepare(open_rendering(workspace, media)), medias)))
