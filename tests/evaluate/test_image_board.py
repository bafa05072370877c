from __future__ import annotations

import numpy as np
import pytest

from honed.answer.fusion import FusionSettings, Pool
from honed.errors import UsageError
from honed.evaluate.comparison import Trial
from honed.evaluate.image_board import IMAGE_METRICS, ImageBoard, TextBoard, ranked_scores
from honed.models.vision.head import unit


def board(vectors: np.ndarray, groups: list[int], variants: list[str] | None = None) -> tuple[ImageBoard, np.ndarray]:
    ids = [f"p{at}" for at in range(len(groups))]
    return ImageBoard(ids, np.array(groups), variants or []), unit(vectors.astype(np.float32))


def slow(vectors: np.ndarray, groups: list[int]) -> dict[str, list[float]]:
    """The definitions, word by word."""
    found: dict[str, list[float]] = {name: [] for name in IMAGE_METRICS}
    for query in range(len(groups)):
        others = [at for at in range(len(groups)) if at != query]
        others.sort(key=lambda at: -float(vectors[query] @ vectors[at]))
        hits = [groups[at] == groups[query] and groups[query] >= 0 for at in others]
        if not any(hits):
            values = [np.nan] * 3
        else:
            precisions = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits) if hit]
            values = [float(hits[0]), float(any(hits[:10])), float(np.mean(precisions))]
        for name, value in zip(IMAGE_METRICS, values, strict=True):
            found[name].append(value)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_their_definitions(seed: int) -> None:
    random = np.random.default_rng(seed)
    groups = [int(label) for label in random.integers(-1, 9, 60)]
    judge, vectors = board(random.normal(size=(60, 8)), groups)
    expected = slow(vectors, groups)
    for name, values in judge.measure(vectors).items():
        np.testing.assert_allclose(values, expected[name], err_msg=name)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    judge, vectors = board(random.normal(size=(50, 4)), [at // 3 for at in range(50)])
    whole = judge.measure(vectors, neighbours=2)
    monkeypatch.setattr("honed.evaluate.image_board._ROWS", 7)
    for name, values in judge.measure(vectors, neighbours=2).items():
        np.testing.assert_array_equal(values, whole[name])


def test_a_picture_never_finds_itself_even_expanded() -> None:
    judge, vectors = board(np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]]), [0, 0, 1, 1])
    assert all(query not in judge.ranking(vectors, query, 3, neighbours=1) for query in range(4))


def test_what_was_not_found_is_no_hit() -> None:
    similarity = np.array([[1.0, -np.inf, 0.5]], np.float32)
    scores = ranked_scores(similarity, np.array([[False, True, False]]))
    assert [scores[name][0] for name in IMAGE_METRICS] == [0, 0, 0]


def test_comparison_clusters_by_group_and_slices_by_variant_and_size() -> None:
    random = np.random.default_rng(1)
    groups = [at // 2 for at in range(60)] + [30 + at // 4 for at in range(80)] + [-1]
    variants = ["line" if at % 2 else "fill" for at in range(141)]
    judge, vectors = board(random.normal(size=(141, 6)), groups, variants)
    better = unit(vectors + 2 * np.eye(60, 6, dtype=np.float32)[np.array(groups) % 6])
    result = judge.compared(("base", judge.measure(vectors)), ("tuned", judge.measure(better)), Trial())
    assert result.metric == "recall@1"
    assert result.primary.clusters == 50
    assert result.primary.unjudged == 1
    assert {part.name for part in result.slices} == {"variant: line", "variant: fill", "group size: 2", "group size: 4"}


def test_vectors_must_fit() -> None:
    judge, vectors = board(np.ones((4, 2)), [0, 0, 1, 1])
    with pytest.raises(UsageError):
        judge.measure(vectors[:3])
    with pytest.raises(UsageError):
        ranked_scores(np.ones((1, 1), np.float32), np.ones((1, 1), bool), ("ndcg@10",))


def text_board(seed: int = 0) -> tuple[TextBoard, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    relevant = np.arange(10)[:, None] == np.arange(30) // 3
    captions = np.where(random.random((10, 30)) < 0.5, random.random((10, 30)) * relevant, 0).astype(np.float32)
    vectors = unit((relevant.T + 0.3 * random.normal(size=(30, 10))).astype(np.float32))
    queries = unit((np.eye(10) + 0.5 * random.normal(size=(10, 10))).astype(np.float32))
    return TextBoard([str(at) for at in range(10)], relevant, np.arange(10), captions), queries, vectors


def test_fusion_is_that_of_live_search() -> None:
    judge, queries, vectors = text_board()
    seen = judge.seen(queries, vectors)
    for weight in (0.3, 0.8, 1.0):
        expected = np.stack(
            [
                Pool(np.arange(30), row, words).scores(FusionSettings("best", weight))
                for row, words in zip(seen, judge.captions.astype(np.float32), strict=True)
            ]
        )
        for name, values in ranked_scores(expected, judge.relevant).items():
            np.testing.assert_array_equal(judge.measure(seen, weight)[name], values)


def test_captions_alone_find_only_what_is_described() -> None:
    judge, _, _ = text_board()
    described = judge.described()["map"]
    share = (judge.captions > 0).sum(axis=1) / 3
    np.testing.assert_allclose(described, share)  # here every caption that matches is right


def test_captions_lead_to_pictures_without_one() -> None:
    judge, queries, vectors = text_board()
    plain, lead = (judge.measure(judge.seen(queries, vectors, leads=leads), 1.0)["map"].mean() for leads in (0, 2))
    assert lead > plain
    result = judge.compared(
        ("captions", judge.described()), ("led", judge.measure(judge.seen(queries, vectors, leads=2), 1.0)), Trial()
    )
    assert result.metric == "map"
    assert result.primary.clusters == 10
