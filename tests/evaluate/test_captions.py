from __future__ import annotations

import numpy as np

from honed.answer.fusion import FusionSettings
from honed.evaluate.captions import Captions, CaptionScores, search_titles
from honed.models.hashing import HashEmbedder

TITLES = ("red ship", "", "green tree", "red tree", " ")
QUESTIONS = ("red", "tree green", "nothing of it")
EMBEDDER = HashEmbedder(512)
BM25, DENSE = FusionSettings(weight=0.0), FusionSettings(weight=1.0)


def found(titles: tuple[str, ...] = TITLES, questions: tuple[str, ...] = QUESTIONS) -> CaptionScores:
    vectors, queries = EMBEDDER.encode_document(titles), EMBEDDER.encode_query(questions)
    return search_titles(titles, vectors, questions, queries, language="english")


def test_keywords_find_the_titles_that_have_them_and_no_others() -> None:
    assert found().captions.described.tolist() == [True, False, True, True, False]
    words = found().under(BM25)
    assert (words > 0).tolist() == [
        [True, False, False, True, False],
        [False, False, True, True, False],
        [False] * 5,
    ]
    assert words[1].argmax() == 2


def test_vectors_score_every_title_by_its_cosine() -> None:
    scores = found().under(DENSE)
    cosine = EMBEDDER.encode_query(QUESTIONS[:2]) @ EMBEDDER.encode_document(["red ship", "green tree", "red tree"]).T
    np.testing.assert_allclose(scores[:2][:, [0, 2, 3]], cosine, atol=1e-6)
    assert not scores[:, [1, 4]].any()


def test_no_titles_and_no_questions() -> None:
    assert not found(("", " ")).under(FusionSettings()).any()
    assert found(questions=()).under(FusionSettings()).shape == (0, 5)


def test_a_hidden_picture_has_no_caption_though_its_passage_describes_another_one() -> None:
    captions = Captions(np.array([3, 3, 7]), np.array([0, 1, 2]), 4)
    assert captions.described.tolist() == [True, True, True, False]
    kept = captions.without(np.array([False, True, False, False]))
    assert (kept.passages.tolist(), kept.places.tolist()) == ([3, 7], [0, 2])
    assert kept.described.tolist() == [True, False, True, False]
