from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from honed.evaluate.comparison import Comparison, Trial, compare
from honed.evaluate.gate import GateSettings, decide
from honed.evaluate.image_board import TextBoard
from honed.roles.text_to_image.evaluation import Pair, cases, slices
from honed.tuning.role import Evaluation
from honed.tuning.run import compared

NAMES = ("captions", "tuned")


def pair() -> Pair:
    """Three questions about four pictures: the first gains, the second loses, the third stays."""
    relevant = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], bool)
    before = np.array([[0.9, -np.inf, 0.5, -np.inf], [0.1, 0.2, 0.9, 0.3], [0.1, 0.1, 0.1, 0.9]], np.float32)
    after = np.array([[0.9, 0.8, 0.1, 0.2], [0.9, 0.2, 0.8, 0.3], [0.1, 0.1, 0.1, 0.9]], np.float32)
    board = TextBoard(("red", "ship", "tree"), relevant, np.arange(3), np.zeros((3, 4), np.float32))
    return Pair(board, before, after, NAMES)


def weighed(shipped: Pair, titles: Pair, less: Mapping[str, Pair], trial: Trial) -> Comparison:
    """As the engine compares."""
    evaluation = Evaluation(
        shipped.base,
        shipped.candidate,
        shipped.board.questions(),
        slices=lambda trial: slices(titles, less, trial),
    )
    return compared(evaluation, shipped.board.metric, trial)


def test_the_comparison_is_by_average_precision() -> None:
    both = pair()
    result = compare(both.base, both.candidate, both.board.questions(), metric="map")
    assert (result.metric, result.base_name, result.candidate_name) == ("map", "captions", "tuned")
    assert result.base_scores == (0.5, 1.0, 1.0)
    assert result.candidate_scores == (1.0, 0.5, 1.0)


COUNT = 60
OWN = np.eye(COUNT, dtype=np.float32)
OTHER = np.roll(OWN, 1, axis=1)


def between(before: np.ndarray, after: np.ndarray) -> Pair:
    board = TextBoard([f"title {at}" for at in range(COUNT)], OWN > 0, np.arange(COUNT), OWN)
    return Pair(board, before, after, NAMES)


def test_titles_that_are_lost_fail_the_gate() -> None:
    """What is gained on questions that no caption answers does not pay for captions that no longer find their picture."""
    lost = between(OWN, np.where(np.arange(COUNT)[:, None] < 6, OTHER, OWN))
    gains, trial = between(OTHER, OWN), Trial(45, seed=1)
    assert decide(weighed(gains, between(OWN, OWN), {}, trial), GateSettings()).proven
    verdict = decide(weighed(gains, lost, {}, trial), GateSettings())
    assert not verdict.proven
    assert any("questions that are a title" in reason for reason in verdict.reasons)


def test_what_search_would_know_otherwise_is_a_slice_that_may_not_fall_either() -> None:
    gains, titles, trial = between(OTHER, OWN), between(OWN, OWN), Trial(45, seed=1)
    kept = weighed(gains, titles, {"titles alone": gains}, trial)
    assert [part.name for part in kept.slices] == [
        "if search knew titles alone",
        "questions that are a title (Recall@1)",
    ]
    assert decide(kept, GateSettings()).proven
    assert not decide(weighed(gains, titles, {"titles alone": between(OWN, OTHER)}, trial), GateSettings()).proven


def test_where_only_fresh_questions_decide_the_slices_of_the_same_questions_hold_them_alone() -> None:
    fresh = np.arange(COUNT) < 30
    trial = Trial(fresh=fresh, fresh_only=True)
    gains = between(OTHER, OWN)
    known, titles = slices(between(OWN, OWN), {"titles alone": gains}, trial)
    assert known.paired.queries == 30
    assert titles.paired.queries == COUNT, "titles are another set, whose looks nobody counts"


def test_cases_show_what_changed_with_the_right_pictures_marked() -> None:
    gain, loss = cases(pair(), lambda place: (f"picture {place}", f"data:{place}"))
    assert (gain.query, gain.gain, loss.query, loss.gain) == ("red", 0.5, "ship", -0.5)
    assert [(hit.title, hit.relevant) for hit in gain.before] == [("picture 0", True), ("picture 2", False)]
    assert [hit.relevant for hit in gain.after] == [True, True, False, False]
    assert gain.after[0].picture == "data:0"
