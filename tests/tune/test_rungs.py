"""Every rung is really trained on the toy domain and must beat the untuned system on dev, with weights that moved."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.roles.retriever.loop import survey
from honed.models.weights import Weights
from honed.session import Session, open_session
from honed.train import tower as tower_module
from honed.roles.retriever.adapter import tune_adapter
from honed.roles.retriever.bench import Bench, Recipe
from honed.roles.retriever.both_towers import Both, tune_both_towers
from honed.roles.retriever.fusion import tune_fusion
from honed.roles.retriever.ladder import climb
from honed.roles.retriever.plan import Plan, Speed, Step
from honed.roles.retriever.query_tower import Limits, tune_query_tower
from honed.train.replay import Rehearsal
from honed.train.tower import LearningTower
from honed.roles.retriever.context import Workbench
from honed.workspace import Workspace
from tests import toy
from tests.test_loop import prepared

RECIPE = Recipe(
    batch=8,
    both_batch=8,
    query_rate=1e-2,
    both_rate=1e-2,
    adapter_epochs=30,
    adapter_rate=1e-2,
    rehearsal=4,
    rehearsal_weight=0.1,
    both_rehearsal=0.1,
)
LONG = 300.0


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("rungs")
    root = prepared(folder, toy.write_beir(folder / "beir"))
    with open_session(Workspace(root)) as opened:
        yield opened


@pytest.fixture(scope="module")
def work(session: Session) -> Workbench:
    return Workbench(session, survey(session, lambda _: None), lambda _: None, RECIPE)


@pytest.fixture
def bench(work: Workbench, tmp_path: Path) -> Bench:
    """A bench whose guard allows everything: this model knows no everyday language that it could forget."""
    made = work.bench(tmp_path, Speed(1.0, 1.0, False))
    return replace(made, general=replace(made.general, allowed=1.0))


def test_fusion_is_never_worse_than_its_grid(bench: Bench) -> None:
    tuned = tune_fusion(bench)
    pools = bench.dev.pools(bench.dev_queries, bench.dense)
    assert tuned.mean == pytest.approx(float(np.nanmean(bench.dev.primary(pools, tuned.weight))))


def test_the_adapter_learns(bench: Bench) -> None:
    base, tuned = tune_fusion(bench), tune_adapter(bench, LONG)
    assert tuned.mean > base.mean
    assert tuned.adapter is not None
    assert np.abs(Weights(tuned.adapter)["adapter"]).max() > 0


def test_the_query_tower_learns_and_the_passages_stay(work: Workbench, bench: Bench) -> None:
    tuned = tune_query_tower(bench, Limits(30, LONG))
    assert tuned.mean > tune_fusion(bench).mean + 0.2
    assert tuned.details["moved"] > 0
    assert work.embedder(tuned).space == work.ground.embedder.space
    queries = work.embedder(tuned).encode_query(bench.dev.labelled.texts)
    served = bench.dev.primary(bench.dev.pools(queries, bench.dense), tuned.weight)
    np.testing.assert_allclose(np.nanmean(served), tuned.mean, atol=0.02)


def test_both_towers_learn_and_make_a_new_space(work: Workbench, bench: Bench) -> None:
    corpus = work.corpus()
    tuned = tune_both_towers(bench, Both(Limits(10, LONG), Limits(5, LONG)), corpus.embed, corpus.texts)
    assert tuned.mean > tune_fusion(bench).mean + 0.2
    assert tuned.document_folder is not None
    own, base = Weights(tuned.document_folder / "model.safetensors"), Weights(bench.model / "model.safetensors")
    assert any(not np.array_equal(own[name], base[name]) for name in own)
    assert work.dense(tuned) is not bench.dense
    assert work.embedder(tuned).space != work.ground.embedder.space


def test_the_guard_prefers_the_variant_that_forgets_little(bench: Bench) -> None:
    """With nothing allowed, the share that forgets least is taken, whatever dev says."""
    strict = replace(bench, general=replace(bench.general, allowed=-1.0))
    shares = [tune_adapter(one, LONG).details["share"] for one in (bench, strict)]
    assert shares[1] <= shares[0]


def test_rehearsal_pulls_a_tower_back_to_where_it_was(bench: Bench) -> None:
    tower = LearningTower.query_of(bench.model, max_tokens=32, threads=1, bf16=False)
    rehearsal = Rehearsal(tower, size=8, seed=0)
    assert float(rehearsal.loss(0).detach()) == pytest.approx(0.0, abs=1e-5)
    weights = tower.weights()
    rng = np.random.default_rng(0)
    tower.load(
        {name: value + 0.3 * rng.standard_normal(value.shape).astype(np.float32) for name, value in weights.items()}
    )
    assert float(rehearsal.loss(0).detach()) > 0.05
    assert float(rehearsal.loss(3).detach()) == float(rehearsal.loss(3).detach())


def test_a_tower_encodes_as_the_runtime_that_serves_it(work: Workbench, bench: Bench) -> None:
    tower = LearningTower.query_of(bench.model, max_tokens=64, threads=1, bf16=False)
    texts = bench.dev.labelled.texts
    np.testing.assert_allclose(tower.encode(texts), work.ground.embedder.encode_query(texts), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(tower.encode(texts), axis=1), 1.0, atol=1e-5)


def test_a_tower_whose_weights_get_lost_on_their_way_to_disk_is_no_candidate(
    work: Workbench, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rung gives up with a sentence; what the others found goes on to the test."""
    base, write = Weights(bench.model / "model.safetensors"), tower_module.write_weights

    def lost(path: Path, tensors: dict[str, np.ndarray], **options: object) -> None:
        write(path, {name: base[name] for name in tensors}, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(tower_module, "write_weights", lost)
    said: list[str] = []
    plan = Plan((Step("fusion", 1.0, ""), Step("query-tower", LONG, "", epochs=1)), Speed(1.0, 1.0, False), LONG)
    candidates = climb(replace(bench, tell=said.append), plan, work.corpus(), deadline=time.monotonic() + LONG)
    assert [candidate.name for candidate in candidates] == ["fusion"]
    assert any("gave up: The weights that were saved are those of the untuned model." in line for line in said)
