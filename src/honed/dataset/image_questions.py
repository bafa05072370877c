"""Questions in words about pictures, and what a search of captions may know when it answers them.

Up to three keywords that a picture's title lacks ask for the pictures of the split that carry them all, among
all pictures. Pictures of other splits that carry them are right as well, but may have been learned from with these very words:
they are neither right nor wrong and are taken out of the ranking, as a residual collection (Salton and Buckley 1990).

What is known of the pictures makes four tests of the same questions (`SHIPPED` and those below it). The first one decides,
because it is what ships: live search knows all words of every picture, so those of the asked pictures are hidden only in the
share in which pictures of this workspace have no words at all. Where all have words, nothing is hidden, and most questions
can be answered by words alone: if seeing adds nothing then, that is what the user needs to know. The others tell what seeing is
worth where words are missing. Base and candidate always know the same.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from honed.dataset.images import Pictures

KEYWORDS = 3
"""Keywords a question is made of, at most: people type few words."""

SHIPPED = "as it ships"
"""Search knows all words of every picture, but for the share of the asked ones in which pictures have no words here at all."""

TITLES = "titles alone"
"""Search knows no keyword of any picture, so that no asked word stands in its caption."""

HALF = "half of the titles"
"""Moreover every second title is hidden."""

UNDESCRIBED = "no words of the asked"
"""Search knows nothing of the pictures that are asked for, and everything of the others."""

BARE = 0.5
"""Share of pictures whose title is hidden under `HALF`."""

MOST_QUESTIONS = 1000
"""Questions of a split, at most: their scores against 20,000 pictures are 80 MB."""

_WORD = re.compile(r"\w+")
_LETTERS = re.compile(r"[^\W\d_]+")
_CAMERAS = frozenset("img dsc dscn dscf pxl mvimg dcim image photo picture screenshot scan untitled".split())
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class TextQueries:
    """Questions in words about the pictures of one split, among all n pictures.

    Attributes:
        texts: [q] what is asked; each question once, as pictures of one group ask the same.
        relevant: [q, n] pictures of the split that are right.
        left_out: [q, n] pictures of other splits that would be right, too: no part of the ranking.
        clusters: [q] group of the picture that the words were taken from.
    """

    texts: tuple[str, ...]
    relevant: NDArray[np.bool_]
    left_out: NDArray[np.bool_]
    clusters: NDArray[np.int64]


def text_queries(
    pictures: Pictures, places: NDArray[np.int64], *, seed: int, most: int = MOST_QUESTIONS
) -> TextQueries:
    """Questions of keywords that a picture's own title does not hold.

    Which keywords and, where there are more than `most`, which questions is a hash of seed and text, so it does not change when
    pictures come.

    Args:
        pictures: All.
        places: Of those that are asked for.
        seed: Of the draw.
        most: Questions.
    """
    asked: dict[str, tuple[int, tuple[str, ...]]] = {}
    for row in places.tolist():
        words = unsaid(pictures.titles[row], pictures.keywords[row], seed=seed)
        if words:
            asked.setdefault(" ".join(words), (row, words))
    kept = _kept(asked, seed=seed, most=most)
    carriers: defaultdict[str, set[int]] = defaultdict(set)
    for row, words in enumerate(pictures.keywords):
        for word in words:
            carriers[word].add(row)
    right = np.zeros((len(kept), len(pictures)), bool)
    for at, (_, words) in enumerate(kept.values()):
        right[at, list(set.intersection(*(carriers[word] for word in words)))] = True
    return _queries(kept, [row for row, _ in kept.values()], right, pictures, places)


def title_queries(
    pictures: Pictures, places: NDArray[np.int64], hidden: NDArray[np.bool_], *, seed: int, most: int = MOST_QUESTIONS
) -> TextQueries:
    """Questions that are a title which search knows, and all pictures that carry it: what captions alone find already.

    Nobody who types a caption may lose by a search that was tuned on questions which captions answer less well.

    Args:
        pictures: All.
        places: Of those that are asked for.
        hidden: [n] pictures whose words search does not know.
        seed: Of the draw.
        most: Questions.
    """
    asked: dict[str, int] = {}
    for row in places[~hidden[places]].tolist():
        if says_something(pictures.titles[row]):
            asked.setdefault(pictures.titles[row], row)
    kept = _kept(asked, seed=seed, most=most)
    titles = np.array(pictures.titles)
    right = np.array([titles == text for text in kept], bool).reshape(len(kept), len(pictures))
    return _queries(kept, list(kept.values()), right, pictures, places)


def _kept(asked: dict[str, _T], *, seed: int, most: int) -> dict[str, _T]:
    """At most so many questions, by hash, in their order."""
    kept = set(sorted(asked, key=lambda text: _draw(f"{seed}:question:{text}"))[:most])
    return {text: value for text, value in asked.items() if text in kept}


def _queries(
    texts: Iterable[str],
    sources: Sequence[int],
    right: NDArray[np.bool_],
    pictures: Pictures,
    places: NDArray[np.int64],
) -> TextQueries:
    inside = np.zeros(len(pictures), bool)
    inside[places] = True
    return TextQueries(tuple(texts), right & inside, right & ~inside, pictures.groups[list(sources)])


def half_hidden(pictures: Pictures, *, seed: int) -> NDArray[np.bool_]:
    """[n] every second picture, by hash: those whose title is hidden under `HALF`."""
    return np.array([_draw(f"{seed}:{name}") < BARE for name in pictures.ids], bool)


def says_something(title: str) -> bool:
    """Whether a title can be asked for: "red panda 02" can, "IMG 2034" and "0017" cannot. Words have three letters of ASCII."""
    words = _LETTERS.findall(title.casefold())
    return any(word not in _CAMERAS and (len(word) >= 3 or not word.isascii()) for word in words)


def wordless(
    pictures: Pictures, places: NDArray[np.int64], captioned: NDArray[np.bool_], *, seed: int
) -> NDArray[np.bool_]:
    """[n] pictures whose words are hidden under `SHIPPED`: of those that are asked for, the share that has none of all.

    A picture has none if it has no caption, or one that says nothing: the name that a camera gave its file.

    Args:
        pictures: All.
        places: Of those that are asked for; each has words, or nothing could be asked.
        captioned: [n] whether live search knows a caption of a picture.
        seed: Of the draw, which does not change when pictures come.
    """
    mute = [
        bool(title) and not words and not says_something(title)
        for title, words in zip(pictures.titles, pictures.keywords, strict=True)
    ]
    share = float((~captioned | np.array(mute, bool)).mean()) if len(pictures) else 0.0
    hidden = np.zeros(len(pictures), bool)
    hidden[places] = [_draw(f"{seed}:wordless:{pictures.ids[row]}") < share for row in places.tolist()]
    return hidden


def unsaid(title: str, keywords: Sequence[str], *, seed: int) -> tuple[str, ...]:
    """Up to `KEYWORDS` keywords that share no word with the title, drawn by hash."""
    title_words = set(_WORD.findall(title.casefold()))
    rest = [word for word in keywords if not title_words & set(_WORD.findall(word.casefold()))]
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
