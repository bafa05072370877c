"""Whole turns of the cycle on the toy domain, with a tiny BERT that is really trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from honed.catalog import history, judgements
from honed.errors import UsageError
from honed.formats import read_beir
from honed.ingest.importing import import_beir
from honed.roles.retriever.loop import Turn, _parts, make_live, settle, tune
from honed.models.weights import Weights
from honed.release.build import build, live_manifest
from honed.release.open import open_release
from honed.release.parts import ImageParts, parts_of
from honed.session import Session, open_session
from honed.types import Qrel
from honed.workspace import create
from tests import toy

pytest.importorskip("torch", reason="a turn trains: pip install 'honed[tune]'")

from honed.roles.retriever.bench import Recipe
from honed.roles.retriever.plan import Speed

RECIPE = Recipe(
    batch=8, both_batch=8, query_rate=1e-2, query_epochs=40, both_rate=1e-2, both_epochs=10, adapter_epochs=10
)
"""For a model that knows nothing and is a thousandth of the size of the real one."""


def prepared(folder: Path, beir: Path) -> Path:
    """A workspace with the toy domain imported and settled."""
    model = toy.model(folder / "model")
    workspace = create(folder / "ws", f'embedder = "folder:{model}"\nthreads = 1\n')
    with open_session(workspace, create=True) as session:
        rows = read_beir(beir)
        import_beir(session.catalog, rows, passage_words=160)
        settle(session, lambda _: None, given={query.id: query.split for query in rows.queries})
    return workspace.root


def opened(root: Path):
    from honed.workspace import Workspace

    return open_session(Workspace(root))


def turned(session: Session, budget: float = 120.0) -> Turn:
    turn = tune(session, budget=budget, tell=lambda _: None, recipe=RECIPE)
    assert turn is not None
    return turn


@pytest.fixture(scope="module")
def beir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write_beir(tmp_path_factory.mktemp("toy") / "beir")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, beir: Path) -> Iterator[tuple[Session, Turn]]:
    """One turn that must end in a release."""
    root = prepared(tmp_path_factory.mktemp("loop"), beir)
    with opened(root) as session:
        yield session, turned(session)


def test_what_is_learned_is_proven_and_live(tuned: tuple[Session, Turn]) -> None:
    session, turn = tuned
    assert turn.verdict.proven
    assert turn.comparison.primary.delta > 0.2
    assert turn.comparison.test_reads == 1
    assert turn.release == "r2"
    assert history.live_release(session.catalog) == 2
    names = [one.name for one in turn.candidates]
    assert names[:3] == ["fusion", "adapter", "query-tower"]


def test_the_weights_of_the_release_are_not_the_base_weights(tuned: tuple[Session, Turn]) -> None:
    session, _ = tuned
    manifest = live_manifest(session.workspace, session.catalog)
    folder = session.workspace.releases / manifest.release / manifest.embedder
    own = next(folder.rglob("query*Transformer/model.safetensors"), folder / "model.safetensors")
    base = Weights(Path(session.settings.embedder.removeprefix("folder:")) / "model.safetensors")
    changed = [name for name in base if not np.array_equal(base[name], Weights(own)[name])]
    assert any("encoder.layer" in name for name in changed)
    assert "embeddings.word_embeddings.weight" not in changed


def test_live_search_ranks_as_the_test_did(tuned: tuple[Session, Turn]) -> None:
    """The verdict was computed on vectors in memory; the release must give users the same rankings."""
    session, turn = tuned
    retriever = open_release(session.workspace, session.catalog, session.settings)
    board, paper = turn.exam.board, turn.exam.candidate
    expected = board.rankings(paper.pools, paper.entrant.weight)
    for query, ranking in zip(board.labelled.queries, retriever.rank(board.labelled.texts, depth=10), strict=True):
        np.testing.assert_array_equal(board.task.by_document(ranking)[:10], expected[query.id][:10])


def test_leaves_a_report_and_the_proof(tuned: tuple[Session, Turn]) -> None:
    session, turn = tuned
    page = (turn.run.folder / "report.html").read_text()
    assert "r2" in page and "<svg" in page
    result = json.loads((turn.run.folder / "result.json").read_text())
    assert result["verdict"] == "proven" and result["release"] == "r2"
    assert result["delta"]["ci95"][0] > 0
    lineage = live_manifest(session.workspace, session.catalog).lineage
    assert lineage["run"] == turn.run.id and lineage["parent"] == "r1"
    assert not list(turn.run.folder.glob("checkpoint-*"))


def test_rollback_and_promote_change_what_is_live(tuned: tuple[Session, Turn]) -> None:
    session, _ = tuned
    assert make_live(session, None, reason="test") == "r1"
    assert live_manifest(session.workspace, session.catalog).release == "r1"
    assert make_live(session, "r2", reason="test") == "r2"
    actions = [entry["action"] for entry in history.audit(session.catalog)]
    assert actions[-2:] == ["rollback", "promote"]


def test_a_second_turn_counts_its_look_and_competes_with_the_live_release(tuned: tuple[Session, Turn]) -> None:
    session, first = tuned
    second = turned(session)
    assert second.comparison.test_reads == 2
    assert second.comparison.primary.confidence > 0.95
    assert second.ground.baseline.name == first.release
    assert second.comparison.primary.base == pytest.approx(first.comparison.primary.candidate)


def test_nothing_is_shipped_when_the_labels_are_noise(tmp_path: Path, beir: Path) -> None:
    noisy = shutil.copytree(beir, tmp_path / "beir")
    for split in ("train", "dev", "test"):
        path = noisy / "qrels" / f"{split}.tsv"
        head, *rows = path.read_text().splitlines()
        documents = [row.split("\t")[1] for row in rows]
        shuffled = np.random.default_rng(5).permutation(documents).tolist()
        rows = [f"{row.split(chr(9))[0]}\t{name}\t1" for row, name in zip(rows, shuffled, strict=True)]
        path.write_text("\n".join([head, *rows]) + "\n")
    with opened(prepared(tmp_path, noisy)) as session:
        turn = turned(session, budget=60.0)
        assert not turn.verdict.proven
        assert turn.release == ""
        assert history.live_release(session.catalog) == 1


def test_an_interrupted_turn_goes_on_and_looks_at_the_test_once(
    tmp_path: Path, beir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps its plan, though the machine has become too slow for any training since."""
    root = prepared(tmp_path, beir)

    def interrupts(line: str) -> None:
        if line.startswith("query-tower  dev"):
            raise KeyboardInterrupt

    with opened(root) as session, pytest.raises(KeyboardInterrupt):
        tune(session, budget=120.0, tell=interrupts, recipe=RECIPE)
    said: list[str] = []
    monkeypatch.setattr("honed.roles.retriever.context.measure", lambda *_: Speed(1e-3, 1e-3, False))
    with opened(root) as session:
        turn = tune(session, budget=120.0, tell=said.append, recipe=RECIPE)
        assert turn is not None
        assert turn.run.resumed
        plan = json.loads((turn.run.folder / "plan.json").read_text())
        planned = [step["rung"] for step in plan["steps"] if step["seconds"] > 0]
        assert [candidate.name for candidate in turn.candidates] == planned
        assert "query-tower" in planned
        assert any(line.startswith("going on with") for line in said)
        assert not any(line.startswith("query-tower  started") for line in said)
        assert turn.comparison.test_reads == 1


