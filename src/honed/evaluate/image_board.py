"""One split of pictures as a scoreboard: any system that gives vectors is measured against all other pictures of the split.

Metrics as metric learning names them (Musgrave et al. 2020, arXiv:2003.08505): recall@k is the share of queries with a hit
among the first k, mAP the mean over queries of the average precision of the whole ranking.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import UsageError
from honed.evaluate.comparison import Comparison, Measured, Questions, Trial, compare
from honed.evaluate.metrics import Scores, reported
from honed.evaluate.slices import MIN_QUERIES, Slice, build_slices
from honed.models.vision.leads import led
from honed.models.vision.levers import expanded
from honed.types import Query, Ranking, Vectors

IMAGE_METRICS: tuple[str, ...] = ("recall@1", "recall@10", "map")
"""The metrics of pictures. The first one decides unless the user names another."""

TEXT_METRIC = "map"
"""What decides where a text looks for pictures: a caption finds the first one anyhow, the question is the others."""

_ROWS = 512  # queries at a time: with 20,000 pictures their scores are 40 MB
_MANY_VARIANTS = 12  # a variant for each picture is a name, not a kind


def ranked_scores(
    similarity: NDArray[np.float32], relevant: NDArray[np.bool_], metrics: Sequence[str] = IMAGE_METRICS
) -> dict[str, Scores]:
    """Metrics of queries from their similarity to every picture. Ties are broken by place, as search breaks them.

    Args:
        similarity: [q, n]; -inf for what is no part of a query's gallery, or was not found.
        relevant: [q, n].
        metrics: "recall@K" and "map".

    Returns:
        Metric -> [q]; NaN where nothing is relevant.

    Raises:
        UsageError: A metric is not known.
    """
    order = np.argsort(-similarity, axis=1, kind="stable")
    hits = np.take_along_axis(relevant & np.isfinite(similarity), order, axis=1)
    count = relevant.sum(axis=1)
    found: dict[str, Scores] = {}
    for name in metrics:
        values = _average_precision(hits, count) if name == "map" else hits[:, : _depth(name)].any(axis=1)
        found[name] = np.where(count > 0, values, np.nan).astype(np.float64)
    return found


def _depth(name: str) -> int:
    kind, _, depth = name.partition("@")
    if kind != "recall" or not depth.isdigit() or int(depth) < 1:
        raise UsageError(f"There is no metric '{name}' of pictures.", hint="recall@K or map")
    return int(depth)


def _average_precision(hits: NDArray[np.bool_], count: NDArray[np.int64]) -> NDArray[np.float64]:
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    summed: NDArray[np.float64] = (precision * hits).sum(axis=1) / np.maximum(count, 1)
    return summed


@dataclass(frozen=True, slots=True, eq=False)
class ImageBoard:
    """Pictures of one split; each asks for the others of its group among all others of the split.

    Attributes:
        ids: [n] names of the pictures.
        groups: [n] label of each picture's group; -1 for one that belongs to none and is only in the way.
        variants: [n] names, for slices; may be empty strings.
        metric: The one that decides.
    """

    ids: Sequence[str]
    groups: NDArray[np.int64]
    variants: Sequence[str] = ()
    metric: str = IMAGE_METRICS[0]

    @property
    def judged(self) -> NDArray[np.bool_]:
        """[n] whether there is something to find for a picture."""
        return self._sizes() > 1

    def measure(self, vectors: Vectors, *, neighbours: int = 0) -> dict[str, Scores]:
        """Every metric for every picture as the query; NaN for one without others of its group.

        Args:
            vectors: [n, m] unit vectors in the order of the board.
            neighbours: Expand a query with so many of its nearest pictures, as live search does; 0 does not.

        Raises:
            UsageError: The vectors do not fit.
        """
        if len(vectors) != len(self.groups):
            raise UsageError(f"There are {len(vectors)} vectors for {len(self.groups)} pictures.")
        names = reported(self.metric, IMAGE_METRICS)
        parts = [
            ranked_scores(similarity, relevant, names) for similarity, relevant in self._blocks(vectors, neighbours)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def ranking(self, vectors: Vectors, query: int, k: int = 8, *, neighbours: int = 0) -> NDArray[np.int64]:
        """The first k pictures for one picture, for a report's grid."""
        return self.hits(vectors, query, k, neighbours=neighbours)[0]

    def hits(self, vectors: Vectors, query: int, k: int, *, neighbours: int = 0) -> Ranking:
        """Places and scores of the first k other pictures for one picture, best first."""
        similarity = _similarity(vectors, np.array([query]), neighbours)[0]
        places = np.argsort(-similarity, kind="stable")[: min(k, len(similarity) - 1)]
        return places, similarity[places]

    @property
    def clusters(self) -> NDArray[np.int64]:
        """[n] label of each picture's cluster: its group; a picture without a group is a cluster of its own."""
        return np.where(self.groups >= 0, self.groups, -1 - np.arange(len(self.groups)))

    def questions(self) -> Questions:
        """The queries for a comparison."""
        return Questions(list(self.ids), self.clusters, self.slices())

    def slices(self) -> tuple[Slice, ...]:
        """Queries by size of their group and by variant, where a slice has enough queries and is not all of them."""
        judged = self.judged
        found = [Slice(f"variant: {name}", members & judged) for name, members in self._by_variant()]
        found += [Slice(f"group size: {span}", members & judged) for span, members in self._by_size()]
        return tuple(part for part in found if MIN_QUERIES <= part.members.sum() < judged.sum())

    def compared(
        self, base: tuple[str, Mapping[str, Scores]], candidate: tuple[str, Mapping[str, Scores]], trial: Trial
    ) -> Comparison:
        """Two systems (name, what `measure` gave) query by query."""
        return compare(Measured(*base), Measured(*candidate), self.questions(), metric=self.metric, trial=trial)

    def _blocks(self, vectors: Vectors, neighbours: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
        everyone = np.arange(len(vectors))
        for start in range(0, len(vectors), _ROWS):
            rows = everyone[start : start + _ROWS]
            relevant = (self.groups[rows, None] == self.groups) & (self.groups[rows, None] >= 0)
            relevant[np.arange(len(rows)), rows] = False
            yield _similarity(vectors, rows, neighbours), relevant

    def _sizes(self) -> NDArray[np.int64]:
        _, place, counts = np.unique(self.groups, return_inverse=True, return_counts=True)
        return np.where(self.groups >= 0, counts[place], 0).astype(np.int64)

    def _by_variant(self) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        names = np.array(list(self.variants) or [""] * len(self.groups))
        different = np.unique(names)
        for name in different if 2 <= len(different) <= _MANY_VARIANTS else ():
            yield str(name), names == name

    def _by_size(self) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Up to three groups of about equal size, cut between whole numbers."""
        sizes, judged = self._sizes(), self.judged
        if not judged.any():
            return
        cuts = np.unique(np.quantile(sizes[judged], [1 / 3, 2 / 3], method="lower"))
        place = np.searchsorted(cuts, sizes)
        for number in range(len(cuts) + 1):
            members = (place == number) & judged
            if members.any():
                low, high = int(sizes[members].min()), int(sizes[members].max())
                yield str(low) if low == high else f"{low} to {high}", members


def _similarity(vectors: Vectors, rows: NDArray[np.int64], neighbours: int) -> NDArray[np.float32]:
    """Cosines of some pictures to all, -inf to themselves."""
    own = np.arange(len(rows)), rows
    similarity: NDArray[Any] = vectors[rows] @ vectors.T
    similarity[own] = -np.inf
    if neighbours and (near := min(neighbours, len(vectors) - 1)) > 0:
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :near]
        moved = expanded(vectors[rows], vectors[nearest], np.take_along_axis(similarity, nearest, axis=1))
        similarity = moved @ vectors.T
        similarity[own] = -np.inf
    return np.asarray(similarity, np.float32)


# -- text to image -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class TextBoard:
    """Questions in words about the pictures of one split, and what a search of captions says of them.

    Attributes:
        ids: [q] the questions, word by word.
        relevant: [q, n].
        clusters: [q] label of each question's cluster.
        captions: [q, n] scores of the pictures by what is written about them; not above 0 where nothing is, or does not match.
        titled: [n] whether search knows a title of each picture, for slices; None for no such slices.
        metric: The one that decides.
    """

    ids: Sequence[str]
    relevant: NDArray[np.bool_]
    clusters: NDArray[np.int64]
    captions: NDArray[np.float32]
    titled: NDArray[np.bool_] | None = None
    metric: str = TEXT_METRIC

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that are measured, the one that decides first."""
        return reported(self.metric, IMAGE_METRICS)

    def written(self) -> NDArray[np.float32]:
        """Scores [q, n] by captions alone; -inf for pictures that no caption finds."""
        return np.where(self.captions > 0, self.captions, -np.inf).astype(np.float32)

    def described(self) -> dict[str, Scores]:
        """Every metric of captions alone."""
        return ranked_scores(self.written(), self.relevant, self.metrics)

    def seen(self, queries: Vectors, vectors: Vectors, *, leads: int = 0) -> NDArray[np.float32]:
        """Cosines [q, n] of questions and pictures in their joint space.

        Args:
            queries: [q, m] unit vectors of the questions.
            vectors: [n, m] unit vectors of the pictures.
            leads: So many of the best captions lead each question (`models.vision.leads`); 0 for none.
        """
        if leads:
            best = np.argsort(-self.captions, axis=1, kind="stable")[:, :leads]
            queries = led(queries, vectors[best], np.take_along_axis(self.captions, best, axis=1))
        return np.asarray(queries @ vectors.T, np.float32)

    def measure(self, seen: NDArray[np.float32], weight: float) -> dict[str, Scores]:
        """Every metric when what is seen has this weight against what is written, fused as live search fuses."""
        return ranked_scores(self.fused(seen, weight), self.relevant, self.metrics)

    def fused(self, seen: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
        """Scores [q, n] of both together, as `answer.fusion.Pool` gives them."""
        return (weight * _by_best(seen) + (1.0 - weight) * _by_best(self.captions)).astype(np.float32)

    def compared(
        self, base: tuple[str, Mapping[str, Scores]], candidate: tuple[str, Mapping[str, Scores]], trial: Trial
    ) -> Comparison:
        """Two systems (name, what `measure` or `described` gave) question by question."""
        questions = Questions(list(self.ids), self.clusters, self.slices())
        return compare(Measured(*base), Measured(*candidate), questions, metric=self.metric, trial=trial)

    def slices(self) -> tuple[Slice, ...]:
        """Questions by length, by number of pictures to find, and by how many of these have a title."""
        asked = [Query(text, text) for text in self.ids]
        found = build_slices(asked, relevant=self.relevant.sum(axis=1).tolist())
        if self.titled is None:
            return found
        share = (self.relevant & self.titled).sum(axis=1) / np.maximum(self.relevant.sum(axis=1), 1)
        kinds = (("no picture has a title", share == 0), ("some pictures have a title", (share > 0) & (share < 1)))
        parts = [Slice(name, members) for name, members in (*kinds, ("all pictures have a title", share == 1))]
        return found + tuple(part for part in parts if MIN_QUERIES <= part.members.sum() < len(asked))


def _by_best(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    best = scores.max(axis=1, keepdims=True, initial=0.0)
    return np.where(best > 0, scores / np.where(best > 0, best, 1.0), scores)
