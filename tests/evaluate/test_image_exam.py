from __future__ import annotations

from dataclasses import replace

import numpy as np

from honed.evaluate.gate import GateSettings, decide
from honed.evaluate.image_board import TextBoard
from honed.evaluate.ledger import Looks
from honed.roles.image_retriever.evaluation import TextExam, sit_text


def seen(count: int) -> Looks:
    return Looks(1, np.ones(count, bool), np.ones(count, bool))


def exam() -> TextExam:
    """Three questions about four pictures: the first gains, the second loses, the third stays."""
    relevant = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], bool)
    before = np.array([[0.9, -np.inf, 0.5, -np.inf], [0.1, 0.2, 0.9, 0.3], [0.1, 0.1, 0.1, 0.9]], np.float32)
    after = np.array([[0.9, 0.8, 0.1, 0.2], [0.9, 0.2, 0.8, 0.3], [0.1, 0.1, 0.1, 0.9]], np.float32)
    board = TextBoard(("red", "ship", "tree"), relevant, np.arange(3), np.zeros((3, 4), np.float32))
    return TextExam(board, sit_text(board, "captions", before), sit_text(board, "tuned", after), seen(len(board.ids)))


def test_the_comparison_is_by_average_precision() -> None:
    result = exam().compared(45, seed=1)
    assert (result.metric, result.base_name, result.candidate_name) == ("map", "captions", "tuned")
    assert result.base_scores == (0.5, 1.0, 1.0)
    assert result.candidate_scores == (1.0, 0.5, 1.0)
    assert result.candidates_tried == 45


def test_titles_that_are_lost_fail_the_gate() -> None:
    """What is gained on questions that no caption answers does not pay for captions that no longer find their picture."""
    count = 60
    own, other = np.eye(count, dtype=np.float32), np.roll(np.eye(count, dtype=np.float32), 1, axis=1)
    board = TextBoard([f"title {at}" for at in range(count)], own > 0, np.arange(count), own)

    def between(before: np.ndarray, after: np.ndarray) -> TextExam:
        return TextExam(
            board, sit_text(board, "captions", before), sit_text(board, "tuned", after), seen(len(board.ids))
        )

    gains = between(other, own)
    kept = replace(gains, titles=between(own, own)).compared(45, seed=1)
    lost = replace(gains, titles=between(own, np.where(np.arange(count)[:, None] < 6, other, own))).compared(45, seed=1)
    assert decide(kept, GateSettings()).proven
    verdict = decide(lost, GateSettings())
    assert not verdict.proven
    assert any("questions that are a title" in reason for reason in verdict.reasons)


def test_cases_show_what_changed_with_the_right_pictures_marked() -> None:
    gain, loss = exam().cases(lambda place: (f"picture {place}", f"data:{place}"))
    assert (gain.query, gain.gain, loss.query, loss.gain) == ("red", 0.5, "ship", -0.5)
    assert [(hit.title, hit.relevant) for hit in gain.before] == [("picture 0", True), ("picture 2", False)]
    assert [hit.relevant for hit in gain.after] == [True, True, False, False]
    assert gain.after[0].picture == "data:0"


def test_slices_tell_pictures_with_words_from_those_without() -> None:
    random = np.random.default_rng(0)
    relevant = np.eye(90, dtype=bool) | (random.random((90, 90)) < 0.01)
    titled = np.arange(90) % 2 == 0
    ids = [f"word{at}" + " more" * (at % 3) for at in range(90)]
    board = TextBoard(ids, relevant, np.arange(90), np.zeros((90, 90), np.float32), titled)
    found = {part.name: part.members for part in board.slices()}
    assert {name for name in found if "words" in name and "length" not in name} == {
        "no picture has words", "some pictures have words", "all pictures have words"
    }  # fmt: skip
    assert not (relevant[found["no picture has words"]] & titled).any()
    assert any(name.startswith("length") for name in found)
