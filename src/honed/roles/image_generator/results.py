"""What was drawn of the held-out pictures, and what is asked of drawings besides being nearer to the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from honed.evaluate.comparison import Measured, Trial
from honed.evaluate.gate import Check, GateSettings
from honed.evaluate.significance import Paired, confidence_after, paired
from honed.evaluate.wording import interval, p_value, percent, points
from honed.roles.image_generator.distance import Drawn
from honed.roles.image_generator.held_out import KIND_NAMES, NONE, RANDOM, RETRIEVED, Drawings, Pixels, Targets

MOST_COPIES = 0.1
"""Share of drawings that may be near-copies of a reference: beyond it a search engine would have done."""


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What was drawn of the test, measured.

    Attributes:
        targets: The held-out pictures that were drawn.
        before: Name of what is live, and what it drew from retrieved references; None where nothing drew yet.
        candidate: What the candidate drew.
    """

    targets: Targets
    before: tuple[str, Drawings] | None
    candidate: Drawings

    @property
    def base(self) -> Drawn:
        """What has to be beaten."""
        return self.before[1].drawn[RETRIEVED] if self.before else self.candidate.drawn[RANDOM]

    @property
    def base_pictures(self) -> Pixels:
        """[n, side, side, 3] the baseline's drawings."""
        return self.before[1].pictures[RETRIEVED] if self.before else self.candidate.pictures[RANDOM]

    @property
    def base_name(self) -> str:
        """Its name in reports."""
        return self.before[0] if self.before else KIND_NAMES[RANDOM]

    def measured(self, drawn: Drawn, name: str) -> Measured:
        """Scores of every picture that may be drawn; NaN for those that the plan left out."""
        scores = {metric: self.targets.spread(values) for metric, values in drawn.measured.scores.items()}
        return Measured(name, scores)

    def others(self) -> tuple[Measured, ...]:
        """The candidate from worse references, for comparison."""
        kinds = (RANDOM, NONE) if self.before else (NONE,)
        return tuple(self.measured(self.candidate.drawn[kind], KIND_NAMES[kind]) for kind in kinds)

    def checks(self, gate: GateSettings, trial: Trial) -> tuple[Check, ...]:
        """What the gate asks of a painter besides being better.

        That retrieval matters, that what a network likes better is not further from the truth in pixels, and that it draws and
        does not copy. Without a last release the first is the comparison itself.
        """
        matters = () if self.before is None else (self._matters(gate, trial),)
        return (*matters, self._pixels(gate, trial), self._copies())

    def _matters(self, gate: GateSettings, trial: Trial) -> Check:
        sure = confidence_after(trial.test_reads, gate.confidence)
        drawn = self.candidate.drawn
        change = self._paired(1.0 - drawn[RANDOM].distance, 1.0 - drawn[RETRIEVED].distance, sure, trial)
        low, high = change.ci
        sentence = (
            f"From retrieved references drawings are {points(change.delta)} nearer to the truth than from random ones "
            f"({percent(sure)} interval {interval(low, high)} points, p {p_value(change.p)}); {points(gate.min_gain)} are "
            "asked for."
        )
        passed = low > 0 and change.p <= 1 - sure and change.delta >= gate.min_gain
        return Check("Does retrieval matter?", passed, sentence)

    def _pixels(self, gate: GateSettings, trial: Trial) -> Check:
        sure = confidence_after(trial.test_reads, gate.confidence)
        candidate = self.candidate.drawn[RETRIEVED]
        change = self._paired(1.0 - self.base.pixels, 1.0 - candidate.pixels, sure, trial)
        low, high = change.ci
        sentence = (
            f"In pixels, which need no network, drawings are {points(change.delta)} nearer to the truth ({percent(sure)} "
            f"interval {interval(low, high)} points); a proven fall of more than {points(gate.max_slice_drop)} is not accepted."
        )
        return Check("Does it hold without a network?", high >= -gate.max_slice_drop, sentence)

    def _copies(self) -> Check:
        share = self.candidate.near_copies
        sentence = (
            f"{percent(round(share, 3))} of the drawings are near-copies of a reference; "
            f"less than {percent(MOST_COPIES)} is accepted."
        )
        return Check("Does it draw, not copy?", share < MOST_COPIES, sentence)

    def _paired(
        self, before: NDArray[np.float64], after: NDArray[np.float64], confidence: float, trial: Trial
    ) -> Paired:
        """Scores of the targets in pairs, over those that decide."""
        scores = [self.targets.spread(values) for values in (before, after)]
        if trial.fresh_only and trial.fresh is not None:
            scores = [np.where(trial.fresh, values, np.nan) for values in scores]
        clusters = self.targets.pictures.groups[self.targets.gallery]
        return paired(scores[0], scores[1], clusters, seed=trial.seed, confidence=confidence)
