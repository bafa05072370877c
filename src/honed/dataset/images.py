"""The image task as arrays: which pictures show the same thing, in which split, and all that live search ranks.

Image to image: a picture of a group asks for the others of its group, among all pictures that live search ranks.
For text to image see `image_questions`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from honed.catalog import Catalog, documents, history, images, splits
from honed.dataset.clusters import UnionFind, document_clusters
from honed.dataset.splits import join, torn
from honed.types import SPLITS, ImageRecord, Split

NEAR_BITS = 4
"""Differing bits of the perceptual hash up to which two pictures count as one: of no group, they go to one split; in groups of
different splits, the train one is not learned from."""

_WORD = re.compile(r"\w+")
_NEAREST = 32  # near-copies that are joined one by one; a thousand blank pages need not be paired a million times
_LONG = 4  # words from which on a piece of text is a sentence and no keyword


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Pictures, in the order of their row ids.

    Attributes:
        rowids: [n] of the catalog's images.
        ids: [n] external ids.
        groups: [n] labels, equal where pictures belong together: the cluster of a split and of a test.
        variants: [n] whose drawing it is, or from which side it was taken; may be empty strings.
        titles: [n] captions; may be empty.
        keywords: [n] what else is said of a picture.
    """

    rowids: NDArray[np.int64]
    ids: tuple[str, ...]
    groups: NDArray[np.int64]
    variants: tuple[str, ...]
    titles: tuple[str, ...]
    keywords: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def pairs(self) -> int:
        """How many pictures have another of their group."""
        sizes = Counter(self.groups.tolist())
        return sum(size for size in sizes.values() if size > 1)


@dataclass(frozen=True, slots=True, eq=False)
class ImageTask:
    """Everything that image tuning learns from and is measured by.

    Attributes:
        splits: The pictures that have one.
        names: Of the groups.
        everything: All pictures that live search ranks, those of the splits and of none (label -1), figures included.
        phashes: [n] perceptual hashes of all these.
        medias: [n] numbers, equal where two of these have the same pixels.
    """

    splits: dict[Split, Pictures]
    names: tuple[str, ...]
    everything: Pictures
    phashes: NDArray[np.uint64]
    medias: NDArray[np.int64]
    notes: tuple[str, ...] = ()

    def places(self, split: Split) -> NDArray[np.int64]:
        """Where the pictures of a split stand in `everything`."""
        return np.searchsorted(self.everything.rowids, self.splits[split].rowids)


class _Placed(NamedTuple):
    """A picture with its label (equal where pictures belong together) and its split."""

    rowid: int
    external_id: str
    label: int
    variant: str
    split: Split


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What the catalog says of pictures at one moment; `records` and `told` by row id."""

    members: list[images.Member]
    records: dict[int, ImageRecord]
    told: dict[int, tuple[str, tuple[str, ...]]]
    stored: splits.Stored

    @property
    def files(self) -> list[tuple[int, str, str]]:
        """(row id, external id, media) of the picture files."""
        return [(at, image.external_id, image.media) for at, image in self.records.items() if image.kind == "file"]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the groups."""
        return tuple(dict.fromkeys(member.group for member in self.members))


def _seen(catalog: Catalog) -> _Seen:
    with catalog.snapshot():
        rowids, _ = images.medias(catalog)
        return _Seen(
            images.groups(catalog),
            images.by_rowid(catalog, rowids),
            _told(catalog),
            splits.stored(catalog, "picture"),
        )


def load_image_task(catalog: Catalog, *, seed: int) -> ImageTask:
    """Read the grouped pictures of the catalog as they are at one moment; splits that are not stored are drawn by group."""
    seen = _seen(catalog)
    placed, notes = _grouped(seen, seed=seed)
    return _task(placed, seen, notes)


def load_caption_task(catalog: Catalog, *, seed: int) -> ImageTask:
    """Read the picture files of which something is said, in a group or not, as they are at one moment.

    Grouped pictures are split as `load_image_task` splits them. The others need no group: each is a cluster of its own,
    with its near-copies and with what has the same title; a split that is not stored is drawn, 60/20/20.
    """
    seen = _seen(catalog)
    placed, notes = _every(seen, seed=seed)
    kept = [picture for picture in placed if picture.rowid in seen.told]
    return _task(kept, seen, notes)


