"""Seconds: what counts on the keyword side, and how both sides are fused. No model changes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.answer.fusion import WEIGHTS, FusionSettings, Normalisation
from honed.answer.settings import RetrievalSettings
from honed.evaluate.board import Choice
from honed.evaluate.metrics import Scores
from honed.evaluate.significance import standard_error
from honed.index.lexical import LexicalSettings
from honed.roles.retriever.training import TrainingContext
from honed.roles.retriever.weighing import weighed
from honed.tuning.candidate import Candidate

CHOICES: tuple[tuple[dict[str, Any], ...], ...] = (
    ({"drop_stop_words": False},),
    ({"presence": 0.5}, {"presence": 2.0}),
    ({"exact": 0.5}, {"exact": 1.0}),
    ({"title_weight": 0.25}, {"title_weight": 0.5}, {"title_weight": 1.0}),
    ({"longest": 32}, {"longest": 16}),
)
"""What may differ from plain BM25, one after the other; each starts from what was chosen before it."""

NORMALISATIONS: tuple[Normalisation, ...] = ("z", "min-max")
"""What may be better than absolute scores."""

TRIED_AT = tuple(FusionSettings("z", weight) for weight in (0.0, 0.3, 0.6))
"""Fusions under which ways to count words are compared, each under the one that suits it best."""

COARSE = WEIGHTS[::2]
"""Weights of the vector side; on as many questions as there are here, half the grid that a stage on dev alone has."""


def tune_settings(context: TrainingContext) -> Candidate:
    """Pick the settings where nothing was fitted: dev, and train while no model has learned from it."""
    started = time.monotonic()
    search = _Search(context)
    best = search.no_worse_than_before(search.fused(search.worded()))
    pools = context.dev.pools(context.dev_queries, context.dense, best.retrieval.lexical)
    return Candidate(
        name="settings",
        what=str(best.retrieval),
        dev=context.dev.primary(pools, best.retrieval.fusion),
        seconds=time.monotonic() - started,
        tried=search.tried,
        values={"retrieval": best.retrieval.as_dict()},
        details={"questions": len(context.fair.labelled.queries)},
    )


@dataclass
class _Search:
    """One pass over the choices; `tried` counts the variants."""

    context: TrainingContext
    tried: int = field(default=0)

    def worded(self) -> LexicalSettings:
        """What counts on the keyword side. Titles that stand in for questions say nothing about it: then it stays plain."""
        best = LexicalSettings.plain()
        if self.context.task.origin == "proxy":
            return best
        scores = self._at_best(best)
        for changes in CHOICES:
            variants = [replace(best, **change) for change in changes]
            results = [self._at_best(variant) for variant in variants]
            top = max(range(len(results)), key=lambda place: float(np.nanmean(results[place])))
            if self._better(results[top], scores):
                best, scores = variants[top], results[top]
        return best

    def fused(self, lexical: LexicalSettings) -> Choice:
        """How both sides are fused: absolute scores, unless something else is clearly better at its own best weight."""
        board = self.context.fair
        pools = board.pools(self.context.fair_queries, self.context.dense, lexical)
        best = weighed(board, pools, RetrievalSettings(lexical), COARSE)
        for normalisation in NORMALISATIONS if self.context.task.origin != "proxy" else ():
            fusion = FusionSettings(normalisation)
            other = weighed(board, pools, RetrievalSettings(lexical, fusion), COARSE)
            best = other if self._better(other.scores, best.scores) else best
            self.tried += 1
        self.tried += 1
        return best

    def no_worse_than_before(self, chosen: Choice) -> Choice:
        """The settings of the baseline where the cautious search has not come up to them."""
        board, before = self.context.fair, self.context.retrieval
        pools = board.pools(self.context.fair_queries, self.context.dense, before.lexical)
        baseline = Choice(before, board.primary(pools, before.fusion))
        return baseline if baseline.mean > chosen.mean else chosen

    def _better(self, scores: Scores, plainer: Scores) -> bool:
        return clearly_better(scores, plainer, self.context.fair.labelled.clusters)

    def _at_best(self, lexical: LexicalSettings) -> Scores:
        board = self.context.fair
        pools = board.pools(self.context.fair_queries, self.context.dense, lexical, absolute=False)
        self.tried += 1
        return max((board.primary(pools, fusion) for fusion in TRIED_AT), key=lambda scores: float(np.nanmean(scores)))


def clearly_better(scores: Scores, plainer: Scores, clusters: NDArray[Any]) -> bool:
    """Whether a variant gains more than one standard error of the difference, over clusters, over a plainer one."""
    difference = scores - plainer
    judged = ~np.isnan(difference)
    if len(np.unique(clusters[judged])) < 2:
        return False
    error = standard_error(difference[judged], clusters[judged])
    return float(difference[judged].mean()) > max(error, 1e-9)
