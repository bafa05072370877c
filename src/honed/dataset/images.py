"""The image task as arrays: which pictures show the same thing, in which split, and what a text might ask for.

Image to image: a picture of a group asks for the others of its group. Text to image: a picture's own caption cannot be both
the question and what is indexed, or finding it would prove nothing. So a question is made of keywords that the title lacks,
only titles are indexed, and a part of the pictures has no title at all, as in any real collection: those are the
reason to look at what is seen.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from honed.catalog import Catalog, documents, images
from honed.dataset.clusters import Groups, document_clusters
from honed.dataset.splits import assign, join
from honed.types import SPLITS, Split

KEYWORDS = 3
"""Keywords a question is made of, at most: people type few words."""

BARE = 0.5
"""Share of pictures whose title is hidden from search in a test of text to image."""

MOST_QUESTIONS = 1000
"""Questions of a split, at most: their scores against 20,000 pictures are 80 MB."""

NEAR_BITS = 4
"""Differing bits of the perceptual hash up to which two pictures count as one: of no group, they go to one split; in groups of
different splits, the train one is not learned from (97 of 2,940 train pictures of emoji-images, where symbols are alike)."""

_WORD = re.compile(r"\w+")
_NEAREST = 32  # near-copies that are joined one by one; a thousand blank pages need not be paired a million times
_LONG = 4  # words from which on a piece of text is a sentence and no keyword


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """The pictures of one split, in the order of their row ids.

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
    """Everything that image tuning learns from and is measured by; `names` are the groups'."""

    splits: dict[Split, Pictures]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


class _Placed(NamedTuple):
    """A picture with its label (equal where pictures belong together) and its split."""

    rowid: int
    external_id: str
    label: int
    variant: str
    split: Split


def load_image_task(catalog: Catalog, *, seed: int) -> ImageTask:
    """Read the grouped pictures of the catalog as they are at one moment; splits that are missing are drawn by group."""
    with catalog.snapshot():
        members = images.groups(catalog)
        hashes = dict(zip(*(column.tolist() for column in images.phashes(catalog)), strict=True))
        told = _told(catalog)
    names = tuple(dict.fromkeys(member.group for member in members))
    placed, notes = _placed(members, names, seed=seed)
    return _task(placed, hashes, told, ImageTask({}, names, notes))


def load_caption_task(catalog: Catalog, *, seed: int) -> ImageTask:
    """Read the picture files of which something is said, in a group or not, as they are at one moment.

    Grouped pictures are split as `load_image_task` splits them. The others need no group: each is a cluster of its own,
    with its near-copies and with what has the same title, and its split is drawn, 60/20/20.
    """
    with catalog.snapshot():
        members = images.groups(catalog)
        files = images.files(catalog)
        hashes = dict(zip(*(column.tolist() for column in images.phashes(catalog)), strict=True))
        told = _told(catalog)
    names = tuple(dict.fromkeys(member.group for member in members))
    placed, notes = _placed(members, names, seed=seed)
    known = {one.rowid: one for one in placed}
    kept = [(rowid, name) for rowid, name in files if rowid in told]
    given = [known.get(rowid) for rowid, _ in kept]
    labels = _clusters(
        [one.label if one else -1 for one in given],
        np.array([hashes[rowid] for rowid, _ in kept], np.uint64),
        [told[rowid][0] for rowid, _ in kept],
    )
    if any(one is None for one in given):
        fixed = [one.split if one else None for one in given]
        assignment = join([name for _, name in kept], fixed, labels, seed=seed)
        splits, notes = assignment.splits, (*notes, *assignment.notes)
    else:
        splits = tuple(one.split for one in given if one)
    placed = [
        _Placed(rowid, name, int(label), one.variant if one else "", split)
        for (rowid, name), one, label, split in zip(kept, given, labels, splits, strict=True)
    ]
    return _task(placed, hashes, told, ImageTask({}, names, notes))


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


def _task(
    placed: Sequence[_Placed], hashes: dict[int, int], told: dict[int, tuple[str, tuple[str, ...]]], empty: ImageTask
) -> ImageTask:
    """The pictures by split. What is nearly the same picture as one of dev or test is not learned from."""
    leaks = _leaks(placed, hashes)
    notes = list(empty.notes)
    if leaks:
        notes.append(
            f"{len(leaks)} train pictures are nearly the same as one of dev or test (perceptual hashes that differ by "
            f"{NEAR_BITS} bits or less): they are not learned from."
        )
    splits: dict[Split, Pictures] = {}
    for split in SPLITS:
        rows = [one for one in placed if one.split == split and one.rowid not in leaks]
        texts = [told.get(one.rowid, ("", ())) for one in rows]
        splits[split] = Pictures(
            np.array([one.rowid for one in rows], np.int64),
            tuple(one.external_id for one in rows),
            np.array([one.label for one in rows], np.int64),
            tuple(one.variant for one in rows),
            tuple(title for title, _ in texts),
            tuple(words for _, words in texts),
        )
    return ImageTask(splits, empty.names, tuple(notes))


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


