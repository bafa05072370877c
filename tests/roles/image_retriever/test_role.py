"""One run on pictures, for real: patterns in three colours, where only the pattern says what belongs together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.catalog import images
from honed.catalog.splits import drop_unused, stored
from honed.errors import UsageError
from honed.evaluate.image_board import primary
from honed.ingest.describe import look_at_file
from honed.ingest.rendering import as_image
from honed.models.vision.head import ImageHead
from honed.release.build import live_manifest, manifest_of, part_of, row_of
from honed.release.manifest import IMAGE_RETRIEVER
from honed.release.open import open_image_release
from honed.roles.image_retriever import snapshot as data
from honed.roles.image_retriever.role import ImageRetriever
from honed.roles.image_retriever.systems import open_system
from honed.session import Session, open_session
from honed.settle import make_live, settle
from honed.tuning.results import Finished, result, text
from honed.tuning.run import tune
from honed.workspace import create, read_json
from tests.image_pack import SETTINGS, import_images, workspace_of, write_pack


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("pack"))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, pack: Path) -> Iterator[Session]:
    with open_session(workspace_of(tmp_path_factory.mktemp("ws") / "ws", pack)) as opened:
        yield opened


def run(session: Session) -> Finished:
    finished = tune(session, ImageRetriever(), budget=120, tell=lambda _: None)
    assert finished is not None
    return finished


@pytest.fixture(scope="module")
def finished(session: Session) -> Finished:
    return run(session)


def test_only_a_plan_changes_nothing(session: Session) -> None:
    plan: list[str] = []
    role = ImageRetriever()
    assert tune(session, role, budget=60, tell=lambda _: None, show_plan=lambda lines: bool(plan.extend(lines))) is None
    assert any("discriminant" in line for line in plan)
    assert not list(session.workspace.runs.glob("*image*"))


def test_what_is_learned_is_proven_and_live(finished: Finished, session: Session) -> None:
    assert finished.verdict.proven, finished.verdict.reasons
    primary = finished.comparison.primary
    assert (primary.queries, primary.clusters) == (60, 20)
    assert primary.candidate > primary.base + 0.2
    manifest = live_manifest(session.workspace, session.catalog)
    assert (manifest.release, finished.release) == ("r2", "r2")
    part = manifest.parts[IMAGE_RETRIEVER]
    assert part.values["space"] == images.described_spaces(session.catalog).pop()
    assert set(part.files) == {"head"}
    before = manifest_of(session.workspace, row_of(session.catalog, "r1"))
    assert manifest.retrieval == before.retrieval, "text stays as it was"


def test_live_search_finds_what_the_test_did(finished: Finished, session: Session, pack: Path) -> None:
    """Live search ranks the whole gallery as the evaluation did: near-copies first, pictures of every split among the others."""
    retriever = open_image_release(session.workspace, session.catalog, session.settings, by_image=True)
    system = open_system(session, "live")
    gallery = ImageRetriever().snapshot(session, "recall@1", lambda _: None).gallery
    board, vectors = gallery.board("test", "recall@1"), system.head.apply(gallery.descriptors)
    scores = board.measure(vectors, neighbours=system.neighbours)["map"]
    np.testing.assert_array_equal(scores, finished.evaluation.candidate.scores["map"])
    for query in range(0, 60, 7):
        name = board.ids[board.queries[query]]
        look = look_at_file(pack / "images" / f"{name}.png")
        hits = retriever.by_image(as_image(look.picture), look.media, look.phash, 216)
        assert hits[0].image.external_id == name
        assert hits[0].match == "same"
        ranked = [board.ids[at] for at in board.ranking(vectors, query, 216, neighbours=system.neighbours)]
        assert len(ranked) == len(board.ids) - 1 == 215
        assert [hit.image.external_id for hit in hits[1:]] == ranked


def test_leaves_a_report_with_grids_and_the_proof(finished: Finished, session: Session) -> None:
    page = (finished.run.folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") > 20
    assert "<script" not in page
    assert "Better: tuned" in page
    outcome = read_json(finished.run.folder / "result.json")
    assert outcome == json.loads(json.dumps(result(finished)))
    assert (outcome["role"], outcome["verdict"], outcome["release"]) == ("image-retriever", "proven", "r2")
    assert "VERDICT: PROVEN -> release r2 is live." in text(session, finished)


def test_a_run_makes_the_splits_of_its_pictures_final(finished: Finished, session: Session) -> None:
    rows = stored(session.catalog, "picture").rows
    assert len(rows) == 216
    with session.catalog.transaction():
        drop_unused(session.catalog, "picture", [name for name, _ in rows])
    assert stored(session.catalog, "picture").rows == rows


def test_rollback_takes_the_image_side_back(finished: Finished, session: Session) -> None:
    assert make_live(session, None, reason="test") == "r1"
    assert IMAGE_RETRIEVER not in live_manifest(session.workspace, session.catalog).parts
    open_image_release(session.workspace, session.catalog, session.settings, by_image=True)
    assert make_live(session, finished.release, reason="test") == "r2"
    open_image_release(session.workspace, session.catalog, session.settings, by_image=True)


def test_a_second_run_counts_its_look_and_has_to_beat_the_live_release(finished: Finished, session: Session) -> None:
    again = run(session)
    assert again.comparison.test_reads == 2
    assert again.evaluation.base.name == finished.release
    assert [system.name for system in again.evaluation.others] == ["untuned thumbnail:8"]
    assert not again.verdict.proven
    assert live_manifest(session.workspace, session.catalog).release == finished.release


def test_the_untuned_encoder_is_the_baseline_where_what_is_live_is_worse(finished: Finished, session: Session) -> None:
    """A head that sees nothing went live; what then beats it has to beat the encoder as it is."""
    snapshot = ImageRetriever().snapshot(session, "recall@1", lambda _: None)
    assert snapshot.baseline.name == snapshot.live.name == finished.release
    blind = np.zeros_like(snapshot.live.head.matrix)
    blind[0, 0] = 1
    worse = replace(snapshot.live, head=ImageHead(snapshot.live.head.centre, blind))
    choice = replace(snapshot, systems=(worse, *snapshot.systems[1:])).baseline
    assert choice.name == "untuned thumbnail:8"
    assert choice.dev["untuned thumbnail:8"] > choice.dev[finished.release]
    untuned = snapshot.systems[1]
    scores = primary(snapshot.board("dev"), snapshot.vectors(untuned))
    assert choice.dev[untuned.name] == pytest.approx(np.nanmean(scores))


def test_the_metric_that_the_user_names_decides(pack: Path, tmp_path: Path) -> None:
    with open_session(workspace_of(tmp_path / "ws", pack)) as opened:
        settings = replace(opened.settings, metrics={"image-retriever": "map"})
        done = run(replace(opened, settings=settings))
        assert done.comparison.metric == "map"
        assert done.chosen.mean == pytest.approx(float(np.nanmean(done.chosen.dev)))
        assert list(done.evaluation.base.scores) == ["map", "recall@1", "recall@10"]
        with pytest.raises(UsageError, match="no metric of image-retriever"):
            run(replace(opened, settings=replace(opened.settings, metrics={"image-retriever": "ndcg@10"})))


def test_a_head_that_ships_is_the_one_that_was_tested(finished: Finished, session: Session) -> None:
    manifest = live_manifest(session.workspace, session.catalog)
    shipped = ImageHead.read(part_of(session.workspace, manifest, IMAGE_RETRIEVER).files["head"])
    assert shipped.key == ImageHead.read(finished.chosen.files["head"]).key


def test_too_few_pictures_are_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "LEAST_TEST", 10_000)
    with pytest.raises(UsageError, match="grouped pictures in train"):
        run(session)


def test_grouped_pictures_that_are_alone_end_before_training_and_before_the_test_is_looked_at(
    pack: Path, tmp_path: Path
) -> None:
    """Every picture of dev is the only one of its group: there is nothing to judge, and the mean would be no number."""
    workspace = create(tmp_path / "ws", SETTINGS)
    with open_session(workspace, create=True) as opened:
        import_images(opened, pack)
        members = images.groups(opened.catalog)
        with opened.catalog.transaction():
            images.set_groups(
                opened.catalog,
                [
                    (member.external_id, f"alone {member.rowid}", "", "dev")
                    for member in members
                    if member.split == "dev"
                ],
            )
        settle(opened, lambda _: None)
        with pytest.raises(UsageError, match="36 grouped pictures in dev, of which 0 share their group") as raised:
            run(opened)
        assert "--by-folder" in raised.value.hint
        assert not list(workspace.runs.glob("*image*"))
