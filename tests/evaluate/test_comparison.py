from __future__ import annotations

import json

import numpy as np
import pytest

from honed.errors import InputError, UsageError
from honed.evaluate.comparison import Comparison, General, Measured, Questions, Trial, compare
from honed.evaluate.slices import Slice

METRICS = ("ndcg@10", "mrr@10")


def small(*, reads: int = 1, clusters: list[object] | None = None) -> Comparison:
    rng = np.random.default_rng(0)
    base = {name: rng.random(30) for name in METRICS}
    candidate = {name: scores + rng.normal(0.05, 0.1, 30) for name, scores in base.items()}
    for scores in (*base.values(), *candidate.values()):
        scores[3] = np.nan
    questions = Questions(
        [f"q{n} é" for n in range(30)],
        clusters or [n // 3 for n in range(30)],
        (Slice("first", np.arange(30) < 12), Slice("unjudged", np.arange(30) == 3), Slice("one", np.arange(30) < 2)),
    )
    trial = Trial(candidates_tried=4, test_reads=reads, general=General(0.75, 0.74), seed=3)
    return compare(Measured("base", base), Measured("new", candidate), questions, trial=trial)


def test_it_holds_every_metric_and_every_slice_that_is_judged() -> None:
    result = small()
    assert list(result.others) == ["mrr@10"]
    assert [part.name for part in result.slices] == ["first", "one"]
    assert result.slices[0].paired.queries == 11
    assert result.base_scores[3] is None
    assert (result.primary.queries, result.primary.unjudged) == (29, 1)
    assert np.isnan(result.deltas).sum() == 1
    assert np.nanmean(result.deltas) == pytest.approx(result.primary.delta)


def test_json_round_trip_including_infinite_bounds() -> None:
    result = small(reads=2)
    assert result.slices[1].paired.ci95 == (-np.inf, np.inf)
    text = result.to_json()
    assert "Infinity" not in text and "NaN" not in text
    assert json.loads(text)["format"] == 1
    assert Comparison.from_json(text) == result


def test_reads_tighten_the_primary_interval_only() -> None:
    result = small(reads=3)
    assert result.primary.confidence == pytest.approx(0.9875)
    assert result.others["mrr@10"].confidence == result.slices[0].paired.confidence == 0.95


def test_the_interval_at_another_confidence_comes_from_the_stored_scores() -> None:
    result = Comparison.from_json(small().to_json())
    assert result.at(0.95) is result.primary
    assert result.at(0.99) == small().at(0.99)
    assert result.at(0.99).delta == pytest.approx(result.primary.delta)


def test_any_label_is_a_cluster() -> None:
    assert small(clusters=[f"c{n // 3}" for n in range(30)]).primary == small().primary


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "3", "{}", '{"format": 1}', '{"format": 1, "general": null, "primary": {}}', "{"]
)
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        Comparison.from_json(text)


def test_a_newer_format_is_refused_with_a_hint() -> None:
    newer = json.loads(small().to_json()) | {"format": 2}
    with pytest.raises(InputError, match="another version") as caught:
        Comparison.from_json(json.dumps(newer))
    assert "update" in caught.value.hint


def test_what_does_not_fit_is_refused() -> None:
    scores = Measured("a", {"ndcg@10": np.zeros(2)})
    with pytest.raises(UsageError, match="do not fit the 2 queries"):
        compare(scores, scores, Questions(["a", "b"], ["x"]))
    with pytest.raises(UsageError, match="do not fit the 2 queries"):
        compare(scores, scores, Questions(["a", "b"], ["x", "y"], (Slice("s", np.ones(3, dtype=bool)),)))
    with pytest.raises(UsageError, match="'mrr@10'"):
        compare(scores, scores, Questions(["a", "b"], ["x", "y"]), metric="mrr@10")
    with pytest.raises(UsageError, match="2 scores"):
        compare(scores, scores, Questions(["a", "b", "c"], ["x", "y", "z"]))
