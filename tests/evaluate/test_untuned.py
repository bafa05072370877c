"""The systems that a verdict is measured against: each as anybody can build it, and the best of them on fair questions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from honed.answer.fusion import FusionSettings
from honed.answer.settings import RetrievalSettings
from honed.dataset.task import Labelled, Task
from honed.evaluate.board import Board
from honed.evaluate.untuned import PLAIN, defaults, plain_system, strongest, system_means
from honed.index.dense import DenseIndex
from honed.index.lexical import LexicalIndex, LexicalSettings
from honed.index.rows import IndexRow
from honed.types import Query

TEXTS = ("the red ship sails", "a green ship waits", "the blue house burns", "old trees fall")
NEAR = np.eye(4, dtype=np.float32)


def board(questions: dict[str, int]) -> Board:
    """A board over `TEXTS`, one document each; a question's number is the document that answers it."""
    rowids = np.arange(len(TEXTS))
    queries = tuple(Query(text, text) for text in questions)
    asked = Labelled(queries, tuple({answer: 1} for answer in questions.values()), np.arange(len(queries)))
    task = Task(rowids, TEXTS, rowids, rowids, {"train": asked, "dev": asked, "test": asked}, "labels")
    return Board(task, asked, LexicalIndex.build([IndexRow(at, "", text) for at, text in enumerate(TEXTS)]), pool=10)


def dense() -> DenseIndex:
    return DenseIndex.build(np.arange(4), NEAR)


def test_the_plain_systems_are_those_that_anybody_can_build() -> None:
    assert list(PLAIN) == ["bm25", "bm25-all-words", "dense", "fusion", "rrf"], "the plainest first, which wins a tie"
    all_words = LexicalSettings(drop_stop_words=False)
    assert {name: system.lexical for name, system in PLAIN.items()} == {
        name: all_words if name == "bm25-all-words" else LexicalSettings.plain() for name in PLAIN
    }
    assert plain_system("hybrid") == plain_system("fusion") == RetrievalSettings(fusion=FusionSettings("z", 0.5, 100))
    assert plain_system("live") is None
    assert RetrievalSettings() in defaults().values() and set(PLAIN.values()) <= set(defaults().values())


@pytest.mark.parametrize(
    ("near", "best"),
    [({"red ship": 3, "blue house": 3}, "bm25"), ({"fortress": 0, "cottage": 2}, "dense")],
)
def test_the_strongest_is_the_best_on_the_questions(near: dict[str, int], best: str) -> None:
    """Words that answer and vectors that mislead; then words that no text has and vectors that know."""
    answers = {"red ship": 0, "blue house": 2, "fortress": 0, "cottage": 2}
    asked = {text: answers[text] for text in near}
    vectors = NEAR[list(near.values())]
    found = strongest(board(asked), vectors, dense())
    assert (found.name, found.retrieval) == (best, PLAIN[best])
    assert found.means[best] == 1.0 and set(found.means) == set(PLAIN)


def test_a_tie_goes_to_the_plainest() -> None:
    asked = {"red ship": 0, "blue house": 2}
    assert strongest(board(asked), NEAR[[0, 2]], dense()).name == "bm25"


def test_a_stronger_system_that_is_added_is_the_baseline() -> None:
    """What is live competes with the plain ones; here titles and stop words play no part and only the weight differs."""
    asked = {"the burns": 2, "fall waits": 3}
    vectors = NEAR[[2, 3]] + 0.2 * NEAR[[0, 1]]
    live = replace(PLAIN["fusion"], fusion=FusionSettings("z", 0.9))
    means = system_means(board(asked), vectors, dense(), PLAIN | {"r1": live})
    assert means["r1"] >= means["bm25"]
    assert strongest(board(asked), vectors, dense(), PLAIN | {"r1": live}).means == means
