from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from honed.errors import InputError
from honed.models.embedder import LocalEmbedder
from honed.models.folder import open_folder
from honed.models.towers import open_towers, save_towers
from honed.workspace import tree_hashes
from tests.tiny_model import make_tiny_bert

TEXTS = ["fever is a sign of infection", "what causes back pain", "", "terminated by either party " * 30]


def prompted(folder: Path, out: Path, **prompts: str) -> Path:
    shutil.copytree(folder, out)
    (out / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    return out


def test_two_towers_are_opened_as_they_were_saved(tiny: Path, other: Path, cache: Path, tmp_path: Path) -> None:
    save_towers(other, tiny, tmp_path / "out")
    both = LocalEmbedder(tmp_path / "out", cache_dir=cache)
    apart = LocalEmbedder(tiny, query_folder=other, cache_dir=cache)
    assert both.space == apart.space
    np.testing.assert_array_equal(both.encode_query(TEXTS), apart.encode_query(TEXTS))
    np.testing.assert_array_equal(both.encode_document(TEXTS), apart.encode_document(TEXTS))
    assert not np.allclose(both.encode_query(TEXTS), both.encode_document(TEXTS), atol=0.01)


def test_each_tower_is_a_model_of_its_own_and_can_be_joined_again(tiny: Path, other: Path, tmp_path: Path) -> None:
    save_towers(
        prompted(other, tmp_path / "q", query="q: "), prompted(tiny, tmp_path / "d", document="d: "), tmp_path / "a"
    )
    query, document = open_towers(tmp_path / "a")
    assert open_folder(query).query_prompt == "q: "
    assert open_folder(document).document_prompt == "d: "
    save_towers(query, document, tmp_path / "b")
    save_towers(tmp_path / "a", tmp_path / "a", tmp_path / "c")
    assert tree_hashes(tmp_path / "a") == tree_hashes(tmp_path / "b") == tree_hashes(tmp_path / "c")


def test_equal_towers_make_an_ordinary_folder(tiny: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(tiny, tmp_path / "copy")
    save_towers(tiny, copied, tmp_path / "out")
    assert not (tmp_path / "out" / "router_config.json").exists()
    assert open_towers(tmp_path / "out") == (tmp_path / "out", tmp_path / "out")
    assert open_folder(tmp_path / "out").digest == open_folder(tiny).digest


def test_code_and_pickles_stay_behind(tiny: Path, other: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(tiny, tmp_path / "source"))
    (source / "pytorch_model.bin").write_bytes(b"pickle")
    (source / "modeling.py").write_text("boom")
    save_towers(other, source, tmp_path / "out")
    names = {Path(name).suffix for name in tree_hashes(tmp_path / "out")}
    assert names == {".json", ".safetensors", ".txt"}


def test_nothing_is_overwritten_and_a_failure_leaves_nothing(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        save_towers(tiny, tiny, tmp_path / "full")
    wide = make_tiny_bert(tmp_path / "wide", hidden=64)
    with pytest.raises(InputError, match="64"):
        save_towers(wide, tiny, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "wide"]


def test_a_routers_paths_stay_inside(tiny: Path, other: Path, tmp_path: Path) -> None:
    save_towers(other, tiny, tmp_path / "out")
    path = tmp_path / "out" / "router_config.json"
    path.write_text(path.read_text().replace("query_0_Transformer", "../query_0_Transformer"))
    with pytest.raises(InputError, match="leaves"):
        open_folder(tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("equal", [False, True])
def test_sentence_transformers_loads_the_folder(
    tiny: Path, other: Path, cache: Path, tmp_path: Path, equal: bool
) -> None:
    library = pytest.importorskip("sentence_transformers")
    query = prompted(tiny if equal else other, tmp_path / "q", query="what is ")
    save_towers(query, prompted(tiny, tmp_path / "d", document="the contract "), tmp_path / "out")
    theirs = library.SentenceTransformer(str(tmp_path / "out"), device="cpu")
    ours = LocalEmbedder(tmp_path / "out", cache_dir=cache)
    for encode in ("encode_query", "encode_document"):
        cosines = np.sum(getattr(theirs, encode)(TEXTS) * getattr(ours, encode)(TEXTS), axis=1)
        assert cosines.min() >= 0.9999
    assert theirs.max_seq_length == ours.max_tokens


@pytest.mark.slow
def test_a_router_that_sentence_transformers_saved_is_read(
    tiny: Path, other: Path, cache: Path, tmp_path: Path
) -> None:
    library = pytest.importorskip("sentence_transformers")
    from sentence_transformers.base.modules import Router

    towers = [list(library.SentenceTransformer(str(folder), device="cpu").children()) for folder in (other, tiny)]
    theirs = library.SentenceTransformer(modules=[Router.for_query_document(*towers)], device="cpu")
    theirs.save(str(tmp_path / "theirs"))
    ours = LocalEmbedder(tmp_path / "theirs", cache_dir=cache)
    for encode in ("encode_query", "encode_document"):
        cosines = np.sum(getattr(theirs, encode)(TEXTS) * getattr(ours, encode)(TEXTS), axis=1)
        assert cosines.min() >= 0.9999
    query, document = open_towers(tmp_path / "theirs")
    save_towers(query, document, tmp_path / "again")
    assert LocalEmbedder(tmp_path / "again", cache_dir=cache).space == ours.space


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Bert", "Roberta", "XLMRoberta"])
def test_the_graph_agrees_with_transformers(kind: str, tiny: Path, cache: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    library = pytest.importorskip("sentence_transformers")
    torch.manual_seed(0)
    folder = Path(shutil.copytree(tiny, tmp_path / "model"))
    vocab = json.loads((tiny / "config.json").read_text())["vocab_size"]
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=vocab,
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=66,
        type_vocab_size=1,
        pad_token_id=0,
        initializer_range=0.5,
    )
    getattr(transformers, f"{kind}Model")(config).eval().save_pretrained(folder)
    (folder / "1_Pooling" / "config.json").write_text('{"embedding_dimension": 48, "pooling_mode": "mean"}')
    theirs = library.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    ours = LocalEmbedder(folder, cache_dir=cache).encode_query(TEXTS)
    assert np.sum(theirs * ours, axis=1).min() >= 0.99999