# -- text to image -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class TextQueries:
    """Questions in words about the pictures of one split.

    Attributes:
        texts: [q] keywords, joined by spaces; each question once, as pictures of one group ask the same.
        relevant: [q, n] pictures that carry all keywords of a question.
        clusters: [q] group of the picture whose keywords they are.
        bare: [n] pictures whose title is hidden from search.
    """

    texts: tuple[str, ...]
    relevant: NDArray[np.bool_]
    clusters: NDArray[np.int64]
    bare: NDArray[np.bool_]


def text_queries(pictures: Pictures, *, seed: int, bare: float = BARE, most: int = MOST_QUESTIONS) -> TextQueries:
    """Questions from keywords that a picture's own title does not hold, and the pictures that search knows no title of.

    Which keywords, which pictures and, where there are more than `most`, which questions is a hash of seed and text, so it
    does not change when pictures come. Hiding titles belongs to the test: live search knows every caption that there is.
    """
    asked = [unsaid(title, words, seed=seed) for title, words in zip(pictures.titles, pictures.keywords, strict=True)]
    first: dict[str, int] = {}
    for row, words in enumerate(asked):
        if words:
            first.setdefault(" ".join(words), row)
    kept = set(sorted(first, key=lambda text: _draw(f"{seed}:question:{text}"))[:most])
    rows = {text: row for text, row in first.items() if text in kept}
    carriers: defaultdict[str, set[int]] = defaultdict(set)
    for row, words in enumerate(pictures.keywords):
        for word in words:
            carriers[word].add(row)
    relevant = np.zeros((len(rows), len(pictures)), bool)
    for place, row in enumerate(rows.values()):
        relevant[place, list(set.intersection(*(carriers[word] for word in asked[row])))] = True
    hidden = np.array([_draw(f"{seed}:{name}") < bare for name in pictures.ids], bool)
    return TextQueries(tuple(rows), relevant, pictures.groups[list(rows.values())], hidden)


def title_queries(pictures: Pictures, bare: NDArray[np.bool_], *, seed: int, most: int = MOST_QUESTIONS) -> TextQueries:
    """Questions that are a title which search knows, and all pictures that carry it: what captions alone find already.

    Nobody who types a caption may lose by a search that was tuned on questions which no caption answers.
    """
    titles = np.array(pictures.titles)
    first: dict[str, int] = {}
    for row in np.flatnonzero(~bare).tolist():
        if pictures.titles[row].strip():
            first.setdefault(pictures.titles[row], row)
    kept = set(sorted(first, key=lambda text: _draw(f"{seed}:question:{text}"))[:most])
    rows = {text: row for text, row in first.items() if text in kept}
    relevant = np.array([titles == text for text in rows], bool).reshape(len(rows), len(pictures))
    return TextQueries(tuple(rows), relevant, pictures.groups[list(rows.values())], bare)


def unsaid(title: str, keywords: Sequence[str], *, seed: int) -> tuple[str, ...]:
    """Up to `KEYWORDS` keywords that share no word with the title, drawn by hash."""
    said = set(_WORD.findall(title.casefold()))
    rest = [word for word in keywords if not said & set(_WORD.findall(word.casefold()))]
    return tuple(sorted(rest, key=lambda word: _draw(f"{seed}:{title}:{word}"))[:KEYWORDS])


def caption_pairs(pictures: Pictures, *, seed: int) -> tuple[list[str], NDArray[np.int64]]:
    """Texts to learn from, and the picture [p] that each belongs to: the title, keywords it lacks, and everything said."""
    texts: list[str] = []
    rows: list[int] = []
    for row, (title, words) in enumerate(zip(pictures.titles, pictures.keywords, strict=True)):
        options = (title, " ".join(unsaid(title, words, seed=seed)), " ".join(words), " ".join((title, *words)))
        for text in dict.fromkeys(option.strip() for option in options if option.strip()):
            texts.append(text)
            rows.append(row)
    return texts, np.array(rows, np.int64)


def _draw(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
