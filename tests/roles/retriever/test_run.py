"""Whole runs of the text retriever on the toy domain, with a tiny BERT that is really trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from honed.answer.settings import RetrievalSettings
from honed.catalog import history, judgements
from honed.errors import UsageError
from honed.models.weights import Weights
from honed.release.build import Shipment, build, consequences, live_manifest, part_of
from honed.release.manifest import IMAGE_RETRIEVER, RETRIEVER, TEXT_TO_IMAGE, Part
from honed.release.open import open_release
from honed.roles.retriever.plan import Speed
from honed.session import Session
from honed.settle import make_live
from honed.tuning.results import Finished
from honed.types import Qrel
from tests import toy

pytest.importorskip("torch", reason="a run trains: pip install 'honed[tune]'")

from tests.runs import finished, opened, prepared, tune


@pytest.fixture(scope="module")
def beir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write_beir(tmp_path_factory.mktemp("toy") / "beir")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, beir: Path) -> Iterator[tuple[Session, Finished]]:
    """One turn that must end in a release."""
    root = prepared(tmp_path_factory.mktemp("loop"), beir)
    with opened(root) as session:
        yield session, finished(session)


def test_what_is_learned_is_proven_and_live(tuned: tuple[Session, Finished]) -> None:
    session, turn = tuned
    assert turn.verdict.proven
    assert turn.comparison.primary.delta > 0.2
    assert turn.comparison.test_reads == 1
    assert turn.release == "r2"
    assert history.live_release(session.catalog) == 2
    names = [candidate.name for candidate in turn.candidates]
    assert names[:3] == ["settings", "adapter", "query-tower"]


def test_the_weights_of_the_release_are_not_the_base_weights(tuned: tuple[Session, Finished]) -> None:
    session, _ = tuned
    manifest = live_manifest(session.workspace, session.catalog)
    folder = part_of(session.workspace, manifest, RETRIEVER).files["model"]
    own = next(folder.rglob("query*Transformer/model.safetensors"), folder / "model.safetensors")
    base = Weights(Path(session.settings.embedder.removeprefix("folder:")) / "model.safetensors")
    changed = [name for name in base if not np.array_equal(base[name], Weights(own)[name])]
    assert any("encoder.layer" in name for name in changed)
    assert "embeddings.word_embeddings.weight" not in changed


def test_live_search_ranks_as_the_test_did(tuned: tuple[Session, Finished]) -> None:
    """The verdict was computed on vectors in memory; the release must give users the same rankings."""
    session, turn = tuned
    retriever = open_release(session.workspace, session.catalog, session.settings)
    board = turn.snapshot.of("test")
    (scores,) = (turn.evaluation.candidate.scores[board.metric],)
    names = {}
    for query, ranking in zip(board.labelled.queries, retriever.rank(board.labelled.texts, depth=100), strict=True):
        names[query.id] = board.task.by_document(ranking)
    np.testing.assert_allclose(board.measure(names)[board.metric], scores, atol=1e-9)


def test_leaves_a_report_and_the_proof(tuned: tuple[Session, Finished]) -> None:
    session, turn = tuned
    page = (turn.run.folder / "report.html").read_text()
    assert "r2" in page and "<svg" in page
    result = json.loads((turn.run.folder / "result.json").read_text())
    assert result["verdict"] == "proven" and result["release"] == "r2"
    assert result["delta"]["ci95"][0] > 0
    lineage = live_manifest(session.workspace, session.catalog).lineage
    assert lineage["run"] == turn.run.id and lineage["parent"] == "r1"
    assert not list(turn.run.folder.glob("checkpoint-*"))


def test_rollback_and_promote_change_what_is_live(tuned: tuple[Session, Finished]) -> None:
    session, _ = tuned
    assert make_live(session, None, reason="test") == "r1"
    assert live_manifest(session.workspace, session.catalog).release == "r1"
    assert make_live(session, "r2", reason="test") == "r2"
    actions = [entry["action"] for entry in history.audit(session.catalog)]
    assert actions[-2:] == ["rollback", "promote"]


def test_a_second_turn_counts_its_look_and_competes_with_the_live_release(tuned: tuple[Session, Finished]) -> None:
    session, first = tuned
    second = finished(session)
    assert second.comparison.test_reads == 2
    assert second.comparison.primary.confidence > 0.95
    assert second.snapshot.baseline.name == first.release
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
        turn = finished(session, budget=60.0)
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
        tune(session, budget=120.0, tell=interrupts)
    said: list[str] = []
    monkeypatch.setattr("honed.roles.retriever.models.measure_speed", lambda *_: Speed(1e-3, 1e-3, False))
    with opened(root) as session:
        turn = tune(session, budget=120.0, tell=said.append)
        assert turn is not None
        assert turn.run.resumed
        plan = json.loads((turn.run.folder / "plan.json").read_text())
        planned = [stage["name"] for stage in plan["stages"] if stage["seconds"] > 0]
        assert [candidate.name for candidate in turn.candidates] == planned
        assert "query-tower" in planned
        assert any(line.startswith("going on with") for line in said)
        assert not any(line.startswith("query-tower  started") for line in said)
        assert turn.comparison.test_reads == 1


def test_a_turn_that_was_killed_begins_anew_when_dev_has_other_labels(tmp_path: Path, beir: Path) -> None:
    """Its finished candidates hold scores of the old dev questions, which nothing can be compared with."""
    root, runs = prepared(tmp_path, beir), []

    def interrupts(line: str) -> None:
        if line.startswith("settings     dev"):
            raise KeyboardInterrupt

    for _ in range(2):
        with opened(root) as session:
            with pytest.raises(KeyboardInterrupt):
                tune(session, budget=120.0, tell=interrupts)
            runs.append(history.unfinished_run(session.catalog, RETRIEVER))
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
        assert tune(session, budget=120.0, tell=lambda _: None, show_plan=only_show) is None
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
        turn = finished(session, budget=60.0)
        assert turn.snapshot.task.origin == "proxy"
        assert [candidate.name for candidate in turn.candidates] == ["settings"]
        assert any("titles and headings" in note for note in turn.notes)


def test_nothing_to_measure_with_is_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "beir"
    folder.mkdir()
    (folder / "corpus.jsonl").write_text('{"id": "a", "text": "one document without a title"}\n')
    with opened(prepared(tmp_path, folder)) as session, pytest.raises(UsageError, match="questions in"):
        finished(session)


def test_a_new_document_tower_makes_the_text_matrix_of_pictures_void(tuned: tuple[Session, Finished]) -> None:
    """And says so, once; a release that leaves the document tower as it is keeps it."""
    session, _ = tuned
    live = live_manifest(session.workspace, session.catalog)
    eye = Part({"encoder": "thumbnail:8", "space": "eye", "neighbours": 0}, key="eye")
    words = Part(
        {"weight": 0.7, "leads": 3}, needs={RETRIEVER: live.space, IMAGE_RETRIEVER: "eye"}, otherwise="Void now."
    )
    text = part_of(session.workspace, live, RETRIEVER)
    for key, kept in ((live.space, True), ("another", False)):
        seeing = Shipment("seeing", {IMAGE_RETRIEVER: eye, TEXT_TO_IMAGE: words, RETRIEVER: text})
        build(session.workspace, session.catalog, seeing, expected=history.live_release(session.catalog), reason="x")
        before = live_manifest(session.workspace, session.catalog).parts
        values = {**text.values, "retrieval": RetrievalSettings().as_dict()}
        shipment = Shipment("tuned", {RETRIEVER: Part(values, text.files, key)})
        assert consequences(before, shipment) == (() if kept else ("Void now.",))
        build(session.workspace, session.catalog, shipment, expected=history.live_release(session.catalog), reason="x")
        parts = live_manifest(session.workspace, session.catalog).parts
        assert (TEXT_TO_IMAGE in parts) == kept
        assert IMAGE_RETRIEVER in parts
