"""What is trained is what is saved, served and exported, for every family of encoders and every kind of vocabulary."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from honed.errors import IntegrityError
from honed.formats import read_beir
from honed.ingest.importing import import_beir
from honed.models.embedder import LocalEmbedder
from honed.models.towers import save_towers
from honed.models.weights import Weights
from honed.roles.retriever.both_towers import Both, tune_both_towers
from honed.roles.retriever.models import Models
from honed.roles.retriever.query_tower import Limits, tune_query_tower
from honed.roles.retriever.recipe import Recipe
from honed.session import open_session
from honed.settle import settle
from honed.train import tower as module
from honed.train.replay import Replay
from honed.train.tower import LearningTower, save_tower, whole_words
from honed.tuning.candidate import Candidate
from honed.tuning.role import Work
from honed.workspace import create
from tests import toy
from tests.runs import snapshot_of
from tests.tiny_families import FAMILIES, WORDS

QUESTIONS = [toy.question(pair).title() for pair in toy.PAIRS[:8]]
RECIPE = Recipe(
    batch=16, both_batch=16, query_rate=1e-2, both_rate=1e-2, replay=2, shares=(1.0,), joint_shares=(1.0,), threads=1
)


@dataclass(frozen=True)
class Trained:
    """A family's model, and what the two stages made of it."""

    base: Path
    query: Candidate
    both: Candidate


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One epoch of the query tower, and one of each half of both towers, on the toy domain."""
    folder = tmp_path_factory.mktemp("family")
    base = FAMILIES[request.param](folder / "model")
    workspace = create(folder / "ws", f'embedder = "folder:{base}"\nthreads = 1\n')
    with open_session(workspace, create=True) as session:
        rows = read_beir(toy.write_beir(folder / "beir"))
        import_beir(session.catalog, rows, passage_words=160)
        settle(session, lambda _: None, given={query.id: query.split for query in rows.queries})
        models = Models(session, snapshot_of(session), lambda _: None, RECIPE)
        run = folder / "run"
        run.mkdir()
        context = models.training(Work(run, 60.0, lambda _: None), models.snapshot.retrieval)
        context = replace(context, general=replace(context.general, allowed=1.0))
        query = tune_query_tower(context, Limits(1, 60.0))
        both = tune_both_towers(context, Both(Limits(1, 60.0), Limits(1, 60.0)), models.embedded, models.texts)
    return Trained(base, query, both)


def vectors(folder: Path, cache: Path, side: str = "query") -> np.ndarray:
    """As search has them."""
    return getattr(LocalEmbedder(folder, cache_dir=cache, threads=1), f"encode_{side}")(QUESTIONS)


def learner(folder: Path) -> LearningTower:
    return LearningTower.query_of(folder, max_tokens=64, threads=1, bf16=False)


def test_training_starts_from_the_vectors_that_search_has(trained: Trained, tmp_path: Path) -> None:
    """Also where the texts have capitals and the model wants none."""
    np.testing.assert_allclose(learner(trained.base).encode(QUESTIONS), vectors(trained.base, tmp_path), atol=1e-5)


def test_what_was_trained_is_saved_and_served(trained: Trained, tmp_path: Path) -> None:
    """Every folder differs from the base where it learned, and holds the same tensors by the same names."""
    folders = [trained.query.files["query-tower"], trained.both.files["document-tower"]]
    base = Weights(trained.base / "model.safetensors")
    before = vectors(trained.base, tmp_path)
    for folder in folders:
        saved = Weights(folder / "model.safetensors")
        assert {name: saved[name].shape for name in saved} == {name: base[name].shape for name in base}
        assert any("encoder.layer" in name and not np.array_equal(saved[name], base[name]) for name in base)
        assert np.abs(vectors(folder, tmp_path) - before).max() > 0.05
    assert trained.query.details["moved"] > 0.01


def test_replay_has_words_that_the_vocabulary_knows(trained: Trained) -> None:
    tower = learner(trained.base)
    assert set(WORDS) <= set(tower.words())
    assert {len(ids) for ids in tower.tokens(WORDS)} == {3}, "the word and two markers"
    assert float(Replay(tower, size=4, seed=0).loss(0).detach()) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.slow
def test_an_exported_model_is_the_same_in_sentence_transformers(trained: Trained, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    if all(name.startswith("model.") for name in Weights(trained.base / "model.safetensors")):
        pytest.skip("transformers does not look for this prefix: it cannot load the base either")
    for candidate in (trained.query, trained.both):
        out = tmp_path / candidate.name
        save_towers(candidate.files["query-tower"], candidate.files.get("document-tower", trained.base), out)
        theirs = library.SentenceTransformer(str(out), device="cpu")
        for side in ("query", "document"):
            ours = vectors(out, tmp_path / "cache", side)
            np.testing.assert_allclose(getattr(theirs, f"encode_{side}")(QUESTIONS), ours, atol=1e-4)


def _noised(base: Path) -> LearningTower:
    """A tower that has moved, as after training."""
    tower, rng = learner(base), np.random.default_rng(0)
    tower.load(
        {
            name: value + 0.1 * rng.standard_normal(value.shape).astype(np.float32)
            for name, value in tower.weights().items()
        }
    )
    return tower


def test_weights_that_are_not_those_of_the_training_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong between memory and file is told before the rung calls itself complete."""
    base, write = FAMILIES["bert"](tmp_path / "model"), module.write_weights
    tower = _noised(base)
    original = {name: np.array(value) for name, value in Weights(base / "model.safetensors").items()}

    def of_the_base(path: Path, _: object, **options: object) -> None:
        write(path, original, **options)  # type: ignore[arg-type]

    def one_layer_lost(path: Path, tensors: dict[str, np.ndarray], **options: object) -> None:
        lost = {name: value for name, value in original.items() if "layer.1" in name}
        write(path, tensors | lost, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "write_weights", of_the_base)
    with pytest.raises(IntegrityError, match="untuned"):
        save_tower(tower, tmp_path / "saved", share=1.0)
    monkeypatch.setattr(module, "write_weights", one_layer_lost)
    with pytest.raises(IntegrityError, match="other vectors"):
        save_tower(tower, tmp_path / "saved", share=1.0)
    monkeypatch.setattr(module, "write_weights", write)
    assert save_tower(tower, tmp_path / "saved", share=1.0) > 0
    assert not list(tmp_path.glob(".read-back-*"))


@pytest.mark.parametrize(
    ("vocabulary", "words"),
    [
        (["[PAD]", "the", "##ing", "##ed", "to", "heart", "7th"], ["heart", "the"]),
        (["<s>", "\u2581the", "\u2581H\u00e4user", "ing", "\u2581to", "ed", "\u2581"], ["H\u00e4user", "the"]),
        (["<s>", "\u0120the", "\u0120caf\u00c3\u00a9", "ing", "\u0120to", "\u0120"], ["caf\u00e9", "the"]),
        (["[PAD]", "a", "b", "7"], ["a", "b"]),
        (["1", "2"], ["1", "2"]),
    ],
)
def test_whole_words_of_each_kind_of_vocabulary(vocabulary: list[str], words: list[str]) -> None:
    assert whole_words(vocabulary) == words
