from __future__ import annotations

import numpy as np

from honed.answer.fusion import FusionSettings
from honed.evaluate.captions import search_captions
from honed.models.hashing import HashEmbedder

TITLES = ("red ship", "", "green tree", "red tree", " ")
QUESTIONS = ("red", "tree green", "nothing of it")


def test_keywords_find_the_titles_that_have_them_and_no_others() -> None:
    found = search_captions(HashEmbedder(512), TITLES, QUESTIONS, language="english")
    assert found.titled.tolist() == [True, False, True, True, False]
    words = found.under(FusionSettings(weight=0.0))
    assert (words > 0).tolist() == [
        [True, False, False, True, False],
        [False, False, True, True, False],
        [False] * 5,
    ]
    assert words[1].argmax() == 2


def test_vectors_score_every_title_by_its_cosine() -> None:
    embedder = HashEmbedder(512)
    found = search_captions(embedder, TITLES, QUESTIONS, language="english").under(FusionSettings(weight=1.0))
    cosine = embedder.encode_query(QUESTIONS[:2]) @ embedder.encode_document(["red ship", "green tree", "red tree"]).T
    np.testing.assert_allclose(found[:2][:, [0, 2, 3]], cosine, atol=1e-6)
    assert not found[:, [1, 4]].any()


def test_no_titles_and_no_questions() -> None:
    assert (
        not search_captions(HashEmbedder(64), ("", " "), QUESTIONS, language="english")
        .under(FusionSettings(weight=0.8))
        .any()
    )
    assert search_captions(HashEmbedder(64), TITLES, (), language="english").under(
        FusionSettings(weight=0.8)
    ).shape == (0, 5)
