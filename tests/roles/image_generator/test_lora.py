from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from honed.errors import UsageError
from honed.models.painter.pipeline import LORA_WEIGHTS, DiffusersPainter, PipelineSettings, load_pipeline
from honed.models.registry import parse
from honed.models.weights import Weights
from honed.roles.image_generator import lora as module
from honed.roles.image_generator.lora import LoraRecipe, train_lora
from honed.train import fit as fit_module
from tests.models.painter.tiny_pipeline import SIDE, make_tiny_pipeline

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
RECIPE = LoraRecipe(rank=2, batch=2, rate=1e-2)
PIXELS = np.random.default_rng(0).integers(0, 255, (5, SIDE, SIDE, 3), np.uint8)
PROMPTS = ["red cat", "blue dog", "tree", "cup", "shirt"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pipeline(tmp_path_factory.mktemp("pipelines") / "tiny")


def pipeline(folder: Path) -> Any:
    return load_pipeline(parse("image-generator", f"diffusers:{folder}"))


def test_a_lora_is_learnt_saved_and_used(folder: Path, tmp_path: Path) -> None:
    done = train_lora(pipeline(folder), PIXELS, PROMPTS, tmp_path / "lora", recipe=RECIPE, steps=6)
    assert done.steps == 6 and done.moved > 0
    assert [path.name for path in (tmp_path / "lora").iterdir()] == [LORA_WEIGHTS]
    spec, settings = parse("image-generator", f"diffusers:{folder}"), PipelineSettings(steps=3)
    plain = DiffusersPainter.from_spec(spec, device="cpu", settings=settings)
    tuned = DiffusersPainter.from_spec(spec, device="cpu", settings=settings, lora=tmp_path / "lora")
    assert "+lora-" in tuned.name
    drawings = [painter.generate("cat", [], n=1, seed=1)[0].tobytes() for painter in (plain, tuned)]
    assert drawings[0] != drawings[1]


def test_a_killed_training_ends_in_the_same_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "CHECKPOINT_SECONDS", -1.0)
    train_lora(pipeline(folder), PIXELS, PROMPTS, tmp_path / "whole", recipe=RECIPE, steps=5)
    whole_loss = module._denoising_loss

    class Killed(BaseException):
        pass

    def dies(*arguments: Any) -> Any:
        if arguments[-1] == 3:
            raise Killed
        return whole_loss(*arguments)

    monkeypatch.setattr(module, "_denoising_loss", dies)
    with pytest.raises(Killed):
        train_lora(pipeline(folder), PIXELS, PROMPTS, tmp_path / "killed", recipe=RECIPE, steps=5)
    monkeypatch.setattr(module, "_denoising_loss", whole_loss)
    train_lora(pipeline(folder), PIXELS, PROMPTS, tmp_path / "killed", recipe=RECIPE, steps=5)
    one, other = (Weights(tmp_path / name / LORA_WEIGHTS) for name in ("whole", "killed"))
    assert one.keys() == other.keys() and len(one) > 0
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_other_pipelines_and_uneven_data_are_refused(folder: Path, tmp_path: Path) -> None:
    loaded = pipeline(folder)
    with pytest.raises(UsageError, match="do not go together"):
        train_lora(loaded, PIXELS, PROMPTS[:2], tmp_path / "x", recipe=RECIPE, steps=1)
    loaded.text_encoder_2 = object()
    with pytest.raises(UsageError, match="not tuned here"):
        train_lora(loaded, PIXELS, PROMPTS, tmp_path / "x", recipe=RECIPE, steps=1)
