"""The pictures of all splits as a generator learns from them: pixels, words, styles, and what live search finds for each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from honed.answer.pictures import ImageRetriever
from honed.answer.references import held_out_references, train_references
from honed.catalog import images
from honed.dataset.images import ImageTask, load_image_task
from honed.dataset.images import Pictures as Listed
from honed.errors import UsageError
from honed.ingest.describe import open_rendering
from honed.models.vision.prepare import Preparation
from honed.protocols import Embedder
from honed.release.build import manifest_of, row_of
from honed.release.open import embedder_of, open_release
from honed.roles.image_generator.pictures import Pictures, Rows, by_lot, labels
from honed.session import Session
from honed.tuning.role import Progress
from honed.types import SPLITS, ImageRecord, Split
from honed.workspace import Workspace

LEAST_TEST = 10
"""Pictures of a split below which no verdict is attempted."""

MOST_DEV, MOST_TEST = 200, 1000
"""Pictures of a split that are drawn, by lot, where there are more."""

MOST_STYLES = 64
"""Variants beyond which they are names of pictures, not styles."""


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """The pictures of all splits, one after the other, as the generator learns from them and is judged by them.

    Attributes:
        pictures: Pixels, texts, styles, groups, references.
        rows: Of each split; of dev and test those that are drawn, at most `MOST_DEV` and `MOST_TEST`, by lot.
        task: Which pictures there are in each split, those included that are not drawn.
        listing: What the catalog says of them.
        styles: Names of the styles in the order in which `pictures` counts them from 1; none where variants are no styles.
        text_space: Fingerprint of the tower that made the texts' vectors.
    """

    pictures: Pictures
    rows: Mapping[Split, Rows]
    task: ImageTask
    listing: Listing
    styles: tuple[str, ...]
    text_space: str

    @property
    def sizes(self) -> dict[Split, int]:
        """Pictures of each split."""
        return {split: len(self.task.splits[split]) for split in SPLITS}

    @property
    def digest(self) -> str:
        """Fingerprint of all that can be learned from and tested."""
        digest = hashlib.sha256(repr((self.listing.ids, self.listing.asked, self.styles)).encode())
        pictures = self.pictures
        arrays = (pictures.pixels, pictures.texts, pictures.styles, pictures.references, pictures.groups)
        for array in (*arrays, *(self.rows[split] for split in SPLITS)):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def style_of(self, row: int) -> str:
        """The style of a picture; empty if it has none."""
        number = int(self.pictures.styles[row])
        return self.styles[number - 1] if number else ""


def collect(session: Session, side: int, k: int, tell: Progress, *, release: str = "live") -> Collection:
    """All pictures of the task, squares of `side` pixels, each with the k references that it is drawn from.

    Args:
        release: Whose search finds the references, and whose document tower reads the words.

    Raises:
        UsageError: There are too few pictures or groups, or none has words to be asked for by.
    """
    seed = session.settings.seed
    task = load_image_task(session.catalog, seed=seed)
    parts = [_enough(task.splits[split], split) for split in SPLITS]
    listing = _listing(session, parts)
    if not any(listing.asked):
        raise UsageError(
            "No picture has words to be asked for by.", hint="captions come from file names, alt text, or a pack"
        )
    ends = np.cumsum([len(part) for part in parts])
    whole = zip(SPLITS, np.split(np.arange(ends[-1]), ends[:-1]), strict=True)
    rows = {split: _drawn(members, split, seed) for split, members in whole}
    for split in ("dev", "test"):
        _enough_others(listing.groups[rows[split]], split, k)
    retriever = _retriever(session, release, tell)
    tell(f"finding the references of {sum(len(members) for members in rows.values())} pictures")
    references, listing = _references(retriever, listing, rows, k)
    names = tuple(sorted(set(listing.variants) - {""}))
    styles = names if 2 <= len(names) <= MOST_STYLES else ()
    embedder = retriever.text.embedder
    pictures = Pictures(
        squares(session.workspace, listing.medias, side),
        _vectors(embedder, listing.asked),
        labels(listing.variants) if styles else np.zeros(len(listing.medias), np.int64),
        listing.groups,
        references,
    )
    return Collection(pictures, rows, task, listing, styles, embedder.space)


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """What the catalog says of n pictures.

    Attributes:
        ids: External ids.
        asked: Words that each picture is asked for by; may be empty.
        variants: Names; may be empty strings.
        groups: [n] labels; negative and each its own for pictures of no group.
        rowids: [n] of the catalog's images.
        medias: sha256 of the renderings.
    """

    ids: tuple[str, ...]
    asked: tuple[str, ...]
    variants: tuple[str, ...]
    groups: NDArray[np.int64]
    rowids: NDArray[np.int64]
    medias: tuple[str, ...]

    def of(self, rows: Rows) -> tuple[list[str], list[str]]:
        """Words and media of some of them."""
        return [self.asked[row] for row in rows.tolist()], [self.medias[row] for row in rows.tolist()]

    def and_others(self, records: Mapping[int, ImageRecord]) -> Listing:
        """With pictures of no group behind, which nobody is asked to draw but which may be drawn from."""
        rowids = np.array(sorted(records), np.int64)
        added = [records[rowid] for rowid in rowids.tolist()]
        nothing = ("",) * len(added)
        return Listing(
            (*self.ids, *(record.external_id for record in added)),
            (*self.asked, *nothing),
            (*self.variants, *nothing),
            np.concatenate([self.groups, -1 - np.arange(len(added))]),
            np.concatenate([self.rowids, rowids]),
            (*self.medias, *(record.media for record in added)),
        )


def _listing(session: Session, parts: Sequence[Listed]) -> Listing:
    rowids = np.concatenate([part.rowids for part in parts])
    records = images.by_rowid(session.catalog, rowids)
    return Listing(
        tuple(name for part in parts for name in part.ids),
        tuple(text for part in parts for text in _asked(part)),
        tuple(name for part in parts for name in part.variants),
        np.concatenate([part.groups for part in parts]),
        rowids,
        tuple(records[rowid].media for rowid in rowids.tolist()),
    )


def _enough(listed: Listed, split: Split) -> Listed:
    if len(listed) < LEAST_TEST:
        raise UsageError(
            f"There are {len(listed)} grouped pictures in {split}; {LEAST_TEST} are needed.",
            hint="honed label FILE.csv (columns image,group), honed label --by-folder DIR, or honed import an image pack",
        )
    return listed


def _drawn(rows: Rows, split: Split, seed: int) -> Rows:
    """All of train; of dev and test what is drawn."""
    most = {"dev": MOST_DEV, "test": MOST_TEST}.get(split, len(rows))
    return by_lot(rows, most, seed)


def _enough_others(groups: NDArray[np.int64], split: Split, k: int) -> None:
    """Random references come from other groups of the split: there must be k for every picture."""
    largest = int(np.unique(groups, return_counts=True)[1].max())
    if len(groups) - largest < k:
        raise UsageError(
            f"{largest} of the {len(groups)} pictures in {split} belong to one group, so there are no {k} others to "
            "compare with.",
            hint="more groups are needed: honed label FILE.csv (columns image,group)",
        )


def _retriever(session: Session, release: str, tell: Progress) -> ImageRetriever:
    """The search of a release by captions alone: all that finds references. One that is not live catches up first."""
    if release != "live":
        manifest = manifest_of(session.workspace, row_of(session.catalog, release))
        session.catch_up(embedder_of(session.workspace, manifest, session.settings), tell=tell)
    text = open_release(session.workspace, session.catalog, session.settings, release)
    return ImageRetriever(text.release, text)


def _references(
    retriever: ImageRetriever, listing: Listing, rows: Mapping[Split, Rows], k: int
) -> tuple[Rows, Listing]:
    """The k references of every picture that is learnt from or drawn, [n, k] rows; the listing grows by those of no group.

    Those of train lie inside train; those of dev and test are what live search gives.
    """
    train, others = rows["train"], np.concatenate([rows["dev"], rows["test"]])
    rowids = np.full((len(listing.rowids), k), -1, np.int64)
    rowids[train] = train_references(retriever, *listing.of(train), listing.rowids[train], k)
    rowids[others] = held_out_references(retriever, *listing.of(others), k)
    strangers = np.setdiff1d(rowids, np.append(listing.rowids, -1))
    listing = listing.and_others(images.by_rowid(retriever.text.catalog, strangers))
    rowids = np.concatenate([rowids, np.full((len(strangers), k), -1, np.int64)])
    return _rows_of(rowids, listing.rowids), listing


def _asked(listed: Listed) -> list[str]:
    """What a picture is asked for by: its title, or what else is said of it."""
    return [title or ", ".join(words) for title, words in zip(listed.titles, listed.keywords, strict=True)]


def _vectors(embedder: Embedder, texts: tuple[str, ...]) -> NDArray[np.float32]:
    """Unit vectors of texts [n, d] by the document tower, which the release pins; zeros where there are no words."""
    distinct = [text for text in dict.fromkeys(texts) if text]
    vectors = dict(zip(distinct, embedder.encode_document(distinct), strict=True))
    empty = np.zeros(embedder.dimension, np.float32)
    return np.stack([np.asarray(vectors.get(text, empty), np.float32) for text in texts])


def _rows_of(references: Rows, rowids: NDArray[np.int64]) -> Rows:
    """Row ids of the catalog [n, k] as rows of the arrays; -1 stays."""
    order = np.argsort(rowids)
    rows = order[np.searchsorted(rowids[order], references.clip(0)).clip(0, len(rowids) - 1)]
    return np.where((references >= 0) & (rowids[rows] == references), rows, -1).astype(np.int64)


def squares(workspace: Workspace, medias: Sequence[str], side: int) -> NDArray[np.uint8]:
    """The pictures [n, side, side, 3], whole and on white, as `CompactPainter.preparation` makes them."""
    prepare = Preparation(side, "pad", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    with ThreadPoolExecutor(2, thread_name_prefix="decode") as pool:
        return np.stack(list(pool.map(lambda media: prepare(open_rendering(workspace, media)), medias)))
