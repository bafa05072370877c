from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from honed.errors import UsageError
from honed.models.painter.compact import CompactPainter, read_painter
from honed.models.painter.config import PainterConfig
from honed.models.registry import load
from honed.roles.image_generator import train as module
from honed.roles.image_generator.held_out import Targets, by_compact, draw_and_measure, real_threshold
from honed.roles.image_generator.perceptual import PerceptualFeatures
from honed.roles.image_generator.pictures import Augmentation, Pictures, Rows
from honed.roles.image_generator.sample_grid import SampleGrid
from honed.roles.image_generator.train import PainterTraining, PaintRecipe, train_painter
from honed.train import fit as fit_module

from .conftest import CONFIG

Toy = tuple[Pictures, Rows, Rows]
RECIPE = PaintRecipe(batch=8, threads=1, average=0.9, device="cpu")


def training(toy: Toy, recipe: PaintRecipe = RECIPE, perception: PerceptualFeatures | None = None) -> PainterTraining:
    return PainterTraining(toy[0], toy[1], CONFIG, recipe, perception)


def weights(folder: Path) -> dict[str, bytes]:
    return {name: np.array(value).tobytes() for name, value in read_painter(folder)[1].items()}


@pytest.mark.parametrize("killed_at", [1, 4])
def test_a_killed_training_ends_in_the_same_weights(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    monkeypatch.setattr(fit_module, "CHECKPOINT_SECONDS", -1.0)
    learnt = training(toy)
    train_painter(learnt, tmp_path / "whole", steps=6)

    class Killed(BaseException):
        pass

    class Dies(PainterTraining):
        def loss(self, net: module.PainterNet, step: int) -> torch.Tensor:
            if step == killed_at:
                raise Killed
            return PainterTraining.loss(self, net, step)

    with pytest.raises(Killed):
        train_painter(Dies(*toy[:2], CONFIG, RECIPE), tmp_path / "killed", steps=6)
    steps: list[int] = []
    monkeypatch.setattr(module, "WATCH_SECONDS", -1.0)
    done = train_painter(learnt, tmp_path / "killed", steps=6, watch=lambda _, step: steps.append(step))
    assert steps == [*range(killed_at + 1, 7), 6]
    assert done.fit.steps == 6
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert not list((tmp_path / "killed").glob("checkpoint*"))


def test_it_draws_what_it_was_given_in_the_style_that_was_asked_for(
    toy: Toy, tmp_path: Path, perception: PerceptualFeatures
) -> None:
    pictures, train, dev = toy
    recipe = replace(RECIPE, batch=16, rate=3e-3, average=0.95, augmentation=Augmentation(recoloured=0.0, mirrored=0.0))
    trained = train_painter(training(toy, recipe), tmp_path / "painter", steps=150)
    assert trained.fit.moved > 0.1
    assert trained.fit.last_loss < 0.6 * trained.fit.first_loss
    painter = load("image-generator", f"compact:{trained.folder}")
    assert isinstance(painter, CompactPainter)
    targets = Targets(pictures, dev, dev, real_threshold(pictures, train, perception))
    shown = draw_and_measure(by_compact(painter), targets, perception)
    pixels = {kind: float(one.pixels.mean()) for kind, one in shown.drawn.items()}
    assert pixels["retrieved"] < 0.75 * pixels["random"]
    assert pixels["retrieved"] < 0.75 * pixels["none"]
    assert shown.gain > 0.0
    assert set(shown.pictures) == {"retrieved", "random", "none"}
    outlined = dev[pictures.styles[dev] == 2]
    copied = (
        np.abs(pictures.pixels[outlined].astype(int) - pictures.pixels[pictures.references[outlined, 0]]).mean() / 255
    )
    assert (
        float(shown.drawn["retrieved"].pixels[pictures.styles[dev] == 2].mean()) < copied
    )  # both references are filled


def test_the_loss_may_look_at_feature_maps(toy: Toy, perception: PerceptualFeatures) -> None:
    learnt, plain = training(toy, perception=perception), training(toy)
    net = plain.fresh_net()
    with_maps, without = learnt.loss(net, 0), plain.loss(net, 0)
    assert float(with_maps.detach()) > float(without.detach())
    with_maps.backward()  # type: ignore[no-untyped-call]
    assert all(torch.isfinite(value.grad).all() for value in net.parameters() if value.grad is not None)


def test_it_goes_on_from_where_a_release_left_it(toy: Toy, tmp_path: Path) -> None:
    first = train_painter(training(toy), tmp_path / "first", steps=3)
    _, tensors = read_painter(first.folder)
    second = train_painter(training(toy, replace(RECIPE, rate=1e-6)), tmp_path / "second", steps=2, start=tensors)
    for name, value in read_painter(second.folder)[1].items():
        assert np.allclose(value, tensors[name], atol=1e-3), name


def test_everything_that_weights_depend_on_is_in_the_key(toy: Toy) -> None:
    pictures, train, _ = toy
    learnt = training(toy)
    darker = replace(pictures, pixels=np.minimum(pictures.pixels, 254))
    keys = {
        learnt.key(5),
        learnt.key(6),
        training(toy, replace(RECIPE, seed=1)).key(5),
        training(toy, replace(RECIPE, flow=replace(RECIPE.flow, power=2.0))).key(5),
        replace(learnt, pictures=darker).key(5),
        replace(learnt, rows=train[:-3]).key(5),
        replace(learnt, config=replace(CONFIG, channels=(16, 16))).key(5),
        learnt.key(5, {"a": np.zeros(1)}),
    }
    assert len(keys) == 8
    assert learnt.key(5) == training(toy).key(5)


def test_a_sheet_of_samples_is_kept_up_to_date(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.setattr(module, "WATCH_SECONDS", -1.0)
    pictures, _, dev = toy
    path = tmp_path / "run" / "samples.png"
    sheet = SampleGrid(Targets(pictures, dev[:4], dev, 0.0), path, cell=20)
    seen: list[bytes] = []

    def watch(painter: CompactPainter, step: int) -> None:
        sheet.show(by_compact(painter))
        seen.append(path.read_bytes())

    train_painter(training(toy), tmp_path / "painter", steps=3, watch=watch)
    assert len(seen) == 4 and len(set(seen)) >= 3
    with Image.open(path) as picture:
        assert picture.size == (5 * 22 + 2, 4 * 22 + 2)


def test_what_does_not_fit_is_refused(toy: Toy) -> None:
    pictures, train, dev = toy
    for config in (
        PainterConfig(32, styles=CONFIG.styles),
        replace(CONFIG, references=3),
        replace(CONFIG, text=7),
        replace(CONFIG, styles=()),
    ):
        with pytest.raises(UsageError):
            PainterTraining(pictures, train, config, RECIPE)
    leaking = pictures.references.copy()
    leaking[train[0], 0] = dev[0]
    with pytest.raises(UsageError, match="outside of train"):
        PainterTraining(replace(pictures, references=leaking), train, CONFIG, RECIPE)
