"""The pictures of all splits as a generator learns from them: pixels, words, styles, and what live search finds for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from honed.answer.pictures import ImageRetriever
from honed.catalog import images
from honed.dataset.images import Pictures as Listed
from honed.dataset.images import load_image_task
from honed.errors import UsageError
from honed.imaging.references import held_out_references, train_references
from honed.ingest.describe import open_rendering
from honed.models.vision.prepare import Preparation
from honed.protocols import Embedder
from honed.release.open import open_image_release
from honed.session import Session
from honed.tune.painter.pictures import Pictures, Rows, labels
from honed.turn import Tell
from honed.types import SPLITS, Split
from honed.workspace import Workspace

LEAST_TEST = 10
"""Pictures of a split below which no verdict is attempted."""

MOST_STYLES = 64
"""Variants beyond which they are names of pictures, not styles."""


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """The pictures of all splits, one after the other, as the generator learns from them and is judged by them.

    Attributes:
        pictures: Pixels, texts, styles, groups, references.
        rows: Of each split.
        ids: [n] external ids.
        asked: [n] words that each picture is asked for by; may be empty.
        variants: [n] names; may be empty strings.
        styles: Names of the styles in the order in which `pictures` counts them from 1; none where variants are no styles.
        medias: [n] sha256 of the renderings.
        text_space: Fingerprint of the tower that made the texts' vectors.
        notes: For the user.
    """

    pictures: Pictures
    rows: Mapping[Split, Rows]
    ids: tuple[str, ...]
    asked: tuple[str, ...]
    variants: tuple[str, ...]
    styles: tuple[str, ...]
    medias: tuple[str, ...]
    text_space: str
    notes: tuple[str, ...] = ()

    def style_of(self, row: int) -> str:
        """The style of a picture; empty if it has none."""
        number = int(self.pictures.styles[row])
        return self.styles[number - 1] if number else ""


def collect(session: Session, side: int, k: int, tell: Tell) -> Collection:
    """All pictures of the task, squares of `side` pixels, each with the k references that it is drawn from.

    Raises:
        UsageError: There are too few pictures, or none has words to be asked for by.
    """
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
    rowids = np.concatenate([part.rowids for part in parts])
    records = images.by_rowid(session.catalog, rowids)
    medias = tuple(records[rowid].media for rowid in rowids.tolist())
    tell(f"finding the references of {len(medias)} pictures")
    pictures = Pictures(
        squares(session.workspace, medias, side),
        _vectors(embedder, asked),
        labels(variants) if styled else np.zeros(len(medias), np.int64),
        np.concatenate([part.groups for part in parts]),
        _references(retriever, rows["train"], _Wanted(asked, medias, rowids), k),
    )
    ids = tuple(name for part in parts for name in part.ids)
    styles = known if styled else ()
    return Collection(pictures, rows, ids, asked, variants, styles, medias, embedder.space, task.notes)


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


def _vectors(embedder: Embedder, texts: tuple[str, ...]) -> NDArray[np.float32]:
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


def squares(workspace: Workspace, medias: Sequence[str], side: int) -> NDArray[np.uint8]:
    """The pictures [n, side, side, 3], whole and on white, as `CompactPainter.preparation` makes them."""
    prepare = Preparation(side, "pad", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    with ThreadPoolExecutor(2, thread_name_prefix="decode") as pool:
        return np.stack(list(pool.map(lambda media: prepare(open_rendering(workspace, media)), medias)))
