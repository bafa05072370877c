from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.answer.settings import RetrievalSettings
from honed.catalog import history, judgements
from honed.models.weights import write_weights
from honed.release.build import Shipment, build, live_manifest, part_of
from honed.release.manifest import RETRIEVER
from honed.release.open import open_release
from honed.session import Session
from honed.settle import drop_unused_vectors
from honed.types import SPLITS, Qrel
from tests import toy

pytest.importorskip("torch", reason="a run trains: pip install 'honed[tune]'")

from honed.roles.retriever.models import Models
from honed.roles.retriever.recipe import Recipe
from honed.tuning.candidate import Candidate
from tests.runs import opened, prepared, snapshot_of

HIDDEN = 32


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with opened(prepared(tmp_path, toy.write_beir(tmp_path / "beir"))) as session:
        yield session


def matrix(path: Path, seed: int) -> Path:
    random = np.random.default_rng(seed)
    write_weights(path, {"adapter": random.normal(0, 0.3, (HIDDEN, HIDDEN)).astype(np.float32)})
    return path


@pytest.mark.parametrize("with_adapter", [False, True])
def test_a_release_after_one_with_a_matrix_is_the_candidate_that_was_tested(
    session: Session, tmp_path: Path, with_adapter: bool
) -> None:
    workspace, catalog = session.workspace, session.catalog
    before = part_of(workspace, live_manifest(workspace, catalog), RETRIEVER)
    first = replace(before, files={"adapter": matrix(tmp_path / "first", 1)})
    build(workspace, catalog, Shipment("test", {RETRIEVER: first}), expected=1, reason="test")
    models = Models(session, snapshot_of(session), lambda _: None)
    files = {"adapter": matrix(tmp_path / "second", 2)} if with_adapter else {}
    values = {"retrieval": RetrievalSettings().as_dict()}
    candidate = Candidate("any", "any", np.zeros(1), 0.0, 1, files=files, values=values)
    questions = [toy.question(pair) for pair in toy.PAIRS[:5]]
    tested = models.embedder(candidate).encode_query(questions)
    second = models.part(candidate, tmp_path)
    build(workspace, catalog, Shipment("test", {RETRIEVER: second}), expected=2, reason="test")
    shipped = open_release(workspace, catalog, session.settings).embedder.encode_query(questions)
    assert np.allclose(tested, shipped, atol=1e-5)


def test_a_run_depends_on_labels_of_every_split_recipe_settings_and_version(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was killed goes on only under the same: finished candidates hold scores of the old labels."""

    def experiment(recipe: Recipe | None = None, **settings: object) -> str:
        changed = replace(session, settings=replace(session.settings, **settings))  # type: ignore[arg-type]
        models = Models(changed, snapshot_of(changed), lambda _: None, recipe)
        return json.dumps(models.experiment(), sort_keys=True)

    before = experiment()
    assert experiment() == before
    assert experiment(threads=2) == before, "the machine is no part of an experiment"
    others = [experiment(Recipe(query_rate=3e-4)), experiment(seed=14), experiment(min_gain=0.02)]
    monkeypatch.setattr("honed.roles.retriever.models.version", lambda _: "another")
    others.append(experiment())
    monkeypatch.undo()
    for split in SPLITS:
        query = judgements.queries(session.catalog, split)[0]
        with session.catalog.transaction():
            judgements.add(
                session.catalog, [query], [Qrel(query.id, "d0", 1), Qrel(query.id, "d1", 1)], origin="import"
            )
        others.append(experiment())
    assert len({before, *others}) == 8


def test_vectors_of_no_release_are_dropped_and_others_kept(session: Session) -> None:
    catalog = session.catalog
    kept = live_manifest(session.workspace, catalog).space
    keys = [row[0] for row in catalog.execute("SELECT text_hash FROM vectors LIMIT 3")]
    catalog.put_vectors("left over", keys, np.eye(3, 8, dtype=np.float32))
    assert drop_unused_vectors(session) == 3
    assert [row[0] for row in catalog.execute("SELECT DISTINCT space FROM vectors")] == [kept]


def test_no_vector_is_dropped_while_nobody_knows_what_releases_need(session: Session) -> None:
    manifest = session.workspace.releases / "r1/manifest.json"
    manifest.rename(manifest.with_suffix(".away"))
    assert drop_unused_vectors(session) == 0
    with session.catalog.transaction():
        session.catalog.execute("DELETE FROM live")
        session.catalog.execute("DELETE FROM releases")
    assert history.live_release(session.catalog) is None
    assert drop_unused_vectors(session) == 0
    assert session.catalog.execute("SELECT count(*) FROM vectors").fetchone()[0] > 0
