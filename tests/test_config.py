from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from honed.config import DEFAULT_FILE, Settings, load
from honed.errors import UsageError
from honed.workspace import Workspace, create


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create(tmp_path, "")


def test_defaults(workspace: Workspace) -> None:
    loaded = load(workspace, {})
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}


def test_the_default_file_sets_nothing(workspace: Workspace) -> None:
    workspace.settings_path.write_text(DEFAULT_FILE)
    assert load(workspace, {}).settings == Settings()


def test_environment_beats_file_beats_default(workspace: Workspace) -> None:
    workspace.settings_path.write_text('pool = 50\nembedder = "hash:256"\n')
    loaded = load(workspace, {"HONED_POOL": "70", "HONED_MIN_GAIN": "2e-2", "HONED_DEBUG": "1", "POOL": "9"})
    assert (loaded.settings.pool, loaded.settings.embedder, loaded.settings.min_gain) == (70, "hash:256", 0.02)
    assert loaded.origins["pool"] == "HONED_POOL"
    assert loaded.origins["embedder"] == "honed.toml"
    assert loaded.origins["seed"] == "default"


def test_an_empty_variable_is_an_unset_one(workspace: Workspace) -> None:
    assert load(workspace, {"HONED_POOL": "", "HONED_EMBEDDER": " "}).settings == Settings()


def test_a_whole_number_is_a_fraction_too(workspace: Workspace) -> None:
    workspace.settings_path.write_text("min_gain = 0\n")
    assert load(workspace, {}).settings.min_gain == 0.0


@pytest.mark.parametrize(
    "line",
    [
        'pool = "200"', "pool = 2.5", "pool = true", "pool = []", "pool = 0", "pool = -1", "seed = 1979-05-27",
        "passage_words = 0", "passage_words = true", "threads = -1", "near_duplicate = 0.2", "near_duplicate = 1.5",
        "min_gain = true", "min_gain = nan", "max_slice_drop = inf", "min_gain = -0.1", 'min_gain = "0.1"',
        "embedder = 5", 'embedder = ""', "generator = false", 'language = "german"', 'sandbox = "off"',
        "colour = 1", '"__class__" = 1',
        "[embedder]\nname = 'x'",
    ],
)  # fmt: skip
def test_wrong_values_in_the_file(workspace: Workspace, line: str) -> None:
    workspace.settings_path.write_text(line + "\n")
    with pytest.raises(UsageError, match=r"honed\.toml"):
        load(workspace, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [("POOL", "many"), ("POOL", "1.5"), ("POOL", "0"), ("SEED", "x"), ("MIN_GAIN", "nan"), ("LANGUAGE", "klingon")],
)
def test_wrong_values_in_the_environment(workspace: Workspace, name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"HONED_{name}"):
        load(workspace, {f"HONED_{name}": value})


def test_a_file_in_another_encoding(workspace: Workspace) -> None:
    workspace.settings_path.write_text('# Größe\nembedder = "hash:256"\n', encoding="utf-8")
    assert load(workspace, {}).settings.embedder == "hash:256"
    workspace.settings_path.write_bytes('# Größe\nembedder = "hash:256"\n'.encode("latin-1"))
    with pytest.raises(UsageError, match="UTF-8"):
        load(workspace, {})
    workspace.settings_path.write_bytes(b'\xef\xbb\xbfembedder = "hash:256"\n')
    assert load(workspace, {}).settings.embedder == "hash:256"


def test_every_setting_can_come_from_the_environment(workspace: Workspace) -> None:
    for field in dataclasses.fields(Settings):
        value = getattr(Settings(), field.name)
        if isinstance(value, dict):
            continue
        assert getattr(load(workspace, {f"HONED_{field.name.upper()}": str(value)}).settings, field.name) == value
    variable = {"HONED_METRICS": "retriever=recall@5, image-retriever=map"}
    assert load(workspace, variable).settings.metrics == {"retriever": "recall@5", "image-retriever": "map"}


def test_metrics_are_a_table(workspace: Workspace) -> None:
    workspace.settings_path.write_text('metrics = { retriever = "recall@5" }\n')
    assert load(workspace, {}).settings.metrics == {"retriever": "recall@5"}
    for wrong in ('metrics = "recall@5"', "metrics = { retriever = 5 }"):
        workspace.settings_path.write_text(wrong + "\n")
        with pytest.raises(UsageError, match="metrics"):
            load(workspace, {})
    with pytest.raises(UsageError, match="cannot hold"):
        load(workspace, {"HONED_METRICS": "recall@5"})
