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

from honed.catalog import Catalog, documents, images
from honed.dataset.clusters import Groups, document_clusters
from honed.dataset.splits import assign, join
from honed.types import SPLITS, ImageRecord, Split

NEAR_BITS = 4
"""Differing bits of the perceptual hash up to which two pictures count as one: of no group, they go to one split; in groups of
different splits, the train one is not learned from (97 of 2,940 train pictures of emoji-images, where symbols are alike)."""

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


class _Read(NamedTuple):
    """What the catalog says of the pictures at one moment."""

    members: list[images.Member]
    records: dict[int, ImageRecord]
    told: dict[int, tuple[str, tuple[str, ...]]]

    @classmethod
    def of(cls, catalog: Catalog) -> _Read:
        with catalog.snapshot():
            rowids, _ = images.medias(catalog)
            return cls(images.groups(catalog), images.by_rowid(catalog, rowids), _told(catalog))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the groups."""
        return tuple(dict.fromkeys(member.group for member in self.members))


def load_image_task(catalog: Catalog, *, seed: int) -> ImageTask:
    """Read the grouped pictures of the catalog as they are at one moment; splits that are missing are drawn by group."""
    read = _Read.of(catalog)
    placed, notes = _placed(read.members, read.names, seed=seed)
    return _task(placed, read, notes)


def load_caption_task(catalog: Catalog, *, seed: int) -> ImageTask:
    """Read the picture files of which something is said, in a group or not, as they are at one moment.

    Grouped pictures are split as `load_image_task` splits them. The others need no group: each is a cluster of its own,
    with its near-copies and with what has the same title, and its split is drawn, 60/20/20.
    """
    read = _Read.of(catalog)
    placed, notes = _placed(read.members, read.names, seed=seed)
    known = {picture.rowid: picture for picture in placed}
    kept = [(at, image) for at, image in read.records.items() if image.kind == "file" and at in read.told]
    given = [known.get(rowid) for rowid, _ in kept]
    labels = _clusters(
        [picture.label if picture else -1 for picture in given],
        np.array([image.phash for _, image in kept], np.uint64),
        [read.told[rowid][0] for rowid, _ in kept],
    )
    if all(given):
        splits = tuple(picture.split for picture in given if picture)
    else:
        fixed = [picture.split if picture else None for picture in given]
        assignment = join([image.external_id for _, image in kept], fixed, labels, seed=seed)
        splits, notes = assignment.splits, (*notes, *assignment.notes)
    placed = [
        _Placed(rowid, image.external_id, int(label), picture.variant if picture else "", split)
        for (rowid, image), picture, label, split in zip(kept, given, labels, splits, strict=True)
    ]
    return _task(placed, read, notes)


def _placed(
    members: Sequence[images.Member], names: Sequence[str], *, seed: int
) -> tuple[list[_Placed], tuple[str, ...]]:
    """The grouped pictures with their splits, those that are missing drawn, and what had to be said about it."""
    index = {name: place for place, name in enumerate(names)}
    groups = np.array([index[member.group] for member in members], np.int64)
    given = _whole_groups([member.split for member in members], groups)
    assignment = assign([member.external_id for member in members], given, groups, seed=seed)
    found = [
        _Placed(member.rowid, member.external_id, int(group), member.variant, split)
        for member, group, split in zip(members, groups, assignment.splits, strict=True)
    ]
    return found, assignment.notes


def _clusters(groups: Sequence[int], hashes: NDArray[np.uint64], titles: Sequence[str]) -> NDArray[np.int64]:
    """Cluster label of each picture, [n]: by group; those of no group (-1) by near-copies and equal titles."""
    alone = np.array(groups) < 0
    joined = Groups(len(groups))
    first: dict[int, int] = {}
    for row in np.flatnonzero(~alone).tolist():
        joined.join(row, first.setdefault(groups[row], row))
    for row in np.flatnonzero(alone).tolist():  # 20,000 pictures: a second
        for near in np.flatnonzero(np.bitwise_count(hashes ^ hashes[row]) <= NEAR_BITS)[:_NEAREST].tolist():
            joined.join(row, near)
    ours = [title if lone else "" for title, lone in zip(titles, alone, strict=True)]
    return document_clusters([""] * len(ours), ours, lambda _: joined.labels().tolist())


def _task(placed: Sequence[_Placed], read: _Read, notes: tuple[str, ...]) -> ImageTask:
    """The pictures by split. What is nearly the same picture as one of dev or test is not learned from."""
    leaks = _leaks(placed, {rowid: image.phash for rowid, image in read.records.items()})
    if leaks:
        notes += (
            f"{len(leaks)} train pictures are nearly the same as one of dev or test (perceptual hashes that differ by "
            f"{NEAR_BITS} bits or less): they are not learned from.",
        )
    kept = [picture for picture in placed if picture.rowid not in leaks]
    splits = {split: _pictures([picture for picture in kept if picture.split == split], read) for split in SPLITS}
    inside = {picture.rowid: picture for picture in placed}
    everything = [inside.get(rowid) or _elsewhere(rowid, image) for rowid, image in read.records.items()]
    _, medias = np.unique([image.media for image in read.records.values()], return_inverse=True)
    return ImageTask(
        splits,
        read.names,
        _pictures(everything, read),
        np.array([image.phash for image in read.records.values()], np.uint64),
        medias.astype(np.int64),
        notes,
    )


def _elsewhere(rowid: int, image: ImageRecord) -> _Placed:
    """A picture of no group; the figures of one document are told apart by their number."""
    name = image.external_id if image.kind == "file" else f"{image.external_id}#{image.ordinal}"
    return _Placed(rowid, name, -1, "", "train")


def _pictures(placed: Sequence[_Placed], read: _Read) -> Pictures:
    files = {picture.rowid for picture in placed if read.records[picture.rowid].kind == "file"}
    texts = [read.told.get(picture.rowid, ("", ())) if picture.rowid in files else ("", ()) for picture in placed]
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
    held_out = np.array([hashes[one.rowid] for one in placed if one.split != "train"], np.uint64)
    if not len(held_out):
        return set()
    train = [one.rowid for one in placed if one.split == "train"]
    return {row for row in train if (np.bitwise_count(held_out ^ np.uint64(hashes[row])) <= NEAR_BITS).any()}


def _told(catalog: Catalog) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Title and keywords of every image that has a passage, by row id."""
    rowids, passages = images.passages_of(catalog)
    found: dict[int, tuple[str, tuple[str, ...]]] = {}
    known = documents.by_rowid(catalog, np.unique(passages).tolist())
    for rowid, passage in zip(rowids.tolist(), passages.tolist(), strict=True):
        if rowid not in found and (text := known.get(passage)):
            found[rowid] = text.title, keywords_of(text.title, text.text)
    return found


def keywords_of(title: str, text: str) -> tuple[str, ...]:
    """The keywords in a picture's text, which an import has joined by commas; what reads like a sentence is none."""
    pieces = (piece.strip() for piece in text.split(","))
    return tuple(dict.fromkeys(piece for piece in pieces if 0 < len(_WORD.findall(piece)) <= _LONG and piece != title))


def _whole_groups(splits: Sequence[Split], groups: NDArray[np.int64]) -> list[Split | None]:
    """A group that was given to several splits goes to the last of train, dev, test: nothing held out is learned from."""
    last: dict[int, int] = {}
    for split, group in zip(splits, groups.tolist(), strict=True):
        last[group] = max(last.get(group, 0), SPLITS.index(split))
    return [SPLITS[last[group]] for group in groups.tolist()]
