from __future__ import annotations

import math
import random

import numpy as np
import pytest

from honed.errors import UsageError
from honed.evaluate.metrics import METRICS, means, per_query

QRELS = {"q": {"a": 3, "b": 1, "c": 0}}


def test_a_perfect_ranking_scores_one() -> None:
    scores = per_query({"q": ["a", "b", "x"]}, QRELS)
    assert {name: float(values[0]) for name, values in scores.items()} == dict.fromkeys(METRICS, 1.0)


def test_gain_is_the_grade_and_the_discount_is_log2() -> None:
    scores = per_query({"q": ["x", "b", "a"]}, QRELS, ["ndcg@10", "ndcg@2", "mrr@10", "mrr@1", "recall@2"])
    ideal = 3 + 1 / math.log2(3)
    assert scores["ndcg@10"][0] == pytest.approx((1 / math.log2(3) + 3 / 2) / ideal)
    assert scores["ndcg@2"][0] == pytest.approx((1 / math.log2(3)) / ideal)
    assert (scores["mrr@10"][0], scores["mrr@1"][0], scores["recall@2"][0]) == (0.5, 0.0, 0.5)


def test_a_grade_of_zero_is_not_relevant() -> None:
    assert per_query({"q": ["c"]}, QRELS, ["mrr@10"])["mrr@10"][0] == 0.0


def test_a_document_that_comes_twice_counts_once() -> None:
    scores = per_query({"q": ["a", "a", "b"]}, QRELS)
    assert scores["ndcg@10"][0] == 1.0
    assert scores["recall@10"][0] == 1.0


def test_queries_without_relevant_documents_are_left_out_of_the_mean_and_counted() -> None:
    scores = per_query({"q": ["a", "b"], "none": ["a"], "zero": ["a"]}, QRELS | {"zero": {"a": 0}})
    assert np.isnan(scores["ndcg@10"]).tolist() == [False, True, True]
    summary = means(scores)
    assert (summary.values["ndcg@10"], summary.queries, summary.unjudged) == (1.0, 1, 2)


def test_a_query_without_a_ranking_scores_zero_and_order_is_as_given() -> None:
    scores = per_query({"q": ["a", "b"]}, QRELS | {"lost": {"a": 1}}, queries=["lost", "q"])
    assert scores["recall@10"].tolist() == [0.0, 1.0]


def test_arrays_of_numbers_are_rankings_too() -> None:
    scores = per_query({7: np.array([5, 2, 9])}, {7: {9: 1}}, ["mrr@10"])
    assert scores["mrr@10"][0] == pytest.approx(1 / 3)


def test_nothing_to_score() -> None:
    assert per_query({}, {})["ndcg@10"].shape == (0,)
    assert math.isnan(means(per_query({}, {})).values["ndcg@10"])


@pytest.mark.parametrize("name", ["ndcg", "ndcg@0", "map@10", "ndcg@-1", "NDCG@10", "mrr@1.5"])
def test_unknown_metrics_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no metric"):
        per_query({"q": ["a"]}, QRELS, [name])


def test_agrees_with_trec_eval_on_random_data_with_ties_and_gaps() -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    rng = random.Random(5)
    documents = [f"d{number:03}" for number in range(150)]
    qrels = {f"q{n}": {d: rng.choice([0, 1, 1, 2, 3]) for d in rng.sample(documents, 12)} for n in range(60)}
    qrels |= {f"empty{n}": dict.fromkeys(rng.sample(documents, 3), 0) for n in range(3)}
    # Scores from a handful of values, so that nearly every rank is tied; some queries have no ranking at all.
    run = {q: {d: float(rng.randrange(4)) for d in rng.sample(documents, 120)} for q in list(qrels)[:-6]}
    # trec_eval breaks ties by document id, descending.
    rankings = {q: sorted(found, key=lambda d: (found[d], d), reverse=True) for q, found in run.items()}
    ours = per_query(rankings, qrels, queries=list(qrels))

    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.10,100", "recip_rank"})
    theirs = evaluator.evaluate(run)
    names = {"ndcg@10": "ndcg_cut_10", "recall@10": "recall_10", "recall@100": "recall_100", "mrr@10": "recip_rank"}
    for row, query in enumerate(qrels):
        for ours_name, theirs_name in names.items():
            expected = theirs.get(query, {}).get(theirs_name, 0.0)  # trec_eval leaves out what was not ranked
            if ours_name == "mrr@10" and expected < 0.1:
                expected = 0.0  # trec_eval looks at the whole ranking
            if query.startswith("empty"):
                assert math.isnan(ours[ours_name][row])
            else:
                assert ours[ours_name][row] == pytest.approx(expected, abs=1e-9), (query, ours_name)
