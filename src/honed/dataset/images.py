"""The image task as arrays: which pictures show the same thing, in which split, and what a text might ask for.

Image to image: a picture of a group asks for the others of its group. Text to image: a picture's own caption cannot be both
the question and what is indexed, or finding it would prove nothing. So a question is made of keywords that the title lacks,
only titles are indexed, and a part of the pictures has no title at all, as in any real collection: those are the
reason to look at what is seen.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from honed.catalog import Catalog, documents, images
from honed.dataset.splits import assign
from honed.types import SPLITS, Split

KEYWORDS = 3
"""Keywords a question is made of, at most: people type few words."""

BARE = 0.5
"""Share of pictures whose title is hidden from search in a test of text to image."""

_WORD = re.compile(r"\w+")
_LONG = 4  # words from which on a piece of text is a sentence and no keyword


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """The pictures of one split, in the order of their row ids.

    Attributes:
        rowids: [n] of the catalog's images.
        ids: [n] external ids.
        groups: [n] index into the task's `names`.
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


def load_image_task(catalog: Catalog, *, seed: int) -> ImageTask:
    """Read the grouped pictures of the catalog as they are at one moment; splits that are missing are drawn by group."""
    with catalog.snapshot():
        members = images.groups(catalog)
        media = dict(zip(*_listed(images.medias(catalog)), strict=True))
        told = _told(catalog)
    names = tuple(dict.fromkeys(member.group for member in members))
    index = {name: place for place, name in enumerate(names)}
    groups = np.array([index[member.group] for member in members], np.int64)
    given = _whole_groups([member.split for member in members], groups)
    assignment = assign([member.external_id for member in members], given, groups, seed=seed)
    where, notes = np.array(assignment.splits), list(assignment.notes)
    held_out = {media[member.rowid] for member, split in zip(members, where, strict=True) if split != "train"}
    leaks = np.array([media[member.rowid] in held_out for member in members], bool) & (where == "train")
    if leaks.any():
        notes.append(
            f"{leaks.sum()} train pictures are also in dev or test, pixel by pixel: they are not learned from."
        )
    splits: dict[Split, Pictures] = {}
    for split in SPLITS:
        rows = np.flatnonzero((where == split) & ~leaks)
        texts = [told.get(members[row].rowid, ("", ())) for row in rows]
        splits[split] = Pictures(
            np.array([members[row].rowid for row in rows], np.int64),
            tuple(members[row].external_id for row in rows),
            groups[rows],
            tuple(members[row].variant for row in rows),
            tuple(title for title, _ in texts),
            tuple(words for _, words in texts),
        )
    return ImageTask(splits, names, tuple(notes))


def _listed(columns: tuple[NDArray[np.int64], list[str]]) -> tuple[list[int], list[str]]:
    return columns[0].tolist(), columns[1]


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
        texts: [q] keywords, joined by spaces.
        relevant: [q, n] pictures that carry all keywords of a question.
        clusters: [q] group of the picture whose keywords they are.
        bare: [n] pictures whose title is hidden from search.
    """

    texts: tuple[str, ...]
    relevant: NDArray[np.bool_]
    clusters: NDArray[np.int64]
    bare: NDArray[np.bool_]

    def without_repeats(self) -> TextQueries:
        """Each question once: pictures of one group ask the same."""
        _, first = np.unique(np.array(self.texts), return_index=True)
        rows = np.sort(first)
        return replace(
            self,
            texts=tuple(self.texts[row] for row in rows),
            relevant=self.relevant[rows],
            clusters=self.clusters[rows],
        )


def text_queries(pictures: Pictures, *, seed: int, bare: float = BARE) -> TextQueries:
    """Questions from keywords that a picture's own title does not hold, and the pictures that search knows no title of.

    Which keywords and which pictures is a hash of seed and id, so it does not change when pictures come.
    """
    asked = [unsaid(title, words, seed=seed) for title, words in zip(pictures.titles, pictures.keywords, strict=True)]
    rows = [row for row, words in enumerate(asked) if words]
    carried = [set(words) for words in pictures.keywords]
    relevant = np.array([[set(asked[row]) <= words for words in carried] for row in rows], bool)
    hidden = np.array([_draw(f"{seed}:{name}") < bare for name in pictures.ids], bool)
    queries = TextQueries(
        tuple(" ".join(asked[row]) for row in rows),
        relevant.reshape(len(rows), len(pictures)),
        pictures.groups[rows],
        hidden,
    )
    return queries.without_repeats()


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
