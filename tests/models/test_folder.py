from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from honed.errors import HonedError, InputError, MissingError
from honed.models.folder import digest, open_folder


@pytest.fixture
def model(tiny: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(tiny, tmp_path / "model"))


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    value = json.loads(path.read_text())
    result = change(value)
    path.write_text(json.dumps(value if result is None else result))


def test_an_ordinary_folder_has_one_tower(model: Path) -> None:
    folder = open_folder(model)
    assert folder.query == folder.document
    assert (folder.document.pooling, folder.document.max_tokens, folder.document.dimension) == ("mean", 64, 32)
    assert (folder.query_prompt, folder.document_prompt) == ("", "")


def test_a_bare_encoder_is_pooled_by_the_mean(model: Path) -> None:
    (model / "modules.json").unlink()
    assert open_folder(model).document.pooling == "mean"


def test_both_notations_of_pooling_are_read(model: Path) -> None:
    path = model / "1_Pooling" / "config.json"
    path.write_text(json.dumps({"word_embedding_dimension": 32, "pooling_mode_cls_token": True}))
    assert open_folder(model).document.pooling == "cls"
    path.write_text(json.dumps({"embedding_dimension": 32, "pooling_mode": "cls", "include_prompt": True}))
    assert open_folder(model).document.pooling == "cls"


def test_module_paths_of_version_6_are_known(model: Path) -> None:
    new = [
        "sentence_transformers.base.modules.transformer.Transformer",
        "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
        "sentence_transformers.base.modules.normalize.Normalize",
    ]
    edit(model / "modules.json", lambda rows: [row | {"type": name} for row, name in zip(rows, new, strict=True)])
    assert open_folder(model).document.pooling == "mean"


@pytest.mark.parametrize("suffix", ["bin", "pt", "ckpt"])
def test_pickled_weights_are_refused(model: Path, suffix: str) -> None:
    (model / "model.safetensors").rename(model / f"pytorch_model.{suffix}")
    with pytest.raises(InputError, match="pickle"):
        open_folder(model)


def set_key(file: str, **values: object) -> Callable[[Path], None]:
    return lambda model: edit(model / file, lambda value: value | values)


def set_modules(**values: object) -> Callable[[Path], None]:
    return lambda model: edit(model / "modules.json", lambda rows: [rows[0], rows[1] | values, rows[2]])


REFUSED: dict[str, Callable[[Path], None]] = {
    "code beside the model": set_key("config.json", auto_map={"AutoModel": "evil.Model"}),
    "a module of its own": set_modules(type="evil.Pooling"),
    "a module that is no string": set_modules(type=["x"]),
    "a dense layer": set_modules(type="sentence_transformers.models.Dense"),
    "two poolings": set_modules(type="sentence_transformers.models.Transformer"),
    "a path upwards": set_modules(path="../1_Pooling"),
    "an absolute path": set_modules(path="/etc"),
    "a path that is no string": set_modules(path=3),
    "max pooling": set_key("1_Pooling/config.json", pooling_mode="max"),
    "two poolings at once": set_key("1_Pooling/config.json", pooling_mode_cls_token=True),
    "a prompt outside of the pooling": set_key("1_Pooling/config.json", include_prompt=False),
    "no length": set_key("sentence_bert_config.json", max_seq_length=1),
    "a length that is text": set_key("sentence_bert_config.json", max_seq_length="many"),
    "lengths by role": set_key("sentence_bert_config.json", query_length=8),
    "a size that is text": set_key("config.json", hidden_size="32"),
    "modules that are no list": lambda model: (model / "modules.json").write_text('{"a": 1}'),
    "a config that is no object": lambda model: (model / "config.json").write_text("[]"),
    "deep JSON": lambda model: (model / "config.json").write_text("[" * 200_000),
    "no JSON": lambda model: (model / "config.json").write_text("{"),
    "weights in parts": lambda model: (model / "model.safetensors").rename(model / "model.safetensors.index.json"),
    "no weights": lambda model: (model / "model.safetensors").unlink(),
    "no tokenizer": lambda model: (model / "tokenizer.json").unlink(),
    "no config": lambda model: (model / "config.json").unlink(),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_safely_is_refused(model: Path, case: str) -> None:
    REFUSED[case](model)
    with pytest.raises(HonedError):
        open_folder(model)


def test_a_folder_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        open_folder(tmp_path / "nothing")


def test_the_digest_changes_with_what_changes_a_vector_and_with_nothing_else(model: Path, other: Path) -> None:
    before = digest(model)
    (model / "README.md").write_text("notes")
    set_key("config.json", transformers_version="9", _name_or_path="elsewhere")(model)
    assert digest(model) == before
    assert digest(other) != before
    seen = {before}
    for change in (
        set_key("1_Pooling/config.json", pooling_mode="cls"),
        set_key("sentence_bert_config.json", max_seq_length=32),
        set_key("config.json", layer_norm_eps=1e-6),
        lambda folder: (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "q: "}}'),
        lambda folder: (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text() + " "),
    ):
        change(model)
        assert digest(model) not in seen
        seen.add(digest(model))
