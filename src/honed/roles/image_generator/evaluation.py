"""The sealed test of a painter: its drawings of held-out pictures, against the last release and against random references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.evaluate.comparison import Comparison, Questions, Trial, compare
from honed.evaluate.gate import Check, GateSettings
from honed.evaluate.ledger import Looks
from honed.evaluate.significance import confidence_after, paired
from honed.evaluate.slices import MIN_QUERIES, Slice
from honed.evaluate.wording import interval, p_value, percent, points
from honed.roles.image_generator.distance import LIKENESS, Drawn
from honed.roles.image_generator.trial import RANDOM, RETRIEVED, Exhibition, Targets

MOST_COPIES = 0.1
"""Share of drawings that may be near-copies of a reference: beyond it a search engine would have done."""

WITHOUT = "the same painter with random references"
"""The baseline of a first painter: retrieval is all that differs."""


@dataclass(frozen=True, slots=True, eq=False)
class PaintExam:
    """What was drawn of the test, measured.

    Attributes:
        targets: The held-out pictures.
        before: Name of what is live, and what it drew from retrieved references; None where nothing drew yet.
        shown: What the candidate drew.
        ids: External ids of the targets.
        styles: Names of the styles, as the painter counts them from 1.
        looks: How often the targets have been looked at, this time included.
    """

    targets: Targets
    before: tuple[str, Exhibition] | None
    shown: Exhibition
    ids: Sequence[str]
    styles: Sequence[str]
    looks: Looks

    @property
    def base(self) -> Drawn:
        """What has to be beaten."""
        return self.before[1].drawn[RETRIEVED] if self.before else self.shown.drawn[RANDOM]

    @property
    def base_name(self) -> str:
        """Its name in reports."""
        return self.before[0] if self.before else WITHOUT

    @property
    def candidate(self) -> Drawn:
        """What the candidate drew from retrieved references."""
        return self.shown.drawn[RETRIEVED]

    def compared(self, candidates_tried: int, seed: int) -> Comparison:
        """The comparison picture by picture; clusters are groups, slices are styles and whether others of a group were found."""
        questions = Questions(list(self.ids), self._clusters(), self._slices())
        trial = Trial(candidates_tried, self.looks.reads, seed=seed, **self.looks.trial())
        measured = self.base.measured, self.candidate.measured
        names = self.base_name, "drawn from retrieved references"
        base, candidate = (
            type(one)(name, self.looks.scores(one.scores)) for one, name in zip(measured, names, strict=True)
        )
        return compare(base, candidate, questions, metric=LIKENESS, trial=trial)

    def checks(self, gate: GateSettings, seed: int) -> tuple[Check, ...]:
        """What the gate asks of a painter besides being better.

        That retrieval matters, that what a network likes better is not further from the truth in pixels, and that it draws and
        does not copy.
        """
        matters = (
            () if self.before is None else (self._matters(gate, seed),)
        )  # without a last release this is the comparison itself
        return (*matters, self._pixels(gate, seed), self._copies())

    def _matters(self, gate: GateSettings, seed: int) -> Check:
        random = self.shown.drawn[RANDOM]
        sure = confidence_after(self.looks.reads, gate.confidence)
        decides = self.looks.deciding
        before, after = (np.where(decides, 1.0 - drawn.distance, np.nan) for drawn in (random, self.candidate))
        found = paired(before, after, self._clusters(), seed=seed, confidence=sure)
        low, high = found.ci
        sentence = (
            f"From retrieved references drawings are {points(found.delta)} nearer to the truth than from random ones "
            f"({percent(sure)} interval {interval(low, high)} points, p {p_value(found.p)}); {points(gate.min_gain)} are "
            "asked for."
        )
        passed = low > 0 and found.p <= 1 - sure and found.delta >= gate.min_gain
        return Check("Does retrieval matter?", passed, sentence)

    def _pixels(self, gate: GateSettings, seed: int) -> Check:
        sure = confidence_after(self.reads, gate.confidence)
        scores = 1.0 - self.base.pixels, 1.0 - self.candidate.pixels
        change = paired(*scores, self._clusters(), seed=seed, confidence=sure)
        low, high = change.ci
        sentence = (
            f"In pixels, which need no network, drawings are {points(change.delta)} nearer to the truth ({percent(sure)} "
            f"interval {interval(low, high)} points); a proven fall of more than {points(gate.max_slice_drop)} is not accepted."
        )
        return Check("Does it hold without a network?", high >= -gate.max_slice_drop, sentence)

    def _copies(self) -> Check:
        share = self.shown.near_copies
        sentence = (
            f"{percent(round(share, 3))} of the drawings are near-copies of a reference; "
            f"less than {percent(MOST_COPIES)} is accepted."
        )
        return Check("Does it draw, not copy?", share < MOST_COPIES, sentence)

    def _clusters(self) -> NDArray[Any]:
        return np.asarray(self.targets.pictures.groups[self.targets.rows])

    def _slices(self) -> tuple[Slice, ...]:
        pictures, rows = self.targets.pictures, self.targets.rows
        styles = pictures.styles[rows]
        found = [Slice(f"style: {name}", styles == number) for number, name in enumerate(self.styles, 1)]
        known = pictures.references[rows]
        same = ((pictures.groups[known] == pictures.groups[rows][:, None]) & (known >= 0)).any(axis=1)
        found += [Slice("a picture of the same thing was found", same), Slice("none was found", ~same)]
        return tuple(part for part in found if MIN_QUERIES <= part.members.sum() < len(rows))
