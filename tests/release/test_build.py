from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from honed.release.parts import Parts, parts_of

from honed.answer.fusion import FusionSettings
from honed.answer.settings import RetrievalSettings
from honed.catalog import history
from honed.errors import IntegrityError, MissingError, UsageError
from honed.evaluate.untuned import PLAIN
from honed.index.generation import CURRENT, MANIFEST, open_current, space_folder
from honed.index.lexical import LexicalSettings
from honed.models.towers import open_towers
from honed.release import build as building
from honed.release.build import build, live_manifest, manifest_of, previous, promote, row_of
from honed.release.manifest import faults, read_manifest
from honed.release.open import embedder_of, open_release
from honed.session import Session
from honed.settle import make_live
from honed.workspace import sha256_file, tree_hashes
from tests.release.conftest import parts
from tests.tiny_model import make_tiny_bert


def release(session: Session, made: Parts | None = None) -> str:
    return build(
        session.workspace,
        session.catalog,
        made or parts(),
        expected=history.live_release(session.catalog),
        reason="why",
    )


def test_the_first_documents_make_the_first_release(session: Session) -> None:
    manifest = live_manifest(session.workspace, session.catalog)
    assert (manifest.release, manifest.what, manifest.space) == ("r1", "untuned default", "hash-1-64")
    assert history.audit(session.catalog)[0]["reason"] == "first documents"


def test_a_release_is_a_folder_with_a_manifest_that_names_every_file(session: Session, tmp_path: Path) -> None:
    model = make_tiny_bert(tmp_path / "model")
    (tmp_path / "adapter").write_bytes(b"a matrix")
    made = parts(query_folder=model, document_folder=model, adapter=tmp_path / "adapter", lineage={"run": "x", "ü": 1})
    name = release(session, made)
    folder = session.workspace.releases / name
    manifest = manifest_of(session.workspace, row_of(session.catalog, name))
    hashes = tree_hashes(folder)
    hashes.pop("manifest.json")
    assert manifest.files == hashes
    assert manifest.embedder == "model"
    assert manifest.lineage == {"run": "x", "ü": 1}
    assert faults(folder, manifest) == []
    assert open_towers(folder / "model") == (folder / "model", folder / "model")


def test_the_newest_release_is_live_and_the_one_before_is_where_a_rollback_goes(session: Session) -> None:
    assert release(session) == "r2"
    assert row_of(session.catalog, "live").name == "r2"
    assert previous(session.catalog).name == "r1"
    assert make_live(session, None, reason="worse") == "r1"
    assert row_of(session.catalog, "live").name == "r1"
    last = history.audit(session.catalog)[-1]
    assert (last["action"], last["before"], last["after"], last["reason"]) == ("rollback", 2, 1, "worse")
    assert promote(session.workspace, session.catalog, "r1", expected=1, reason="again") == "r1"
    assert history.audit(session.catalog)[-1] == last, "what is live already is not switched"


def test_parts_of_a_release_that_is_not_live_any_more_are_refused_and_leave_nothing(session: Session) -> None:
    """Somebody surveys r1; another one ships r2; what was made of r1's parts must not go live over it."""
    surveyed = history.live_release(session.catalog)
    again = parts_of(session.workspace, live_manifest(session.workspace, session.catalog), what="x", lineage={})
    assert release(session) == "r2"
    with pytest.raises(UsageError, match="r2 went live while this ran, which started from r1") as error:
        build(session.workspace, session.catalog, again, expected=surveyed, reason="stale")
    assert error.value.hint
    with pytest.raises(UsageError, match="r2 went live"):
        promote(session.workspace, session.catalog, "r1", expected=surveyed, reason="stale")
    assert [(row.name, row.live) for row in history.releases(session.catalog)] == [("r1", False), ("r2", True)]
    assert sorted(path.name for path in session.workspace.releases.iterdir()) == ["r1", "r2"]