def test_a_turn_that_was_killed_begins_anew_when_dev_has_other_labels(tmp_path: Path, beir: Path) -> None:
    """Its finished candidates hold scores of the old dev questions, which nothing can be compared with."""
    root, runs = prepared(tmp_path, beir), []

    def interrupts(line: str) -> None:
        if line.startswith("fusion       dev"):
            raise KeyboardInterrupt

    for _ in range(2):
        with opened(root) as session:
            with pytest.raises(KeyboardInterrupt):
                tune(session, budget=120.0, tell=interrupts, recipe=RECIPE)
            runs.append(history.unfinished_run(session.catalog, "tune"))
            relabelled = judgements.queries(session.catalog, "dev")[0]
            with session.catalog.transaction():
                more = [Qrel(relabelled.id, name, 1) for name in ("d0", "d1")]
                judgements.add(session.catalog, [relabelled], more, origin="import")
    assert runs[0] is not None and runs[1] is not None
    assert runs[0][0] != runs[1][0]


def test_a_plan_that_is_only_shown_leaves_nothing(tmp_path: Path, beir: Path) -> None:
    lines: list[str] = []

    def only_show(plan: list[str]) -> bool:
        lines.extend(plan)
        return False

    with opened(prepared(tmp_path, beir)) as session:
        assert tune(session, budget=120.0, tell=lambda _: None, show_plan=only_show, recipe=RECIPE) is None
        assert any("query-tower" in line for line in lines)
        assert not session.workspace.runs.exists()
        assert history.live_release(session.catalog) == 1


def test_without_labels_titles_stand_in_and_the_verdict_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "beir"
    folder.mkdir()
    rows = [
        {"id": f"d{at}", "title": f"guide to {toy.document(pair)}", "text": f"{toy.document(pair)} number {at}"}
        for at, pair in enumerate(toy.PAIRS + tuple((right, left) for left, right in toy.PAIRS))
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with opened(prepared(tmp_path, folder)) as session:
        turn = turned(session, budget=60.0)
        assert turn.ground.task.origin == "proxy"
        assert [one.name for one in turn.candidates] == ["fusion"]
        assert any("titles and headings" in note for note in turn.ground.notes)


def test_nothing_to_measure_with_is_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "beir"
    folder.mkdir()
    (folder / "corpus.jsonl").write_text('{"id": "a", "text": "one document without a title"}\n')
    with opened(prepared(tmp_path, folder)) as session, pytest.raises(UsageError, match="questions in"):
        turned(session)


def test_a_new_document_tower_makes_the_text_matrix_of_pictures_void(tmp_path: Path, beir: Path) -> None:
    """What a release consists of, from a finished turn whose candidate left the document tower or changed it."""
    with opened(prepared(tmp_path, beir)) as session:
        live = live_manifest(session.workspace, session.catalog)
        side = ImageParts("thumbnail:8", "eye", text_space=live.space, weight=0.7, leads=3)
        seeing = replace(parts_of(session.workspace, live, what="x", lineage={}), images=side)
        build(session.workspace, session.catalog, seeing, expected=history.live_release(session.catalog), reason="x")
        nothing = SimpleNamespace(base=0.1, candidate=0.2, ci95=(0.0, 0.2), p=0.01)
        for space, kept in ((live.space, True), ("another", False)):
            work = SimpleNamespace(
                spec=live.embedder,
                embedder=lambda _, space=space: SimpleNamespace(space=space),
                query_folder=lambda _: None,
                document_folder=lambda _: None,
                adapter=lambda *_: None,
            )
            turn = SimpleNamespace(
                chosen=SimpleNamespace(what="x", weight=0.5),
                run=SimpleNamespace(id="run", folder=tmp_path),
                comparison=SimpleNamespace(primary=nothing, metric="ndcg@10"),
            )
            made = _parts(session, work, turn)  # type: ignore[arg-type]
            assert made.images is not None
            assert (made.images.text_space, made.images.weight) == ((live.space, 0.7) if kept else ("", 0.0))
