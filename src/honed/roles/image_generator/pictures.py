"""What a painter learns from, as arrays, and the batch of each step: a pure function of seed and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import UsageError
from honed.types import Vectors

Pixels = NDArray[np.uint8]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """All pictures that may be drawn or drawn from, n of them.

    Attributes:
        pixels: [n, side, side, 3] bytes, as `CompactPainter.preparation` makes them.
        texts: [n, text] unit vectors of what each picture is asked for by (title and keywords).
        styles: [n], number of the style from 1; 0 where it has none.
        groups: [n] labels; pictures of one group show the same thing. The clusters of the verdict.
        references: [n, k] rows of the pictures that are retrieved for each picture, best first, -1 where there are fewer. Never
            the picture itself.
    """

    pixels: Pixels
    texts: Vectors
    styles: Rows
    groups: NDArray[Any]
    references: Rows

    def __post_init__(self) -> None:
        count = len(self.pixels)
        if {len(self.texts), len(self.styles), len(self.groups), len(self.references)} != {count}:
            raise UsageError(f"Texts, styles, groups and references must be as many as the {count} pictures.")
        if bool((self.references == np.arange(count)[:, None]).any()):
            raise UsageError("A picture is among its own references: it would be learnt to copy.")


def unrelated(groups: NDArray[Any], *, rows: Rows, allowed: Rows, k: int, seed: int) -> Rows:
    """References drawn by lot from other groups, [len(rows), k]: what retrieval is held against.

    Raises:
        UsageError: There are too few pictures of other groups.
    """
    random = np.random.default_rng(seed)
    chosen = np.empty((len(rows), k), np.int64)
    for at, row in enumerate(rows):
        others = allowed[groups[allowed] != groups[row]]
        if len(others) < k:
            raise UsageError(f"{len(others)} pictures of other groups are too few for {k} random references.")
        chosen[at] = random.choice(others, k, replace=False)
    return chosen


def by_lot(rows: Rows, most: int, seed: int) -> Rows:
    """Some of the rows, by lot, in order; all where there are no more than `most`."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng([seed, len(rows)]).choice(rows, most, replace=False))


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How examples are varied, so that the painter copes with what it will meet.

    Attributes:
        counts: Chance of drawing from 0, 1, 2, ... references; the last stands for all there are.
        wrong: Chance that a reference is one of an unrelated picture, as retrieval errs too.
        wordless: Chance that the text is left out; a third of it where there are no references.
        styleless: Chance that the style is left out.
        mirrored: Chance that target and references are mirrored together.
        recoloured: Chance that red, green and blue change places in target and references together.
    """

    counts: tuple[float, ...] = (0.1, 0.1, 0.1, 0.7)
    wrong: float = 0.03
    wordless: float = 0.3
    styleless: float = 0.1
    mirrored: float = 0.5
    recoloured: float = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Examples of one step, b of them, as bytes: a target and what it is to be drawn from."""

    targets: Pixels
    references: Pixels
    present: NDArray[np.bool_]
    styles: Rows
    texts: Vectors
    worded: NDArray[np.bool_]
    altered: NDArray[np.bool_]


def epoch_rows(rows: Rows, size: int, seed: int, step: int) -> Rows:
    """The pictures of a step: every one comes once an epoch, in an order that seed and epoch decide."""
    steps = len(rows) // size
    if steps == 0:  # fewer pictures than a batch holds
        return np.asarray(np.random.default_rng([seed, step]).choice(rows, size))
    epoch, at = divmod(step, steps)
    order = np.random.default_rng([seed, epoch]).permutation(rows)
    return np.asarray(order[at * size : (at + 1) * size])


def make_batch(
    pictures: Pictures, rows: Rows, chosen: Rows, augmentation: Augmentation, random: np.random.Generator
) -> Batch:
    """The examples of a step.

    Args:
        pictures: What there is.
        rows: The pictures that may be seen in training, for wrong references.
        chosen: The targets.
        augmentation: How they are varied.
        random: Of this step alone.
    """
    size, slots = len(chosen), pictures.references.shape[1]
    slot_rows = _slots(pictures.references[chosen], augmentation, random)
    present = slot_rows >= 0
    wrong = present & (random.random((size, slots)) < augmentation.wrong)
    slot_rows[wrong] = random.choice(rows, int(wrong.sum()))
    references = np.where(present[..., None, None, None], pictures.pixels[slot_rows], np.uint8(0))
    wordless = np.where(present.any(axis=1), augmentation.wordless, augmentation.wordless / 3)
    styles = np.where(random.random(size) < augmentation.styleless, 0, pictures.styles[chosen])
    worded = random.random(size) >= wordless
    targets, altered = pictures.pixels[chosen].copy(), np.zeros((size, 2), bool)
    altered[:, 0] = random.random(size) < augmentation.mirrored
    altered[:, 1] = random.random(size) < augmentation.recoloured
    for at in np.flatnonzero(altered[:, 0]):
        targets[at], references[at] = targets[at, :, ::-1].copy(), references[at, :, :, ::-1].copy()
    for at in np.flatnonzero(altered[:, 1]):
        colours = random.permutation(3)
        targets[at], references[at] = targets[at][..., colours], references[at][..., colours]
    return Batch(targets, references, present, styles, pictures.texts[chosen], worded, altered)


def _slots(candidates: Rows, augmentation: Augmentation, random: np.random.Generator) -> Rows:
    """Which reference stands in which slot, -1 for none: some of the candidates in any order, as many as `counts` says."""
    filled = np.full_like(candidates, -1)
    counts = random.choice(len(augmentation.counts), len(candidates), p=augmentation.counts)
    for at, count in enumerate(counts):
        present = random.permutation(candidates[at][candidates[at] >= 0])
        kept = present if count == len(augmentation.counts) - 1 else present[:count]
        filled[at, : len(kept)] = kept
    return filled


def batch_of(
    pictures: Pictures, rows: Rows, *, seed: int, step: int, size: int, augmentation: Augmentation | None = None
) -> Batch:
    """The batch of a step of a training on `rows`."""
    chosen = epoch_rows(rows, size, seed, step)
    random: np.random.Generator = np.random.default_rng([seed, 1, step])
    return make_batch(pictures, rows, chosen, augmentation or Augmentation(), random)


def labels(values: Sequence[str]) -> Rows:
    """Numbers for names, from 1 in alphabetical order; 0 for an empty name."""
    numbers = {name: number for number, name in enumerate(sorted(set(values) - {""}), 1)}
    return np.array([numbers.get(value, 0) for value in values], np.int64)
