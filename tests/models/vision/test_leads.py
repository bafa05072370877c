from __future__ import annotations

import numpy as np

from honed.models.vision.leads import led


def test_the_best_caption_leads_most() -> None:
    pictures = np.eye(3, dtype=np.float32)[None]
    found = led(np.zeros((1, 3), np.float32), pictures, np.array([[0.9, 0.3, -1.0]], np.float32))
    assert found[0, 0] > 20 * found[0, 1] > 0
    assert found[0, 2] == 0
    np.testing.assert_allclose(np.linalg.norm(found), 1, rtol=1e-6)


def test_without_a_matching_caption_a_question_stays() -> None:
    query = np.array([[0.6, 0.8]], np.float32)
    np.testing.assert_allclose(
        led(query, np.ones((1, 2, 2), np.float32), np.zeros((1, 2), np.float32)), query, rtol=1e-6
    )
