"""Pictures as a scoreboard: the pictures of one split ask, and all that live search ranks is searched.

Metrics as metric learning names them (Musgrave et al. 2020, arXiv:2003.08505): recall@k is the share of queries with a hit
among the first k, mAP the mean over queries of the average precision of the whole ranking.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from honed.answer.pictures import DEEP, NEAR_COPY_BITS
from honed.errors import UsageError
from honed.evaluate.comparison import Questions
from honed.evaluate.metrics import Scores, reported
from honed.evaluate.slices import MIN_QUERIES, Slice, build_slices
from honed.models.vision.leads import led
from honed.models.vision.levers import expanded
from honed.types import Query, Ranking, Vectors

IMAGE_METRICS: tuple[str, ...] = ("recall@1", "recall@10", "map")
"""The metrics of pictures. The first one decides where pictures ask, unless the user names another."""

TEXT_METRIC = "map"
"""What decides where a text looks for pictures: a caption finds the first one anyhow, the question is the others."""

_CELLS = 4_000_000  # similarities at a time: 16 MB, and two copies of them
_MANY_VARIANTS = 12  # a variant for each picture is a name, not a kind
_COPY = 2.0  # more than cosines differ by, so that copies come before what is similar


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
    depths = {name: 0 if name == "map" else _depth(name) for name in metrics}
    scores = {name: np.full(len(similarity), np.nan) for name in metrics}
    for query, (row, right) in enumerate(zip(similarity, relevant, strict=True)):
        count = int(right.sum())
        if not count:
            continue
        ranks = _ranks(row, np.flatnonzero(right & np.isfinite(row)))
        for name, depth in depths.items():
            precision = np.arange(1, len(ranks) + 1) / ranks
            scores[name][query] = bool(len(ranks) and ranks[0] <= depth) if depth else precision.sum() / count
    return scores


def _ranks(row: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ranks, from 1 and rising, of some places [p] in the ranking of a row's scores [n]; ties by place."""
    if not len(places):
        return places
    ordered, own = np.sort(row), row[places]
    upto = np.searchsorted(ordered, own, side="right")
    ranks = len(row) - upto + 1
    for at in np.flatnonzero(upto - np.searchsorted(ordered, own) > 1).tolist():
        ranks[at] += int((row[: places[at]] == own[at]).sum())
    return np.sort(ranks)


def _depth(name: str) -> int:
    kind, _, depth = name.partition("@")
    if kind != "recall" or not depth.isdigit() or int(depth) < 1:
        raise UsageError(f"There is no metric '{name}' of pictures.", hint="recall@K or map")
    return int(depth)


