from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from honed.errors import InputError, MissingError, UsageError
from honed.models import embedder as module
from honed.models import probe as probe_module
from honed.models.embedder import LocalEmbedder
from honed.models.registry import load
from honed.models.tokens import TOKEN_BUDGET, batches, open_tokenizer
from honed.protocols import Embedder
from tests.models.bert_in_numpy import encode
from tests.tiny_model import DEFAULT_TEXTS, make_tiny_bert

WORDS = " ".join(DEFAULT_TEXTS).split()


def texts(count: int, seed: int = 0) -> list[str]:
    pick = random.Random(seed)
    return [" ".join(pick.choices(WORDS, k=pick.randint(0, 90))) for _ in range(count)]


@pytest.fixture
def embedder(tiny: Path, cache: Path) -> LocalEmbedder:
    return LocalEmbedder(tiny, cache_dir=cache)


def test_it_is_an_embedder_of_unit_vectors_in_the_order_given(embedder: LocalEmbedder, tiny: Path) -> None:
    assert isinstance(embedder, Embedder)
    rows = texts(40)
    vectors = embedder.encode_document(rows)
    assert vectors.shape == (40, embedder.dimension)
    assert vectors.dtype == np.float32
    tower = module.open_folder(tiny).document
    tokenizer = open_tokenizer(tower)
    expected = [encode(tower.weights(), tokenizer.encode(row).ids, heads=4, layers=2) for row in rows]
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    np.testing.assert_allclose(embedder.encode_query(rows), vectors, atol=1e-5)


def test_nothing_gives_no_rows(embedder: LocalEmbedder) -> None:
    assert embedder.encode_query([]).shape == (0, 32)
    assert embedder.encode_document([]).shape == (0, 32)
    assert list(embedder.encode_stream([])) == []


@pytest.mark.parametrize("runtime", ["ort-fp32", "ort-int8"])
def test_a_stream_gives_every_position_once(
    tiny: Path, cache: Path, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW", 16)
    embedder = LocalEmbedder(tiny, cache_dir=cache, runtime=runtime, threads=2)
    rows = texts(50)
    vectors = np.zeros((50, 32), np.float32)
    seen: list[int] = []
    for positions, part in embedder.encode_stream(rows):
        seen.extend(positions.tolist())
        vectors[positions] = part
    assert sorted(seen) == list(range(50))
    assert len(seen) == 50
    np.testing.assert_allclose(vectors, embedder.encode_document(rows), atol=1e-5)


def test_a_stream_can_be_left(tiny: Path, cache: Path) -> None:
    stream = LocalEmbedder(tiny, cache_dir=cache, runtime="ort-fp32").encode_stream(texts(3000))
    next(stream)
    stream.close()


def test_many_texts_are_encoded_with_the_probed_runtime(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_module, "SECONDS", 0.05)
    embedder = LocalEmbedder(tiny, cache_dir=tmp_path)
    few = embedder.encode_document(texts(8))
    assert not list(tmp_path.rglob("runtime-*.json"))
    many = embedder.encode_document(texts(300))
    assert list(tmp_path.rglob("runtime-*.json"))
    assert many.shape == (300, 32)
    assert np.sum(embedder.encode_document(texts(8)) * few, axis=1).min() > 0.98


def test_prompts_go_before_the_text(tiny: Path, cache: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path / "model"))
    prompts = {"query": "what is ", "document": "the contract "}
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    plain, prompted = LocalEmbedder(tiny, cache_dir=cache), LocalEmbedder(folder, cache_dir=cache)
    np.testing.assert_allclose(prompted.encode_query(["fever"]), plain.encode_query(["what is fever"]), atol=1e-6)
    np.testing.assert_allclose(
        prompted.encode_document(["fever"]), plain.encode_document(["the contract fever"]), atol=1e-6
    )
    assert prompted.space != plain.space


def test_the_space_is_the_document_towers(tiny: Path, other: Path, cache: Path, tmp_path: Path) -> None:
    plain = LocalEmbedder(tiny, cache_dir=cache)
    mixed = LocalEmbedder(tiny, query_folder=other, cache_dir=cache)
    assert mixed.space == plain.space != LocalEmbedder(other, cache_dir=cache).space
    np.testing.assert_array_equal(mixed.encode_document(["fever"]), plain.encode_document(["fever"]))
    asked = LocalEmbedder(other, cache_dir=cache).encode_query(["fever"])
    np.testing.assert_array_equal(mixed.encode_query(["fever"]), asked)
    copied = Path(shutil.copytree(tiny, tmp_path / "copy"))
    assert LocalEmbedder(copied, cache_dir=cache).space == plain.space


def test_towers_of_two_sizes_are_refused(tiny: Path, cache: Path, tmp_path: Path) -> None:
    wide = make_tiny_bert(tmp_path / "wide", hidden=64)
    with pytest.raises(UsageError, match="64"):
        LocalEmbedder(tiny, query_folder=wide, cache_dir=cache)


def test_a_file_that_is_no_tokenizer_is_named(tiny: Path, cache: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path / "model"))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        LocalEmbedder(folder, cache_dir=cache).encode_query(["x"])


def test_long_and_strange_texts_are_encoded(embedder: LocalEmbedder) -> None:
    vectors = embedder.encode_document(["", "fever " * 5000, "\x00\ud83d\ude00 ünï 中文", "a" * 20_000])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_specs_load_folders(tiny: Path, cache: Path) -> None:
    assert load("embedder", str(tiny), cache_dir=cache).dimension == 32
    with pytest.raises(MissingError):
        load("embedder", "./no/such/model", cache_dir=cache)


def test_batches_stay_within_the_budget(tiny: Path) -> None:
    rows = texts(200)
    parts = batches(open_tokenizer(module.open_folder(tiny).document), rows)
    assert all(part.input_ids.size <= TOKEN_BUDGET for part in parts)
    assert sorted(np.concatenate([part.positions for part in parts]).tolist()) == list(range(200))
    widths = [part.input_ids.shape[1] for part in parts]
    assert widths == sorted(widths, reverse=True)
    assert max(widths) == 64
