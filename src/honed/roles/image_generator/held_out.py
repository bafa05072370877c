"""A painter on held-out pictures: drawn from what was retrieved, from random references, and from none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from honed.models.painter.compact import CompactPainter, Orders
from honed.models.painter.sampler import Sampling
from honed.roles.image_generator.distance import (
    Drawn,
    copy_threshold,
    kid,
    map_distance,
    near_copy_share,
    pixel_distance,
)
from honed.roles.image_generator.perceptual import PerceptualFeatures
from honed.roles.image_generator.pictures import Pictures, Rows, unrelated

RETRIEVED, RANDOM, NONE = "retrieved", "random", "none"
KINDS = RETRIEVED, RANDOM, NONE

KIND_NAMES = {
    RETRIEVED: "drawn from retrieved references",
    RANDOM: "the same painter with random references",
    NONE: "the same painter without references",
}
"""What a reader calls them."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Drawings:
    """What one painter drew of the targets, and how it was measured.

    Attributes:
        drawn: By kind of references: "retrieved", "random", "none".
        pictures: [n, side, side, 3] the drawings, by kind.
        near_copies: Share of the drawings from retrieved references that are nearly copies of one.
        threshold: The distance below which a drawing counts as one.
    """

    drawn: Mapping[str, Drawn]
    pictures: Mapping[str, Pixels]
    near_copies: float
    threshold: float

    @property
    def gain(self) -> float:
        """By which share the distance to the true drawing is lower with retrieved than with random references."""
        return self.drawn[RETRIEVED].nearer_than(self.drawn[RANDOM])


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Held-out pictures that a painter has to draw without seeing them.

    Attributes:
        pictures: What there is.
        rows: The targets, in order.
        gallery: All of their split that may be drawn, in order; random references come from it.
        threshold: From `real_threshold` on train.
        seed: Of noise and lots.
    """

    pictures: Pictures
    rows: Rows
    gallery: Rows
    threshold: float
    seed: int = 0

    def references(self, kind: str) -> Rows:
        """[len(rows), k] references of a kind."""
        retrieved = self.pictures.references[self.rows]
        if kind == RETRIEVED:
            return retrieved
        if kind == NONE:
            return np.full_like(retrieved, -1)
        groups = self.pictures.groups
        return unrelated(groups, rows=self.rows, allowed=self.gallery, k=retrieved.shape[1], seed=self.seed)

    def spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of the targets as values of the whole gallery, in its order; NaN for what is no target."""
        whole = np.full(len(self.gallery), np.nan)
        whole[np.searchsorted(self.gallery, self.rows)] = values
        return whole


Draw = Callable[[Targets, Rows], Pixels]
"""Draws targets from references [n, k] (-1 for none), [n, side, side, 3]; the noise is the targets' own."""


def by_compact(painter: CompactPainter, sampling: Sampling | None = None) -> Draw:
    """How a compact painter draws; `sampling` if not by its own steps and guidance."""

    def draw(targets: Targets, references: Rows) -> Pixels:
        return painter.paint(orders_for(targets.pictures, targets.rows, references, seed=targets.seed), sampling)

    return draw


def orders_for(pictures: Pictures, rows: Rows, references: Rows, *, seed: int) -> Orders:
    """Orders to draw some pictures anew from references [len(rows), k] (-1 for none), in their style and by their text."""
    return Orders(
        references=pictures.pixels[references],
        present=references >= 0,
        styles=pictures.styles[rows],
        texts=pictures.texts[rows],
        seeds=[seed + number for number in range(len(rows))],
    )


def draw_and_measure(
    draw: Draw,
    targets: Targets,
    perception: PerceptualFeatures,
    *,
    kinds: Sequence[str] = KINDS,
) -> Drawings:
    """Let a painter draw every target from retrieved, from random and from no references, with the same noise, and measure.

    Args:
        draw: Who draws.
        targets: What.
        perception: Who looks.
        kinds: Some of `KINDS`, retrieved among them.
    """
    pictures, rows = targets.pictures, targets.rows
    truth = pictures.pixels[rows]
    true_maps, true_features = perception(truth)
    unasked = np.full(pictures.references[rows].shape, np.nan)  # only what was retrieved can have been copied
    drawn: dict[str, Drawn] = {}
    made: dict[str, Pixels] = {}
    for kind in kinds:
        references = targets.references(kind)
        made[kind] = draw(targets, references)
        maps, features = perception(made[kind])
        drawn[kind] = Drawn(
            kind,
            map_distance(maps, true_maps),
            pixel_distance(made[kind], truth),
            distances_to(maps, pictures, references, perception) if kind == RETRIEVED else unasked,
            kid(features, true_features),
        )
    share = near_copy_share(drawn[RETRIEVED].to_references, targets.threshold)
    return Drawings(drawn, made, share, targets.threshold)


def real_threshold(pictures: Pictures, rows: Rows, perception: PerceptualFeatures) -> float:
    """The near-copy threshold from real pictures: distances of those of `rows` to each of their own references."""
    maps, _ = perception(pictures.pixels[rows])
    return copy_threshold(distances_to(maps, pictures, pictures.references[rows], perception))


def distances_to(
    maps: list[NDArray[np.float16]], pictures: Pictures, references: Rows, perception: PerceptualFeatures
) -> NDArray[np.float64]:
    """[n, k] from pictures with these maps to each of their references; NaN where there is none."""
    distances = np.full(references.shape, np.nan)
    if not (references >= 0).any():
        return distances
    used, places = np.unique(references, return_inverse=True)
    places = places.reshape(references.shape)
    reference_maps, _ = perception(pictures.pixels[used])
    for slot in range(references.shape[1]):
        distance = map_distance(maps, [layer[places[:, slot]] for layer in reference_maps])
        distances[:, slot] = np.where(references[:, slot] >= 0, distance, np.nan)
    return distances
