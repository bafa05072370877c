from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from honed.answer.fusion import FusionSettings, Pool
from honed.errors import UsageError
from honed.evaluate.comparison import Measured, compare
from honed.evaluate.image_board import IMAGE_METRICS, ImageBoard, TextBoard, primary, ranked_scores
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
    monkeypatch.setattr("honed.evaluate.image_board._CELLS", 350)
    for name, values in judge.measure(vectors, neighbours=2).items():
        np.testing.assert_array_equal(values, whole[name])


def test_a_query_of_one_split_ranks_the_pictures_of_all() -> None:
    """Nearer pictures of another split stand in the way, as they do live: alone among its split the query would find its mate."""
    vectors = unit(np.array([[1, 0], [1, 0.3], [1, 0.1], [0, 1]], np.float32))
    groups, ids = np.array([0, 0, 1, 1]), list("abcd")
    whole = ImageBoard(ids, groups, asking=np.array([0, 1]))
    alone = ImageBoard(ids[:2], groups[:2])
    assert alone.measure(vectors[:2])["recall@1"].tolist() == [1, 1]
    assert whole.measure(vectors)["recall@1"].tolist() == [0, 0]
    assert whole.measure(vectors)["map"].tolist() == [0.5, 0.5]
    assert whole.ranking(vectors, 1).tolist() == [2, 0, 3]
    assert whole.questions().ids == ["a", "b"]


def test_near_copies_come_first_as_live_search_has_them_whatever_was_tuned() -> None:
    vectors = unit(np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32))
    groups = np.array([0, 0, 1, 1])
    hashes = np.array([0, 2**64 - 1, 0b111111, 0b11111100000000], np.uint64)
    judge = ImageBoard(list("abcd"), groups, phashes=hashes, medias=np.array([0, 1, 2, 0]))
    assert judge.ranking(vectors, 0).tolist() == [3, 2, 1], "the same pixels, a near-copy, then what is similar"
    assert judge.measure(vectors)["recall@1"].tolist() == [0, 1, 0, 0]
    plain = ImageBoard(list("abcd"), groups)
    assert plain.measure(vectors)["recall@1"].tolist() == [1, 1, 1, 1]


def test_a_picture_alone_in_its_group_is_not_judged_and_a_mate_that_does_not_ask_is_found() -> None:
    vectors = unit(np.array([[1, 0], [1, 0.1], [0, 1]], np.float32))
    judge = ImageBoard(list("abc"), np.array([0, 0, 1]), asking=np.array([0, 2]))
    assert judge.judged.tolist() == [True, False]
    np.testing.assert_array_equal(judge.measure(vectors)["recall@1"], [1, np.nan])


def test_ranks_break_ties_by_place() -> None:
    similarity = np.array([[0.5, 0.9, 0.5, 0.5]], np.float32)
    for place, expected in ((0, 1 / 2), (2, 1 / 3), (3, 1 / 4)):
        relevant = np.arange(4)[None] == place
        assert ranked_scores(similarity, relevant)["map"][0] == pytest.approx(expected)


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
    systems = Measured("base", judge.measure(vectors)), Measured("tuned", judge.measure(better))
    result = compare(*systems, judge.questions(), metric=judge.metric)
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


def test_what_is_left_out_of_a_question_is_in_nobodys_way_but_may_lead() -> None:
    captions = np.array([[0.9, 0.5, 0.0]], np.float32)
    relevant = np.array([[False, True, True]])
    vectors = unit(np.array([[1, 0], [0, 1], [1, 0.1]], np.float32))
    queries = unit(np.array([[0, 1]], np.float32))
    judge = TextBoard(["red"], relevant, np.zeros(1, int), captions, left_out=np.array([[True, False, False]]))
    assert judge.written()[0].tolist() == [-np.inf, 0.5, -np.inf]
    assert judge.measure(judge.seen(queries, vectors), 0.5)["map"].tolist() == [1]
    led, plain = judge.seen(queries, vectors, leads=1)[0, 2], judge.seen(queries, vectors)[0, 2]
    assert led > plain, "the picture that is left out has a caption that live search is led by"


def test_live_search_looks_up_only_the_first_of_what_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("honed.evaluate.image_board.DEEP", 2)
    vectors = unit(np.array([[1, 0], [1, 0.5], [0, 1], [-1, 1]], np.float32))
    judge = TextBoard(["red"], np.ones((1, 4), bool), np.zeros(1, int), np.array([[0, 0, 0, 0.7]], np.float32))
    seen = judge.seen(vectors[:1], vectors)[0]
    assert np.isfinite(seen).tolist() == [True, True, False, True], "what a caption finds has its cosine looked up"


def test_captions_lead_to_pictures_without_one() -> None:
    judge, queries, vectors = text_board()
    plain, lead = (judge.measure(judge.seen(queries, vectors, leads=leads), 1.0)["map"].mean() for leads in (0, 2))
    assert lead > plain
    systems = Measured("captions", judge.described()), Measured("led", judge.measure(judge.seen(queries, vectors), 1.0))
    result = compare(*systems, judge.questions(), metric=judge.metric)
    assert result.metric == "map"
    assert result.primary.clusters == 10


def test_the_metric_that_decides_is_measured_first_and_the_usual_ones_beside_it() -> None:
    random = np.random.default_rng(2)
    judge, vectors = board(random.normal(size=(30, 4)), [at // 3 for at in range(30)])
    named = replace(judge, metric="recall@5")
    assert list(named.measure(vectors)) == ["recall@5", *IMAGE_METRICS]
    np.testing.assert_array_equal(primary(named, vectors), named.measure(vectors)["recall@5"])
    texts, queries, pictures = text_board()
    wanted = replace(texts, metric="recall@3")
    assert list(wanted.measure(texts.seen(queries, pictures), 0.5)) == ["recall@3", *IMAGE_METRICS]


def test_slices_tell_pictures_with_words_from_those_without() -> None:
    random = np.random.default_rng(0)
    relevant = np.eye(90, dtype=bool) | (random.random((90, 90)) < 0.01)
    titled = np.arange(90) % 2 == 0
    ids = [f"word{at}" + " more" * (at % 3) for at in range(90)]
    judge = TextBoard(ids, relevant, np.arange(90), np.zeros((90, 90), np.float32), titled)
    members = {part.name: part.members for part in judge.slices()}
    assert {name for name in members if "words" in name and "length" not in name} == {
        "no picture has words", "some pictures have words", "all pictures have words"
    }  # fmt: skip
    assert not (relevant[members["no picture has words"]] & titled).any()
    assert any(name.startswith("length") for name in members)
