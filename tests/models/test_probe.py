from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from honed.errors import UsageError
from honed.models import probe as module
from honed.models.folder import open_folder
from honed.models.probe import probe
from honed.models.probe_texts import probe_texts
from honed.models.runtime import RUNTIMES, cores, open_runtime
from honed.models.text_encoder import TextEncoder

UNHASHABLE = b'{"runtime": [], "per_second": {}, "mean_cosine": {}, "min_cosine": {}, "left_out": {}}'


@pytest.fixture(autouse=True)
def short_race(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.05)


@pytest.mark.parametrize("name", RUNTIMES)
def test_every_runtime_agrees_with_float32(tiny: Path, cache: Path, name: str) -> None:
    encoder = TextEncoder(open_folder(tiny).document)
    parts = encoder.batches(probe_texts())
    reference, runtime = (open_runtime(which, encoder, cache, threads=1) for which in ("ort-fp32", name))
    for part in parts:
        vectors = runtime.run(*part.inputs)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
        assert np.sum(vectors * reference.run(*part.inputs), axis=1).min() > 0.98


def test_an_unknown_runtime_is_a_usage_error(tiny: Path, cache: Path) -> None:
    with pytest.raises(UsageError, match="abacus"):
        open_runtime("abacus", TextEncoder(open_folder(tiny).document), cache)


def test_a_choice_is_remembered(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = TextEncoder(open_folder(tiny).document)
    assert probe(encoder, tmp_path, only_cached=True) is None
    choice = probe(encoder, tmp_path)
    assert choice is not None
    assert choice.runtime in choice.per_second
    assert set(choice.per_second) | set(choice.left_out) == set(RUNTIMES)
    monkeypatch.setattr(module, "measure", None)
    assert probe(encoder, tmp_path) == choice


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"runtime": "abacus"}', b"\xff", b'{"runtime": []}', UNHASHABLE]
)
def test_a_spoiled_choice_is_measured_again(tiny: Path, tmp_path: Path, content: bytes) -> None:
    encoder = TextEncoder(open_folder(tiny).document)
    choice = probe(encoder, tmp_path)
    (path,) = tmp_path.rglob("runtime-*.json")
    path.write_bytes(content)
    assert probe(encoder, tmp_path, only_cached=True) is None
    again = probe(encoder, tmp_path)
    assert choice is not None and again is not None
    assert again.mean_cosine == choice.mean_cosine


def test_a_runtime_that_fails_or_differs_leaves_the_race(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        workers = 1

        def __init__(self, name: str, graph: Path, *, workers: int, threads: int) -> None:
            if name == "openvino-bf16":
                raise ImportError("no openvino here")

        def run(self, input_ids: np.ndarray, *_: np.ndarray) -> np.ndarray:
            return np.eye(1, 32, dtype=np.float32).repeat(len(input_ids), axis=0)

    for name in ("openvino-bf16", "openvino-fp32"):
        monkeypatch.setitem(module.RUNTIMES, name, (Broken, RUNTIMES[name][1]))  # type: ignore[arg-type]
    choice = probe(TextEncoder(open_folder(tiny).document), tmp_path)
    assert choice is not None
    assert choice.left_out["openvino-bf16"].startswith("ImportError")
    assert "differ" in choice.left_out["openvino-fp32"]
    assert choice.runtime.startswith("ort")


def test_a_small_lead_does_not_buy_a_worse_cosine() -> None:
    assert module._best({"exact": 95.0, "rough": 100.0}, {"exact": 1.0, "rough": 0.993}) == "exact"
    assert module._best({"exact": 60.0, "rough": 100.0}, {"exact": 1.0, "rough": 0.993}) == "rough"


def test_threads_limit_the_cores() -> None:
    assert cores(1) == 1
    assert 1 <= cores() == cores(10_000)


def test_the_probe_texts_are_mixed() -> None:
    lengths = [len(text.split()) for text in probe_texts()]
    assert len(lengths) == 64
    assert min(lengths) < 8
    assert max(lengths) > 150
