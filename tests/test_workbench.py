from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.catalog import history, judgements
from honed.formats import read_beir
from honed.ingest.importing import import_beir
from honed.roles.retriever.loop import drop_unused_vectors, settle, survey
from honed.models.weights import write_weights
from honed.release.build import build, live_manifest
from honed.release.open import open_release
from honed.release.parts import Parts
from honed.session import Session, open_session
from honed.types import SPLITS, Qrel
from honed.workspace import create
from tests import toy

pytest.importorskip("torch", reason="a turn trains: pip install 'honed[tune]'")

from honed.roles.retriever.bench import Recipe
from honed.tuning.candidate import Candidate
from honed.roles.retriever.context import Workbench

HIDDEN = 32


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    model = toy.model(tmp_path / "model")
    workspace = create(tmp_path / "ws", f'embedder = "folder:{model}"\nthreads = 1\n')
    with open_session(workspace, create=True) as session:
        rows = read_beir(toy.write_beir(tmp_path / "beir"))
        import_beir(session.catalog, rows, passage_words=160)
        settle(session, lambda _: None, given={query.id: query.split for query in rows.queries})
        yield session


def matrix(path: Path, seed: int) -> Path:
    random = np.random.default_rng(seed)
    write_weights(path, {"adapter": random.normal(0, 0.3, (HIDDEN, HIDDEN)).astype(np.float32)})
    return path


def release(session: Session, adapter: Path | None) -> str:
    manifest = live_manifest(session.workspace, session.catalog)
    parts = Parts("test", manifest.embedder, manifest.space, 0.5, 50, "english", adapter=adapter)
    return build(
        session.workspace, session.catalog, parts, expected=history.live_release(session.catalog), reason="test"
    )


@pytest.mark.parametrize("with_adapter", [False, True])
def test_a_release_after_one_with_a_matrix_is_the_candidate_that_was_tested(
    session: Session, tmp_path: Path, with_adapter: bool
) -> None:
    release(session, matrix(tmp_path / "first", 1))
    work = Workbench(session, survey(session, lambda _: None), lambda _: None)
    adapter = matrix(tmp_path / "second", 2) if with_adapter else None
    candidate = Candidate("any", "any", 0.5, np.zeros(1), 0.0, 1, adapter=adapter)
    questions = [toy.question(pair) for pair in toy.PAIRS[:5]]
    tested = work.embedder(candidate).encode_query(questions)
    release(session, work.adapter(candidate, tmp_path))
    shipped = open_release(session.workspace, session.catalog, session.settings).embedder.encode_query(questions)
    assert np.allclose(tested, shipped, atol=1e-5)


def test_a_run_depends_on_labels_of_every_split_recipe_settings_and_version(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was killed goes on only under the same: finished candidates hold scores of the old labels."""

    def experiment(recipe: Recipe | None = None, **settings: object) -> str:
        changed = replace(session, settings=replace(session.settings, **settings))  # type: ignore[arg-type]
        work = Workbench(changed, survey(changed, lambda _: None), lambda _: None, recipe)
        return json.dumps(work.experiment(60.0), sort_keys=True)

    before = experiment()
    assert experiment() == before
    assert experiment(threads=2) == before, "the machine is no part of an experiment"
    others = [experiment(Recipe(query_rate=3e-4)), experiment(seed=14), experiment(min_gain=0.02)]
    monkeypatch.setattr("honed.roles.retriever.context.version", lambda _: "another")
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