def test_a_release_that_goes_live_while_another_is_written_wins(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look is in the commit itself: between it and the first one lie the minutes of copying a model."""
    written = building._written

    def overtaken(*arguments: Any) -> Path:
        folder = written(*arguments)
        with session.catalog.transaction():
            history.add_release(session.catalog, 9, "a hash", run=None, note="by another program")
            history.switch_live(session.catalog, "release", 1, 9, "meanwhile")
        return folder

    monkeypatch.setattr(building, "_written", overtaken)
    with pytest.raises(UsageError, match="r9 went live"):
        release(session)
    assert history.live_release(session.catalog) == 9
    assert not (session.workspace.releases / "r2").exists()


def test_what_a_killed_build_left_is_swept_and_its_number_is_used(session: Session) -> None:
    releases = session.workspace.releases
    for name in (".building-xyz", "r2", "r17"):
        (releases / name).mkdir()
        (releases / name / "half").write_text("x")
    assert release(session) == "r2"
    assert sorted(path.name for path in releases.iterdir()) == ["r1", "r2"]


def test_a_build_that_fails_leaves_nothing(session: Session, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        release(session, parts(adapter=tmp_path / "not there"))
    assert [path.name for path in session.workspace.releases.iterdir()] == ["r1"]
    assert row_of(session.catalog, "live").name == "r1"

    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        build(
            session.workspace,
            session.catalog,
            parts(),
            expected=history.live_release(session.catalog),
            reason="x",
            also=fail,
        )
    assert [row.name for row in history.releases(session.catalog)] == ["r1"]
    assert release(session) == "r2"


def test_a_release_that_is_not_what_was_released_is_refused(session: Session, tmp_path: Path) -> None:
    model = make_tiny_bert(tmp_path / "model")
    release(session, parts(query_folder=model, document_folder=model))
    make_live(session, "r1", reason="back")
    weights = session.workspace.releases / "r2/model/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(IntegrityError, match="does not match its hash") as error:
        promote(session.workspace, session.catalog, "r2", expected=1, reason="x")
    assert error.value.hint
    weights.unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        promote(session.workspace, session.catalog, "r2", expected=1, reason="x")
    assert row_of(session.catalog, "live").name == "r1"

    manifest = session.workspace.releases / "r2/manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"weight": 1.0}))
    with pytest.raises(IntegrityError, match="not what was released"):
        manifest_of(session.workspace, row_of(session.catalog, "r2"))
    shutil.rmtree(manifest.parent)
    with pytest.raises(MissingError, match="is missing"):
        manifest_of(session.workspace, row_of(session.catalog, "r2"))


def test_an_embedder_of_another_space_is_refused(session: Session) -> None:
    manifest = live_manifest(session.workspace, session.catalog)
    with pytest.raises(IntegrityError, match="not the one that release r1 was built with"):
        embedder_of(session.workspace, replace(manifest, embedder="hash:128"), session.settings)


def test_unknown_releases(session: Session) -> None:
    for name in ("r9", "", "R1", "r1/../r1"):
        with pytest.raises(UsageError, match="no release") as error:
            row_of(session.catalog, name)
        assert "r1" in error.value.hint
    with pytest.raises(UsageError, match="no earlier release"):
        previous(session.catalog)


def test_another_space_is_embedded_and_indexed_before_it_goes_live(session: Session) -> None:
    release(session, parts(embedder="hash:128", space="hash-1-128"))
    make_live(session, "r1", reason="back")
    make_live(session, "r2", reason="forward")
    retriever = open_release(session.workspace, session.catalog, session.settings)
    assert retriever.release == "r2"
    assert retriever.search("fever and cough")[0].external_id == "flu"


def test_a_reader_answers_from_one_release_while_another_goes_live(session: Session) -> None:
    retriever = open_release(session.workspace, session.catalog, session.settings)
    release(session, parts(embedder="hash:128", space="hash-1-128", retrieval=PLAIN["dense"]))
    make_live(session, "r2", reason="x")
    assert retriever.release == "r1"
    assert retriever.search("fever and cough")[0].external_id == "flu"


def test_a_moved_workspace_searches_as_before(session: Session, tmp_path: Path) -> None:
    from honed.session import open_session
    from honed.workspace import Workspace

    model = make_tiny_bert(tmp_path / "model", vocab_texts=["the flu brings fever and cough gout hurts in big toe"])
    from honed.models.embedder import LocalEmbedder

    space = LocalEmbedder(model, cache_dir=session.workspace.cache, threads=1).space
    release(session, parts(query_folder=model, document_folder=model, space=space))
    make_live(session, "r2", reason="x")
    session.catalog.close()
    session.workspace.root.rename(tmp_path / "elsewhere ü")
    shutil.rmtree(model)
    with open_session(Workspace(tmp_path / "elsewhere ü")) as moved:
        retriever = open_release(moved.workspace, moved.catalog, moved.settings)
        assert retriever.search("fever and cough")[0].external_id == "flu"


def test_without_labels_search_starts_with_what_has_nothing_to_fit(session: Session) -> None:
    manifest = live_manifest(session.workspace, session.catalog)
    assert manifest.retrieval == RetrievalSettings()
    assert manifest.retrieval.fusion == FusionSettings("absolute", 0.5)
    assert manifest.retrieval.lexical == LexicalSettings(title_weight=0.0, drop_stop_words=True, longest=None)


def test_a_release_of_the_version_before_ranks_as_it_did(session: Session, tmp_path: Path) -> None:
    """Its manifest has a weight and no settings; its scores are a weighted sum of shares of each side's best."""
    value = json.loads((session.workspace.releases / "r1" / "manifest.json").read_text())
    del value["retrieval"]
    (tmp_path / "manifest.json").write_text(json.dumps(value | {"format": 2, "weight": 0.8, "pool": 200}))
    read = read_manifest(tmp_path, sha256_file(tmp_path / "manifest.json"))
    lexical = LexicalSettings(title_weight=0.5, drop_stop_words=True, longest=32)
    assert read.retrieval == RetrievalSettings(lexical, FusionSettings("best", 0.8, 200))
    now = open_release(session.workspace, session.catalog, session.settings)
    then, question = now.under(read.retrieval), "which text is about this"
    view, query = now.reader.view(), now.embedder.encode_query([question])
    rowids = np.sort(view.dense(query, 3)[1][0])
    cosines = view.scores_for(query, rowids[None, :])[0]
    words = dict(zip(*(part.tolist() for part in view.lexical(question, 200, lexical)), strict=True))
    bm25 = np.array([words.get(rowid, 0.0) for rowid in rowids.tolist()])
    expected = 0.8 * cosines / cosines.max() + 0.2 * (bm25 / bm25.max() if bm25.max() > 0 else bm25)
    ranked, scores = then.rank([question])[0]
    assert ranked.tolist() == rowids[np.argsort(-expected, kind="stable")].tolist()
    np.testing.assert_allclose(scores, np.sort(expected)[::-1], rtol=1e-5)


def test_an_index_of_the_version_before_is_built_anew_when_it_is_searched(session: Session) -> None:
    manifest = live_manifest(session.workspace, session.catalog)
    place = space_folder(session.workspace.index, manifest.space)
    written = place / (place / CURRENT).read_text().strip() / MANIFEST
    written.write_text(json.dumps(json.loads(written.read_text()) | {"format": 1}))
    assert open_current(session.workspace.index, manifest.space) is None
    assert open_release(session.workspace, session.catalog, session.settings).search("text")
    assert open_current(session.workspace.index, manifest.space) is not None
