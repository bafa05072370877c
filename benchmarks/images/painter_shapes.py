"""How large should the compact painter be, when the minutes to train it are few? Shapes side by side, on dev.

    python benchmarks/images/painter_shapes.py WORKSPACE [--minutes 6] [--shapes 32,64,96 48,96,144]

WORKSPACE holds pictures (`honed import`). Each shape (channels of the U-Net, fine to coarse) trains for the same minutes on train, then draws up
to 200 pictures of dev from retrieved and from random references. Nothing is released and test is not read.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from honed.models.painter.config import PainterConfig
from honed.roles.image_generator.held_out import RANDOM, RETRIEVED, draw_and_measure
from honed.roles.image_generator.learners import CompactLearner
from honed.roles.image_generator.role import ImageGenerator
from honed.roles.image_generator.speed import measure_speed
from honed.roles.image_generator.train import train_painter
from honed.session import open_session
from honed.tuning.plan import SLACK
from honed.tuning.role import deciding_metric
from honed.workspace import at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--shapes", nargs="*", default=["32,64,96", "48,96,144"])
    options = parser.parse_args()
    with open_session(at(options.workspace)) as session:
        role = ImageGenerator(config=PainterConfig())
        context = role.prepare(session, role.snapshot(session, deciding_metric(session, role), print), print)
    learner = context.learner
    assert isinstance(learner, CompactLearner)
    targets = context.targets("dev", 200)
    for shape in options.shapes:
        config = replace(learner.training.config, channels=tuple(int(width) for width in shape.split(",")))
        training = replace(learner.training, config=config)
        speed = measure_speed(training)
        training = replace(training, recipe=replace(training.recipe, bf16=speed.bf16))
        seconds = 60 * options.minutes
        with TemporaryDirectory() as folder:
            steps = speed.affordable(seconds / SLACK)
            trained = train_painter(training, Path(folder) / "painter", steps=steps, seconds=seconds)
            drawings = draw_and_measure(learner.draw(trained.folder), targets, context.judge, kinds=(RETRIEVED, RANDOM))
        result = {
            "channels": shape,
            "million_weights": round(sum(value.numel() for value in training.fresh_net().parameters()) / 1e6, 2),
            "steps": trained.fit.steps,
            "seconds": round(trained.fit.seconds),
            "distance": {kind: round(float(drawn.distance.mean()), 4) for kind, drawn in drawings.drawn.items()},
            "lower_than_random": round(drawings.gain, 4),
            "near_copies": round(drawings.near_copies, 4),
        }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
