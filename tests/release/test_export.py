from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from honed.release.parts import ImageParts

from honed.catalog import history
from honed.errors import InputError, UsageError
from honed.models.embedder import LocalEmbedder
from honed.models.vision.folder import read_encoder_folder, write_encoder_folder
from honed.models.vision.head import ImageHead, plain_head
from honed.models.weights import write_weights
from honed.release.build import build
from honed.release.export import export_embedder
from honed.session import Session
from tests.models.vision.make import SMALL, state_dict
from tests.release.conftest import parts
from tests.tiny_model import make_tiny_bert

TEXTS = ["the heart pumps blood", "back pain"]


def release(session: Session, **changes: object) -> str:
    return build(
        session.workspace,
        session.catalog,
        parts(**changes),
        expected=history.live_release(session.catalog),
        reason="why",
    )


def test_an_exported_model_gives_the_vectors_of_its_release(session: Session, tmp_path: Path) -> None:
    query, document = make_tiny_bert(tmp_path / "q", seed=1), make_tiny_bert(tmp_path / "d", seed=2)
    test = {"metric": "ndcg@10", "base": 0.5, "candidate": 0.61, "ci95": [0.05, 0.2], "p": 0.0004}
    release(session, query_folder=query, document_folder=document, lineage={"test": test})
    out = tmp_path / "out/model"
    assert export_embedder(session.workspace, session.catalog, "live", out) == "r2"
    cache = {"cache_dir": session.workspace.cache, "threads": 1}
    exported, kept = LocalEmbedder(out, **cache), LocalEmbedder(session.workspace.releases / "r2/model", **cache)
    assert exported.space == kept.space
    assert np.allclose(exported.encode_query(TEXTS), kept.encode_query(TEXTS), atol=1e-6)
    assert not np.allclose(exported.encode_query(TEXTS), exported.encode_document(TEXTS), atol=0.01)
    card = (out / "README.md").read_text()
    assert "0.500 before, 0.610 after" in card
    assert "+0.050 to +0.200" in card
    with pytest.raises(InputError, match="exists already"):
        export_embedder(session.workspace, session.catalog, "r2", out)


def test_an_untuned_folder_is_exported_as_it_is(session: Session, tmp_path: Path) -> None:
    model = make_tiny_bert(tmp_path / "model")
    release(session, embedder=f"folder:{model}", space="any")
    export_embedder(session.workspace, session.catalog, "r2", tmp_path / "out")
    assert "It is the untuned model" in (tmp_path / "out/README.md").read_text()


def test_what_is_no_model_folder_is_refused(session: Session, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a model folder"):
        export_embedder(session.workspace, session.catalog, "r1", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_matrix_is_not_dropped_in_silence(session: Session, tmp_path: Path) -> None:
    write_weights(tmp_path / "adapter", {"adapter": np.eye(32, dtype=np.float32)})
    model = make_tiny_bert(tmp_path / "model")
    release(session, query_folder=model, document_folder=model, adapter=tmp_path / "adapter")
    with pytest.raises(UsageError, match="query-side matrix") as error:
        export_embedder(session.workspace, session.catalog, "r2", tmp_path / "out")
    assert error.value.hint
    assert not (tmp_path / "out").exists()


def test_a_tuned_image_side_goes_along_and_its_page_says_how_to_use_it(session: Session, tmp_path: Path) -> None:
    """The code of the page is run as it stands, on descriptors of the exported encoder."""
    random = np.random.default_rng(0)
    head = ImageHead(*(random.normal(size=shape).astype(np.float32) for shape in ((1280,), (1280, 16))))
    head.write(tmp_path / "head.safetensors")
    encoder = write_encoder_folder(tmp_path / "encoder", state_dict(), SMALL)
    side = ImageParts("any", "space", folder=encoder, head=tmp_path / "head.safetensors", neighbours=2)
    model = make_tiny_bert(tmp_path / "model")
    release(session, query_folder=model, document_folder=model, images=side)
    out = tmp_path / "out"
    export_embedder(session.workspace, session.catalog, "r2", out)
    exported = read_encoder_folder(out / "images/encoder")
    assert exported.digest() == read_encoder_folder(encoder).digest()
    page = (out / "images/README.md").read_text()
    assert "its 2 nearest pictures" in page
    code = page.split("```python")[1].split("```")[0].replace("head.safetensors", str(out / "images/head.safetensors"))
    names: dict[str, Any] = {}
    exec(code, names)
    descriptors = random.normal(size=(5, 1280)).astype(np.float32)
    np.testing.assert_allclose(names["vectors"](descriptors), head.apply(descriptors), atol=1e-6)


def test_an_encoder_that_is_no_folder_is_named(session: Session, tmp_path: Path) -> None:
    plain_head(192).write(tmp_path / "head.safetensors")
    model = make_tiny_bert(tmp_path / "model")
    images = ImageParts("thumbnail:8", "space", head=tmp_path / "head.safetensors")
    release(session, query_folder=model, document_folder=model, images=images)
    export_embedder(session.workspace, session.catalog, "r2", tmp_path / "out")
    assert "the image encoder `thumbnail:8`" in (tmp_path / "out/images/README.md").read_text()
    assert not (tmp_path / "out/images/encoder").exists()
    release(session, query_folder=model, document_folder=model, images=ImageParts("thumbnail:8", "space"))
    export_embedder(session.workspace, session.catalog, "r3", tmp_path / "plain")
    assert not (tmp_path / "plain/images").exists()
