"""Every stage is really trained on the toy domain and must beat the untuned system on dev, with weights that moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.answer.settings import RetrievalSettings
from honed.models.weights import Weights
from honed.roles.retriever.adapter import tune_adapter
from honed.roles.retriever.both_towers import Both, tune_both_towers
from honed.roles.retriever.models import Models
from honed.roles.retriever.query_tower import Limits, tune_query_tower
from honed.roles.retriever.recipe import Recipe
from honed.roles.retriever.role import Retriever
from honed.roles.retriever.settings import tune_settings
from honed.roles.retriever.training import TrainingContext
from honed.session import Session
from honed.train import tower as tower_module
from honed.train.replay import Replay
from honed.train.tower import LearningTower
from honed.tuning.candidate import Candidate
from honed.tuning.plan import Clock, Plan, Stage
from honed.tuning.role import Work
from honed.tuning.stages import run_stages
from tests import toy
from tests.runs import opened, prepared, snapshot_of

RECIPE = Recipe(
    batch=8,
    both_batch=8,
    query_rate=1e-2,
    both_rate=1e-2,
    adapter_epochs=30,
    adapter_rate=1e-2,
    replay=4,
    replay_weight=0.1,
    both_replay=0.1,
)
LONG = 300.0


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("rungs")
    with opened(prepared(folder, toy.write_beir(folder / "beir"))) as session:
        yield session


@pytest.fixture(scope="module")
def models(session: Session) -> Models:
    return Models(session, snapshot_of(session), lambda _: None, RECIPE)


@pytest.fixture
def context(models: Models, tmp_path: Path) -> TrainingContext:
    """Its guard allows everything: this model knows no everyday language that it could forget."""
    made = models.training(Work(tmp_path, LONG, lambda _: None), models.snapshot.retrieval)
    return replace(made, general=replace(made.general, allowed=1.0))


def retrieval_of(candidate: Candidate) -> RetrievalSettings:
    return RetrievalSettings.from_dict(candidate.values["retrieval"])


def test_settings_are_never_worse_than_those_of_the_baseline(context: TrainingContext) -> None:
    tuned = tune_settings(context)
    settings = retrieval_of(tuned)
    pools = context.dev.pools(context.dev_queries, context.dense, settings.lexical)
    assert tuned.mean == pytest.approx(float(np.nanmean(context.dev.primary(pools, settings.fusion))))


def test_the_adapter_learns(context: TrainingContext) -> None:
    base, tuned = tune_settings(context), tune_adapter(context, LONG)
    assert tuned.mean > base.mean
    assert np.abs(Weights(tuned.files["adapter"])["adapter"]).max() > 0


def test_the_query_tower_learns_and_the_passages_stay(models: Models, context: TrainingContext) -> None:
    tuned = tune_query_tower(context, Limits(30, LONG))
    assert tuned.mean > tune_settings(context).mean + 0.2
    assert tuned.details["moved"] > 0
    assert models.embedder(tuned).space == models.snapshot.embedder.space
    queries = models.embedder(tuned).encode_query(context.dev.labelled.texts)
    settings = retrieval_of(tuned)
    served = context.dev.primary(context.dev.pools(queries, context.dense, settings.lexical), settings.fusion)
    np.testing.assert_allclose(np.nanmean(served), tuned.mean, atol=0.02)


def test_both_towers_learn_and_make_a_new_space(models: Models, context: TrainingContext) -> None:
    tuned = tune_both_towers(context, Both(Limits(10, LONG), Limits(5, LONG)), models.embedded, models.texts)
    assert tuned.mean > tune_settings(context).mean + 0.2
    own, base = (
        Weights(tuned.files["document-tower"] / "model.safetensors"),
        Weights(context.model / "model.safetensors"),
    )
    assert any(not np.array_equal(own[name], base[name]) for name in own)
    assert models.dense(tuned) is not context.dense
    assert models.embedder(tuned).space != models.snapshot.embedder.space


def test_the_guard_prefers_the_variant_that_forgets_little(context: TrainingContext) -> None:
    """With nothing allowed, the share that forgets least is taken, whatever dev says."""
    strict = replace(context, general=replace(context.general, allowed=-1.0))
    shares = [tune_adapter(guarded, LONG).details["share"] for guarded in (context, strict)]
    assert shares[1] <= shares[0]


def test_replay_pulls_a_tower_back_to_where_it_was(context: TrainingContext) -> None:
    tower = LearningTower.query_of(context.model, max_tokens=32, threads=1, bf16=False)
    replay = Replay(tower, size=8, seed=0)
    assert float(replay.loss(0).detach()) == pytest.approx(0.0, abs=1e-5)
    weights = tower.weights()
    rng = np.random.default_rng(0)
    tower.load(
        {name: value + 0.3 * rng.standard_normal(value.shape).astype(np.float32) for name, value in weights.items()}
    )
    assert float(replay.loss(0).detach()) > 0.05
    assert float(replay.loss(3).detach()) == float(replay.loss(3).detach())


def test_a_tower_encodes_as_the_runtime_that_serves_it(models: Models, context: TrainingContext) -> None:
    tower = LearningTower.query_of(context.model, max_tokens=64, threads=1, bf16=False)
    texts = context.dev.labelled.texts
    np.testing.assert_allclose(tower.encode(texts), models.snapshot.embedder.encode_query(texts), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(tower.encode(texts), axis=1), 1.0, atol=1e-5)


def test_a_tower_whose_weights_get_lost_on_their_way_to_disk_is_no_candidate(
    models: Models, context: TrainingContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage gives up with a sentence; what the others found goes on to the test."""
    base, write = Weights(context.model / "model.safetensors"), tower_module.write_weights

    def lost(path: Path, tensors: dict[str, np.ndarray], **options: object) -> None:
        write(path, {name: base[name] for name in tensors}, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(tower_module, "write_weights", lost)
    told: list[str] = []
    plan = Plan.of((Stage("settings", 1.0, ""), Stage("query-tower", LONG, "", {"epochs": 1})), "", LONG)
    candidates = run_stages(Retriever(), models, plan, tmp_path, Clock.start(4 * LONG), told.append)
    assert [candidate.name for candidate in candidates] == ["settings"]
    assert any("gave up: The weights that were saved are those of the untuned model." in line for line in told)
