"""The one stage: train a painter, let dev pick how it draws, and draw dev with it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from honed.roles.image_generator.context import TrainingContext
from honed.roles.image_generator.distance import LIKENESS
from honed.roles.image_generator.held_out import RETRIEVED, Targets, draw_and_measure
from honed.roles.image_generator.pictures import by_lot
from honed.roles.image_generator.plan import PAINTER
from honed.roles.image_generator.sample_grid import SampleGrid
from honed.tuning.candidate import Candidate
from honed.tuning.plan import Stage
from honed.tuning.role import Work
from honed.workspace import read_json, write_json

SAMPLES_FILE, SAMPLES_LINES = "samples.png", 12
TAUGHT_FILE = "painter-taught.json"


def run_stage(context: TrainingContext, stage: Stage, work: Work) -> Candidate:
    """The painter of this run, trained from where a killed training was."""
    started, folder, learner = time.monotonic(), work.folder / PAINTER, context.learner
    targets = context.targets("dev", stage.options["dev"])
    taught = _taught(context, stage, work, targets)
    tried = learner.pick(folder, targets)
    drawn = draw_and_measure(learner.draw(folder), targets, context.judge, kinds=(RETRIEVED,)).drawn[RETRIEVED]
    return Candidate(
        stage.name,
        taught["what"],
        targets.spread(drawn.measured.scores[LIKENESS]),
        time.monotonic() - started,
        tried,
        files={PAINTER: folder},
        details={**taught["details"], "digest": learner.digest(folder)},
    )


def _taught(context: TrainingContext, stage: Stage, work: Work, targets: Targets) -> dict[str, Any]:
    """What is to be said of the training, which is over then; a kill while dev is drawn loses nothing of it."""
    notes: Path = work.folder / TAUGHT_FILE
    if not notes.is_file():
        stage = replace(stage, seconds=min(stage.seconds, max(work.seconds, 1.0)))
        samples = SampleGrid(replace(targets, rows=by_lot(targets.rows, SAMPLES_LINES, 1)), work.folder / SAMPLES_FILE)
        work.tell(f"{stage.name:<12} samples in {samples.path}")
        what, details = context.learner.train(work.folder / PAINTER, stage, samples, work.tell)
        write_json(notes, {"what": what, "details": dict(details)})
    taught: dict[str, Any] = read_json(notes)
    return taught
