"""One turn on pictures, for real: patterns in three colours, where only the pattern says what belongs together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="tuning needs the extra: pip install 'honed[tune]'")

from honed.answer.settings import RetrievalSettings
from honed.catalog import images
from honed.formats import read_pack
from honed.roles.image_retriever import role as retriever
from honed.roles.image_retriever.role import tune_images
from honed.roles.image_retriever.presentation import image_result
from honed.ingest.describe import look_at_file
from honed.ingest.importing_images import import_pack
from honed.ingest.rendering import as_image
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake
from honed.settle import make_live, settle
from honed.release.build import live_manifest
from honed.release.open import open_image_release
from honed.session import Session, open_session
from honed.tuning.results import text
from honed.tuning.nouns import ImageTurn
from honed.workspace import create, read_json

COLOURS = {"warm": (230, 90, 40), "cold": (40, 90, 230), "pale": (170, 190, 170)}
SIDE = 32


def write_pack(folder: Path, *, alike: int = 0, sizes: tuple[int, int, int] = (40, 12, 20)) -> Path:
    """Each group is a pattern of 4 x 4 fields, drawn in three colours with a little noise.

    Args:
        folder: For the pack.
        alike: Every so many-th group is drawn in one colour three times, as some things look the same everywhere; 0 for none.
        sizes: Groups of train, dev and test.
    """
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(5)
    rows, splits = [], {"train": [], "dev": [], "test": []}
    train, dev, _ = sizes
    for group in range(sum(sizes)):
        split = "train" if group < train else "dev" if group < train + dev else "test"
        splits[split].append(f"g{group}")
        fields = np.kron(rng.random((4, 4)) < 0.5, np.ones((SIDE // 4, SIDE // 4)))[:, :, None]
        same = alike and group % alike == 0
        for variant, colour in COLOURS.items():
            colour = COLOURS["cold"] if same else colour
            pixels = 255 - fields * (255 - np.array(colour)) * 0.5 - (1 - fields) * (255 - np.array(colour)) * 0.1
            pixels = np.clip(pixels + rng.normal(0, 1 if same else 6, pixels.shape), 0, 255).astype(np.uint8)
            name = f"g{group}_{variant}"
            Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
            row = {"id": name, "path": f"images/{name}.png", "caption": f"pattern {group}", "tags": [variant]}
            rows.append({**row, "group": f"g{group}", "variant": variant, "split": split})
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "splits").mkdir()
    for split, names in splits.items():
        (folder / "splits" / f"{split}.txt").write_text("\n".join(names) + "\n")
    return folder


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("pack"))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, pack: Path) -> Iterator[Session]:
    settings = 'embedder = "hash:256"\ngenerator = "extractive"\nimage_encoder = "thumbnail:8"\nthreads = 1\n'
    workspace = create(tmp_path_factory.mktemp("ws") / "ws", settings)
    with open_session(workspace, create=True) as opened, Sandbox(ocr=False) as sandbox:
        import_pack(Intake(workspace, opened.catalog, sandbox, 160), read_pack(pack))
        settle(opened, lambda _: None)
        yield opened


@pytest.fixture(scope="module")
def turn(session: Session) -> ImageTurn:
    done = tune_images(session, budget=120, tell=lambda _: None)
    assert done is not None
    return done


def test_only_a_plan_changes_nothing(session: Session) -> None:
    shown: list[str] = []
    assert (
        tune_images(session, budget=60, tell=lambda _: None, show_plan=lambda lines: bool(shown.extend(lines))) is None
    )
    assert any("discriminant" in line for line in shown)
    assert not list(session.workspace.runs.glob("*images*"))


def test_what_is_learned_is_proven_and_live(turn: ImageTurn, session: Session) -> None:
    assert turn.verdict.proven, turn.verdict.reasons
    primary = turn.comparison.primary
    assert (primary.queries, primary.clusters) == (60, 20)
    assert primary.candidate > primary.base + 0.2
    assert turn.ground.encoder.space == images.described_spaces(session.catalog).pop()
    manifest = live_manifest(session.workspace, session.catalog)
    assert (manifest.release, turn.release) == ("r2", "r2")
    assert manifest.images is not None
    assert manifest.images.head
    assert manifest.retrieval == live_settings_of_text(session), "text stays as it was"


def live_settings_of_text(session: Session) -> RetrievalSettings:
    from honed.release.build import manifest_of, row_of

    return manifest_of(session.workspace, row_of(session.catalog, "r1")).retrieval


def test_live_search_finds_what_the_test_did(turn: ImageTurn, session: Session, pack: Path) -> None:
    """Live search ranks the whole gallery as the exam did: near-copies first, pictures of every split among the others."""
    retriever = open_image_release(session.workspace, session.catalog, session.settings, by_image=True)
    board, paper = turn.exam.board, turn.exam.candidate
    for place in range(0, 60, 7):
        name = board.ids[board.queries[place]]
        look = look_at_file(pack / "images" / f"{name}.png")
        hits = retriever.by_image(as_image(look.picture), look.media, look.phash, 216)
        assert hits[0].image.external_id == name
        assert hits[0].match == "same"
        ranked = [board.ids[at] for at in board.ranking(paper.vectors, place, 216, neighbours=paper.neighbours)]
        assert len(ranked) == len(board.ids) - 1 == 215
        assert [hit.image.external_id for hit in hits[1:]] == ranked


def test_leaves_a_report_with_grids_and_the_proof(turn: ImageTurn, session: Session) -> None:
    page = (turn.run.folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") > 20
    assert "<script" not in page
    assert "Better: tuned" in page
    outcome = read_json(turn.run.folder / "result.json")
    assert outcome == json.loads(json.dumps(image_result(turn)))
    assert (outcome["role"], outcome["verdict"], outcome["release"]) == ("image-retriever", "proven", "r2")
    assert "VERDICT: PROVEN -> release r2 is live." in text(session, turn)


def test_rollback_takes_the_image_side_back(turn: ImageTurn, session: Session) -> None:
    assert make_live(session, None, reason="test") == "r1"
    assert live_manifest(session.workspace, session.catalog).images is None
    open_image_release(session.workspace, session.catalog, session.settings, by_image=True)
    assert make_live(session, turn.release, reason="test") == "r2"
    open_image_release(session.workspace, session.catalog, session.settings, by_image=True)


def test_a_second_turn_counts_its_look_and_has_to_beat_the_live_release(turn: ImageTurn, session: Session) -> None:
    again = tune_images(session, budget=120, tell=lambda _: None)
    assert again is not None
    assert again.comparison.test_reads == 2
    assert again.exam.base.name == turn.release
    assert not again.verdict.proven
    assert live_manifest(session.workspace, session.catalog).release == turn.release


def test_too_few_pictures_are_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retriever, "LEAST_TEST", 10_000)
    with pytest.raises(retriever.UsageError, match="grouped pictures in train"):
        tune_images(session, budget=60, tell=lambda _: None)


def test_grouped_pictures_that_are_alone_end_before_training_and_before_the_test_is_looked_at(
    pack: Path, tmp_path: Path
) -> None:
    """Every picture of dev is the only one of its group: there is nothing to judge, and the mean would be no number."""
    settings = 'embedder = "hash:256"\ngenerator = "extractive"\nimage_encoder = "thumbnail:8"\nthreads = 1\n'
    workspace = create(tmp_path / "ws", settings)
    with open_session(workspace, create=True) as opened, Sandbox(ocr=False) as sandbox:
        import_pack(Intake(workspace, opened.catalog, sandbox, 160), read_pack(pack))
        members = images.groups(opened.catalog)
        with opened.catalog.transaction():
            images.set_groups(
                opened.catalog,
                [(one.external_id, f"alone {one.rowid}", "", "dev") for one in members if one.split == "dev"],
            )
        with pytest.raises(
            retriever.UsageError, match="36 grouped pictures in dev, of which 0 share their group"
        ) as raised:
            tune_images(opened, budget=60, tell=lambda _: None)
        assert "--by-folder" in raised.value.hint
        assert not list(workspace.runs.glob("*images*"))
        assert not opened.catalog.connection.execute("SELECT count(*) FROM ledger").fetchone()[0]