def fix_picture_splits(catalog: Catalog, *, seed: int) -> tuple[str, ...]:
    """Store a split for every picture file that has none, in a group or not; returns notes for the user.

    What is stored changes only while no run has taken it (`take`), and then only with the picture's group.
    """
    stored = splits.stored(catalog, "picture").rows
    if all((name, media) in stored for _, name, media in images.media_files(catalog)):
        _settle_old(catalog)
        return ()
    seen = _seen(catalog)
    placed, notes = _every(seen, seed=seed)
    rows = [(name, media, picture.split) for (_, name, media), picture in zip(seen.files, placed, strict=True)]
    with catalog.transaction():
        splits.keep(catalog, "picture", rows)
    _settle_old(catalog)
    return notes


def take(catalog: Catalog, task: ImageTask) -> None:
    """Make the splits of a task's pictures final: a run is about to learn from them."""
    splits.finish(catalog, "picture", [name for part in task.splits.values() for name in part.ids])


def _settle_old(catalog: Catalog) -> None:
    """Make final what runs of an older version have taken, which stored no splits: as it stands, drawn by the same rule."""
    if not splits.pictures_owed(catalog):
        return
    kinds = history.run_kinds(catalog)
    if "tune-words" in kinds:
        splits.finish(catalog, "picture", [name for _, name in images.files(catalog)])
    elif kinds - {"tune"}:
        splits.finish(catalog, "picture", list(images.grouped(catalog)))
    splits.pictures_paid(catalog)


def _grouped(seen: _Seen, *, seed: int) -> tuple[list[_Placed], tuple[str, ...]]:
    """The grouped pictures with their splits, those that are missing drawn, and what had to be said about it."""
    index: dict[str, int] = {}
    groups = np.array([index.setdefault(member.group, len(index)) for member in seen.members], np.int64)
    media = {rowid: media for rowid, _, media in seen.files}
    stored = [seen.stored.of(member.external_id, media[member.rowid]) for member in seen.members]
    given = _whole_groups([member.split for member in seen.members], groups)
    names = [member.external_id for member in seen.members]
    assignment = join(names, stored, groups, seed=seed, brought=given)
    placed = [
        _Placed(member.rowid, member.external_id, int(group), member.variant, split)
        for member, group, split in zip(seen.members, groups, assignment.splits, strict=True)
    ]
    return placed, assignment.notes


def _every(seen: _Seen, *, seed: int) -> tuple[list[_Placed], tuple[str, ...]]:
    """All picture files with their splits: those of groups first, then the others beside them."""
    placed, notes = _grouped(seen, seed=seed)
    grouped = {picture.rowid: picture for picture in placed}
    given = [grouped.get(rowid) for rowid, _, _ in seen.files]
    labels = _clusters(
        [picture.label if picture else -1 for picture in given],
        np.array([seen.records[rowid].phash for rowid, _, _ in seen.files], np.uint64),
        [seen.told.get(rowid, ("", ()))[0] for rowid, _, _ in seen.files],
    )
    stored = [
        picture.split if picture else seen.stored.of(name, media)
        for (_, name, media), picture in zip(seen.files, given, strict=True)
    ]
    assignment = join([name for _, name, _ in seen.files], stored, labels, seed=seed)
    every = [
        _Placed(rowid, name, int(label), picture.variant if picture else "", split)
        for (rowid, name, _), picture, label, split in zip(seen.files, given, labels, assignment.splits, strict=True)
    ]
    return every, tuple(dict.fromkeys((*notes, *assignment.notes)))


def _clusters(groups: Sequence[int], hashes: NDArray[np.uint64], titles: Sequence[str]) -> NDArray[np.int64]:
    """Cluster label of each picture, [n]: by group; those of no group (-1) by near-copies and equal titles."""
    alone = np.array(groups) < 0
    joined = UnionFind(len(groups))
    first: dict[int, int] = {}
    for row in np.flatnonzero(~alone).tolist():
        joined.join(row, first.setdefault(groups[row], row))
    for row in np.flatnonzero(alone).tolist():  # 20,000 pictures: a second
        for near in np.flatnonzero(np.bitwise_count(hashes ^ hashes[row]) <= NEAR_BITS)[:_NEAREST].tolist():
            joined.join(row, near)
    ours = [title if lone else "" for title, lone in zip(titles, alone, strict=True)]
    return document_clusters([""] * len(ours), ours, lambda _: joined.labels().tolist())


