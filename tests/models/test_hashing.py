from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from honed.errors import UsageError
from honed.models.hashing import HashEmbedder
from honed.models.registry import load
from honed.protocols import Embedder


def test_it_is_an_embedder_of_unit_vectors() -> None:
    embedder = HashEmbedder(64)
    assert isinstance(embedder, Embedder)
    vectors = embedder.encode_document(["fever and pain", "", "!?", "x"])
    assert vectors.shape == (4, 64)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert embedder.encode_query([]).shape == (0, 64)


def test_shared_words_and_stems_are_near() -> None:
    query, same, stem, far = HashEmbedder(1024).encode_query(
        ["treating infections", "treating infections at home", "infection treatment", "the landlord's rent"]
    )
    assert query @ same > query @ stem > query @ far


def test_it_is_the_same_in_every_process() -> None:
    code = (
        "from honed.models.hashing import HashEmbedder as H; print(H(16).encode_query(['back pain']).tobytes().hex())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("spec", ["hash:0", "hash:x", "hash:99999999"])
def test_a_dimension_that_makes_no_sense_is_refused(spec: str) -> None:
    with pytest.raises(UsageError):
        load("embedder", spec)
