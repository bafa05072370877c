"""The text side on made-up vectors: pictures of a thing share a direction, texts of it share another, a matrix links them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.errors import UsageError
from honed.evaluate.image_board import TextBoard
from honed.models.vision.head import ImageHead, plain_head, unit
from honed.roles.text_to_image.recipe import TextRecipe
from honed.roles.text_to_image.training import LOST, TextContext, _reversed, regression, tune_text
from honed.train import fit as fitting
from honed.tuning.candidate import Candidate

RECIPE = TextRecipe(threads=1, epochs=4, rate=1e-3)


def world(things: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors of texts [3 a thing], descriptors of pictures [2 a thing], and whose the pictures are."""
    link = np.random.default_rng(0).normal(size=(24, 16))
    random = np.random.default_rng(seed)
    meanings = random.normal(size=(things, 24))
    texts = np.repeat(meanings, 3, axis=0) + 0.7 * random.normal(size=(3 * things, 24))
    pictures = np.repeat(meanings @ link, 2, axis=0) + 2.5 * random.normal(size=(2 * things, 16))
    return unit(texts.astype(np.float32)), pictures.astype(np.float32), np.repeat(np.arange(things), 2)


def make(folder: Path) -> TextContext:
    folder.mkdir(exist_ok=True)
    texts, pictures, _ = world(150, seed=1)
    dev_texts, dev_pictures, owner = world(40, seed=2)
    questions, captions = dev_texts[::3], dev_texts[1::3]
    written = questions @ captions[owner].T
    written[:, 1::2] = 0  # the second picture of each thing has no caption
    relevant = np.arange(40)[:, None] == owner
    board = TextBoard([str(at) for at in range(40)], relevant, np.arange(40), written.astype(np.float32))
    rows = np.concatenate([np.arange(300), np.arange(0, 300, 2)])  # some texts belong to both pictures
    said = np.concatenate([np.repeat(texts[::3], 2, axis=0), texts[1::3]])
    return TextContext(
        plain_head(16), pictures, said, rows, dev_pictures, questions, board, folder, RECIPE, lambda _: None
    )


def head_of(candidate: Candidate) -> ImageHead:
    return ImageHead.read(candidate.files["head"])


def measured(
    candidate: Candidate, board: TextBoard, questions: np.ndarray, gallery: np.ndarray
) -> dict[str, np.ndarray]:
    """What a candidate scores by what it has written."""
    head, values = head_of(candidate), candidate.values
    seen = board.seen(head.apply_text(questions), head.apply(gallery), leads=values["leads"])
    return board.measure(seen, values["weight"])


@pytest.fixture
def context(tmp_path: Path) -> TextContext:
    return make(tmp_path / "run")


def test_what_is_seen_finds_what_captions_cannot(context: TextContext) -> None:
    candidate = tune_text(context)
    assert candidate.mean > candidate.details["captions_alone"] + 0.05
    assert candidate.details["moved"] > 0
    np.testing.assert_array_equal(
        measured(candidate, context.board, context.questions, context.gallery)["map"], candidate.dev
    )


def test_a_title_still_finds_its_picture(context: TextContext) -> None:
    """Titles that say nothing about what is seen are found by captions only: dev must not pick a weight that drops them."""
    random = np.random.default_rng(3)
    written = np.eye(40, 80, dtype=np.float32)
    board = TextBoard([f"title {at}" for at in range(40)], written > 0, np.arange(40), written)
    titles = unit(random.normal(size=(40, 24)).astype(np.float32))
    free, bound = tune_text(context), tune_text(replace(context, titles=(board, titles)))
    first = [measured(choice, board, titles, context.gallery)["recall@1"].mean() for choice in (free, bound)]
    assert first[0] < 1 - LOST
    assert first[1] >= 1 - LOST
    assert bound.mean <= free.mean


def test_the_image_side_stays(context: TextContext) -> None:
    candidate = tune_text(context)
    assert head_of(candidate).key == context.head.key


def test_a_killed_training_ends_with_the_same_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = tune_text(make(tmp_path / "whole"))
    broken = make(tmp_path / "broken")
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", 0.0)
    save = fitting._save

    def save_and_die(checkpoint: fitting.Checkpoint, losses: list[float], *rest: object) -> None:
        save(checkpoint, losses, *rest)  # type: ignore[arg-type]
        if len(losses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "_save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        tune_text(broken)
    monkeypatch.setattr(fitting, "_save", save)
    np.testing.assert_array_equal(head_of(tune_text(broken)).text_matrix, head_of(straight).text_matrix)


def test_nothing_to_learn_from_is_said_so(context: TextContext) -> None:
    empty = TextContext(
        context.head, context.train, context.texts[:0], context.pictures[:0], context.gallery, context.questions, context.board,
        context.folder, RECIPE, lambda _: None,
    )  # fmt: skip
    with pytest.raises(UsageError, match="caption"):
        tune_text(empty)


def test_regression_solves_what_is_linear() -> None:
    random = np.random.default_rng(0)
    matrix = random.normal(size=(6, 4))
    texts = random.normal(size=(50, 6))
    np.testing.assert_allclose(regression(texts, texts @ matrix, 1e-9), matrix, atol=1e-4)


def test_positives_turn_round() -> None:
    pictured, back = _reversed([np.array([4, 7]), np.array([7]), np.array([2])])
    assert pictured.tolist() == [2, 4, 7]
    assert [texts.tolist() for texts in back] == [[2], [0], [0, 1]]


def test_the_regression_is_drawn_towards_what_is_known(context: TextContext) -> None:
    targets = context.head.apply(context.train)[context.pictures]
    known = np.random.default_rng(4).normal(size=(24, 16)).astype(np.float32)
    strong = regression(context.texts, targets, 1e6, prior=known)
    np.testing.assert_allclose(strong, known, atol=1e-3)
    weak = regression(context.texts, targets, 1e-6, prior=known)
    np.testing.assert_allclose(weak, regression(context.texts, targets, 1e-6), atol=1e-3)


def test_what_is_known_competes_as_it_is(context: TextContext) -> None:
    link = np.random.default_rng(0).normal(size=(24, 16)).astype(np.float32)  # the true one
    candidate = tune_text(replace(context, prior=link))
    without = tune_text(context)
    assert candidate.tried > without.tried
    assert candidate.mean >= without.mean