def _task(placed: Sequence[_Placed], seen: _Seen, notes: tuple[str, ...]) -> ImageTask:
    """The pictures by split. What belongs with one of dev or test, or is nearly the same picture, is not learned from."""
    leaks = _leaks(placed, {rowid: image.phash for rowid, image in seen.records.items()})
    if leaks:
        notes += (
            f"{len(leaks)} train pictures are nearly the same as one of dev or test (perceptual hashes that differ by "
            f"{NEAR_BITS} bits or less): they are not learned from.",
        )
    labels = np.array([picture.label for picture in placed], np.int64)
    lost = np.flatnonzero(torn([picture.split for picture in placed], labels)).tolist()
    left_out = leaks | {placed[row].rowid for row in lost}
    kept = [picture for picture in placed if picture.rowid not in left_out]
    parts = {split: _pictures([picture for picture in kept if picture.split == split], seen) for split in SPLITS}
    inside = {picture.rowid: picture for picture in placed}
    everything = [inside.get(rowid) or _elsewhere(rowid, image) for rowid, image in seen.records.items()]
    _, medias = np.unique([image.media for image in seen.records.values()], return_inverse=True)
    return ImageTask(
        parts,
        seen.names,
        _pictures(everything, seen),
        np.array([image.phash for image in seen.records.values()], np.uint64),
        medias.astype(np.int64),
        notes,
    )


def _elsewhere(rowid: int, image: ImageRecord) -> _Placed:
    """A picture of no group; the figures of one document are told apart by their number."""
    name = image.external_id if image.kind == "file" else f"{image.external_id}#{image.ordinal}"
    return _Placed(rowid, name, -1, "", "train")


def _pictures(placed: Sequence[_Placed], seen: _Seen) -> Pictures:
    files = {picture.rowid for picture in placed if seen.records[picture.rowid].kind == "file"}
    texts = [seen.told.get(picture.rowid, ("", ())) if picture.rowid in files else ("", ()) for picture in placed]
    return Pictures(
        np.array([picture.rowid for picture in placed], np.int64),
        tuple(picture.external_id for picture in placed),
        np.array([picture.label for picture in placed], np.int64),
        tuple(picture.variant for picture in placed),
        tuple(title for title, _ in texts),
        tuple(words for _, words in texts),
    )


def _leaks(placed: Sequence[_Placed], hashes: dict[int, int]) -> set[int]:
    """Row ids of the train pictures that are near-copies of a held-out one: scanned twice, or one flag of two states."""
    held_out = np.array([hashes[picture.rowid] for picture in placed if picture.split != "train"], np.uint64)
    if not len(held_out):
        return set()
    train = [picture.rowid for picture in placed if picture.split == "train"]
    return {row for row in train if (np.bitwise_count(held_out ^ np.uint64(hashes[row])) <= NEAR_BITS).any()}


def _told(catalog: Catalog) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Title and keywords of every image that has a passage, by row id."""
    rowids, passages = images.passages_of(catalog)
    words: dict[int, tuple[str, tuple[str, ...]]] = {}
    texts = documents.by_rowid(catalog, np.unique(passages).tolist())
    for rowid, passage in zip(rowids.tolist(), passages.tolist(), strict=True):
        if rowid not in words and (text := texts.get(passage)):
            words[rowid] = text.title, keywords_of(text.title, text.text)
    return words


def keywords_of(title: str, text: str) -> tuple[str, ...]:
    """The keywords in a picture's text, which an import has joined by commas; what reads like a sentence is none."""
    pieces = (piece.strip() for piece in text.split(","))
    return tuple(dict.fromkeys(piece for piece in pieces if 0 < len(_WORD.findall(piece)) <= _LONG and piece != title))


def _whole_groups(given: Sequence[Split], groups: NDArray[np.int64]) -> list[Split | None]:
    """A group that was given to several splits goes to the last of train, dev, test: nothing held out is learned from."""
    last: dict[int, int] = {}
    for split, group in zip(given, groups.tolist(), strict=True):
        last[group] = max(last.get(group, 0), SPLITS.index(split))
    return [SPLITS[last[group]] for group in groups.tolist()]
