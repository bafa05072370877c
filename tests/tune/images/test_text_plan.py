from __future__ import annotations

import pytest

from honed.roles.text_to_image.plan import plan_text, text_table


def test_all_texts_are_encoded_where_they_fit() -> None:
    plan = plan_text(600, spent=50, rate=100, texts=4000)
    assert (plan.texts, plan.encode) == (4000, 50)
    assert plan.train == 600 * 0.75 - 50 - 50
    assert "4,000 texts" in text_table(plan)[1]


def test_a_short_budget_encodes_as_many_as_fit_and_leaves_time_to_train() -> None:
    plan = plan_text(60, spent=5, rate=100, texts=4000)
    assert 1000 < plan.texts < 4000
    assert plan.encode + plan.train == pytest.approx(40)
    assert plan.train >= 10
    assert "of 4,000 texts" in text_table(plan)[1]


def test_a_budget_that_is_spent_still_gives_a_plan() -> None:
    plan = plan_text(10, spent=100, rate=50, texts=4000)
    assert plan.texts >= 1
    assert plan.train >= 0.25
