from __future__ import annotations

from typing import Any

import pytest

from honed.errors import InputError
from honed.models.painter.config import PainterConfig

CONFIG = PainterConfig(16, 1, (16, 32), 1, 1, 2, 0.3, 8, "space", ("flat", "round"))


def test_it_is_read_as_it_was_written() -> None:
    assert PainterConfig.from_json(CONFIG.to_json()) == CONFIG
    assert PainterConfig.from_json(PainterConfig().to_json()) == PainterConfig()


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "unet"},
        {"side": 31},
        {"side": 1 << 20},
        {"side": True},
        {"patch": 0},
        {"channels": []},
        {"channels": [16, 10**9]},
        {"channels": "32"},
        {"styles": [1]},
        {"styles": ["x"] * 5000},
        {"text_space": None},
        {"spread": 0},
        {"spread": True},
        {"spread": float("nan")},
        {"text": 1e9},
    ],
)
def test_a_config_from_elsewhere_is_checked(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        PainterConfig.from_json(CONFIG.to_json() | change)


def test_what_is_missing_is_named() -> None:
    value = CONFIG.to_json()
    del value["layers"]
    with pytest.raises(InputError, match="layers"):
        PainterConfig.from_json(value)