@dataclass(frozen=True, slots=True, eq=False)
class ImageBoard:
    """All pictures that live search ranks; those of one split ask for the others of their group.

    A query ranks every picture but itself as live search does: copies of its pixels first, then near-copies, then the others,
    each by similarity. So a near-copy of another group stands where a user would see it: before the right answers.

    Attributes:
        ids: [n] names of the pictures.
        groups: [n] label of each picture's group; -1 for one that belongs to none and is only in the way.
        variants: [n] names, for slices; may be empty strings.
        asking: [q] places of the pictures that ask; None where all do.
        phashes: [n] perceptual hashes, which tell near-copies; None where nothing is to count as one.
        medias: [n] numbers, equal where pictures have the same pixels; None where none have.
        metric: The one that decides.
    """

    ids: Sequence[str]
    groups: NDArray[np.int64]
    variants: Sequence[str] = ()
    asking: NDArray[np.int64] | None = None
    phashes: NDArray[np.uint64] | None = None
    medias: NDArray[np.int64] | None = None
    metric: str = IMAGE_METRICS[0]

    @property
    def queries(self) -> NDArray[np.int64]:
        """[q] places of the pictures that ask."""
        return np.arange(len(self.groups)) if self.asking is None else self.asking

    @property
    def judged(self) -> NDArray[np.bool_]:
        """[q] whether there is something to find for a query."""
        return self._sizes() > 1

    def measure(self, vectors: Vectors, *, neighbours: int = 0, metrics: Sequence[str] = ()) -> dict[str, Scores]:
        """Metrics of every query, [q]; NaN for one without others of its group.

        Args:
            vectors: [n, m] unit vectors in the order of the board.
            neighbours: Expand a query with so many of its nearest pictures, as live search does; 0 does not.
            metrics: Empty for the one that decides and the usual others.

        Raises:
            UsageError: The vectors do not fit.
        """
        if len(vectors) != len(self.groups):
            raise UsageError(f"There are {len(vectors)} vectors for {len(self.groups)} pictures.")
        names = metrics or reported(self.metric, IMAGE_METRICS)
        parts = [
            ranked_scores(similarity, relevant, names) for similarity, relevant in self._blocks(vectors, neighbours)
        ]
        return {name: np.concatenate([np.empty(0), *(part[name] for part in parts)]) for name in names}

    def ranking(self, vectors: Vectors, query: int, k: int = 8, *, neighbours: int = 0) -> NDArray[np.int64]:
        """Places of the first k pictures for one query (a number below q), for a report's grid."""
        return self.hits(vectors, query, k, neighbours=neighbours)[0]

    def hits(self, vectors: Vectors, query: int, k: int, *, neighbours: int = 0) -> Ranking:
        """Places and scores of the first k other pictures for one query, best first; copies score 2 or 4 above their cosine."""
        similarity = self._similarity(vectors, self.queries[[query]], neighbours)[0]
        places = np.argsort(-similarity, kind="stable")[: min(k, len(similarity) - 1)]
        return places, similarity[places]

    @property
    def clusters(self) -> NDArray[np.int64]:
        """[q] label of each query's cluster: its group; a picture without a group is a cluster of its own."""
        groups = self.groups[self.queries]
        return np.where(groups >= 0, groups, -1 - np.arange(len(groups)))

    def questions(self) -> Questions:
        """The queries for a comparison."""
        return Questions([self.ids[place] for place in self.queries.tolist()], self.clusters, self.slices())

    def slices(self) -> tuple[Slice, ...]:
        """Queries by size of their group and by variant, where a slice has enough queries and is not all of them."""
        judged = self.judged
        parts = [Slice(f"variant: {name}", members & judged) for name, members in self._by_variant()]
        parts += [Slice(f"group size: {span}", members & judged) for span, members in self._by_size()]
        return tuple(part for part in parts if MIN_QUERIES <= part.members.sum() < judged.sum())

    def _blocks(self, vectors: Vectors, neighbours: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
        queries, size = self.queries, max(1, _CELLS // max(1, len(vectors)))
        for start in range(0, len(queries), size):
            rows = queries[start : start + size]
            relevant = (self.groups[rows, None] == self.groups) & (self.groups[rows, None] >= 0)
            relevant[np.arange(len(rows)), rows] = False
            yield self._similarity(vectors, rows, neighbours), relevant

    def _similarity(self, vectors: Vectors, rows: NDArray[np.int64], neighbours: int) -> NDArray[np.float32]:
        """Cosines of some pictures to all, raised for copies, -inf to themselves."""
        own = np.arange(len(rows)), rows
        similarity = np.asarray(vectors[rows] @ vectors.T, np.float32)
        similarity[own] = -np.inf
        if neighbours and (near := min(neighbours, len(vectors) - 1)) > 0:
            nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :near]
            moved = expanded(vectors[rows], vectors[nearest], np.take_along_axis(similarity, nearest, axis=1))
            similarity = np.asarray(moved @ vectors.T, np.float32)
            similarity[own] = -np.inf
        if self.phashes is not None:
            similarity[np.bitwise_count(self.phashes[rows, None] ^ self.phashes) <= NEAR_COPY_BITS] += _COPY
        if self.medias is not None:
            similarity[self.medias[rows, None] == self.medias] += _COPY
        return similarity

    def _sizes(self) -> NDArray[np.int64]:
        """[q] pictures in the group of each query; 0 for one of none."""
        labels, counts = np.unique(self.groups, return_counts=True)
        groups = self.groups[self.queries]
        return np.where(groups >= 0, counts[np.searchsorted(labels, groups)], 0).astype(np.int64)

    def _by_variant(self) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        names = np.array(list(self.variants) or [""] * len(self.groups))[self.queries]
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


def primary(board: ImageBoard, vectors: Vectors, *, neighbours: int = 0) -> Scores:
    """The metric that decides, of every query of a board."""
    return board.measure(vectors, neighbours=neighbours, metrics=(board.metric,))[board.metric]


# -- text to image -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class TextBoard:
    """Questions in words about the pictures of one split among all n, and what a search of captions says of them.

    Attributes:
        ids: [q] the questions, word by word.
        relevant: [q, n].
        clusters: [q] label of each question's cluster.
        captions: [q, n] scores of the pictures by what is written about them; not above 0 where nothing is, or does not match.
        titled: [n] whether search knows words of each picture, for slices; None for no such slices.
        left_out: [q, n] pictures that are no part of a question's ranking, though their captions may lead it; None for none.
        metric: The one that decides.
    """

    ids: Sequence[str]
    relevant: NDArray[np.bool_]
    clusters: NDArray[np.int64]
    captions: NDArray[np.float32]
    titled: NDArray[np.bool_] | None = None
    left_out: NDArray[np.bool_] | None = None
    metric: str = TEXT_METRIC

    def scores(self, ranking: NDArray[np.float32]) -> dict[str, Scores]:
        """The metric that decides and the usual others, of what was found [q, n]; -inf for what was not."""
        return ranked_scores(ranking, self.relevant, reported(self.metric, IMAGE_METRICS))

    def questions(self) -> Questions:
        """The questions for a comparison."""
        return Questions(list(self.ids), self.clusters, self.slices())

    def written(self) -> NDArray[np.float32]:
        """Scores [q, n] by captions alone; -inf for pictures that no caption finds."""
        return self._ranked(np.where(self.captions > 0, self.captions, -np.inf))

    def described(self) -> dict[str, Scores]:
        """Every metric of captions alone."""
        return self.scores(self.written())

    def seen(self, queries: Vectors, vectors: Vectors, *, leads: int = 0) -> NDArray[np.float32]:
        """Cosines [q, n] of questions and pictures in their joint space; -inf for those that live search does not look up.

        These are pictures that no caption finds, beyond the first `DEEP` by what is seen.

        Args:
            queries: [q, m] unit vectors of the questions.
            vectors: [n, m] unit vectors of the pictures.
            leads: So many of the best captions lead each question (`models.vision.leads`); 0 for none.
        """
        if leads:
            best = _first(self.captions, leads)
            queries = led(queries, vectors[best], np.take_along_axis(self.captions, best, axis=1))
        cosines = np.asarray(queries @ vectors.T, np.float32)
        if len(vectors) > DEEP:
            last = np.partition(cosines, -DEEP, axis=1)[:, -DEEP, None]
            cosines[(cosines < last) & (self.captions <= 0)] = -np.inf
        return cosines

    def measure(self, seen: NDArray[np.float32], weight: float) -> dict[str, Scores]:
        """Every metric when what is seen has this weight against what is written, fused as live search fuses."""
        return self.scores(self.fused(seen, weight))

    def fused(self, seen: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
        """Scores [q, n] of both together, as `answer.fusion.Pool` gives them."""
        return self._ranked(weight * _by_best(seen) + (1.0 - weight) * _by_best(self.captions))

    def _ranked(self, scores: NDArray[np.floating]) -> NDArray[np.float32]:
        kept = scores if self.left_out is None else np.where(self.left_out, -np.inf, scores)
        return kept.astype(np.float32)

    def slices(self) -> tuple[Slice, ...]:
        """Questions by length, by number of pictures to find, and by how many of these search knows words of."""
        asked = [Query(text, text) for text in self.ids]
        slices = build_slices(asked, relevant=self.relevant.sum(axis=1).tolist())
        if self.titled is None:
            return slices
        share = (self.relevant & self.titled).sum(axis=1) / np.maximum(self.relevant.sum(axis=1), 1)
        kinds = (("no picture has words", share == 0), ("some pictures have words", (share > 0) & (share < 1)))
        parts = [Slice(name, members) for name, members in (*kinds, ("all pictures have words", share == 1))]
        return slices + tuple(part for part in parts if MIN_QUERIES <= part.members.sum() < len(asked))


def _by_best(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    best = scores.max(axis=1, keepdims=True, initial=0.0)
    return np.where(best > 0, scores / np.where(best > 0, best, 1.0), scores)


def _first(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Places [q, count] of the best scores of each row, best first; ties by place."""
    rest, places = scores.copy(), []
    for _ in range(min(count, scores.shape[1])):
        best = rest.argmax(axis=1)
        rest[np.arange(len(rest)), best] = -np.inf
        places.append(best)
    return np.stack(places, axis=1)
