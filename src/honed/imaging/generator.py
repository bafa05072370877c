"""One turn of the cycle for the image generator: references, plan, training, dev, sealed test, gate, release, report.

The same words, gate and release as `loop.tune`; read that one first. A painter has to beat the last release's on held-out
pictures, and retrieval has to matter: what is drawn from retrieved references must be nearer to the truth than what the same
painter draws from random ones, and must not be a copy of them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from honed.catalog import history
from honed.errors import UsageError
from honed.evaluate.gate import GateSettings, decide
from honed.evaluate.pictures import LIKENESS
from honed.imaging.atelier import Atelier, open_atelier
from honed.imaging.generator_exam import PaintExam
from honed.imaging.generator_summary import PaintTurn, generator_report, generator_result
from honed.loop import close, lineage_of, settle
from honed.models.painter.compact import CompactPainter, painter_digest
from honed.models.painter.config import PainterConfig
from honed.models.registry import load
from honed.release.build import PAINTER_FOLDER, live_manifest
from honed.release.parts import Parts, parts_of
from honed.runs import Run, look_at, open_run
from honed.session import Session
from honed.tune.painter.candidate import PaintCandidate
from honed.tune.painter.plan import PaintPlan, chosen_targets, painting_table, plan_painting
from honed.tune.painter.sheet import Sheet
from honed.tune.painter.train import PaintRecipe, train_painter
from honed.tune.painter.trial import RETRIEVED, Exhibition, Targets, exhibit
from honed.turn import Tell

SHEET_FILE, SHEET_LINES = "samples.png", 12
PLAN_FILE = "plan.json"


def tune_generator(
    session: Session,
    *,
    budget: float,
    tell: Tell,
    show_plan: Callable[[list[str]], bool] = lambda _: True,
    recipe: PaintRecipe | None = None,
    config: PainterConfig | None = None,
) -> PaintTurn | None:
    """One turn of the cycle for the image generator; arguments and result are those of `loop.tune`.

    Args:
        config: Shape of the painter; None takes the live release's, or the default.

    Raises:
        UsageError: There is nothing to learn from or to measure with, or the budget is too short.
    """
    started = time.monotonic()
    settle(session, tell)
    atelier = open_atelier(session, tell, recipe, config)
    tell("measuring this machine")
    sizes = len(atelier.collection.rows["dev"]), len(atelier.collection.rows["test"])
    plan = plan_painting(budget, time.monotonic() - started, atelier.course, atelier.perception, sizes)
    if not show_plan(painting_table(plan)):
        return None
    experiment = _experiment(session, atelier, budget)
    run = open_run(session.workspace, session.catalog, "tune-generator", experiment)
    if run.resumed:
        tell(f"going on with {run.id}")
    plan = PaintPlan.load(run.folder / PLAN_FILE) or plan
    plan.save(run.folder / PLAN_FILE)
    atelier = replace(atelier, course=replace(atelier.course, recipe=replace(atelier.course.recipe, bf16=plan.bf16)))
    candidate = _trained(atelier, plan, run, tell)
    exam = _sealed_test(session, atelier, plan, candidate, looking=(run.id, experiment))
    comparison = exam.compared(candidate.tried, session.settings.seed)
    gate = GateSettings.of(session.settings)
    verdict = decide(comparison, gate, exam.checks(gate, session.settings.seed))
    release = f"r{history.next_release_number(session.catalog)}" if verdict.proven else ""
    seconds = time.monotonic() - started
    turn = PaintTurn(run, atelier.collection, candidate, exam, comparison, verdict, gate, release, seconds, budget)
    close(
        session,
        turn,
        outcome=generator_result(turn),
        report=generator_report(session, turn),
        parts=lambda: _parts(session, turn),
    )
    return turn


def _trained(atelier: Atelier, plan: PaintPlan, run: Run, tell: Tell) -> PaintCandidate:
    """The candidate of this run: finished before, or trained now (from where a killed training was)."""
    folder = run.folder / PAINTER_FOLDER
    done = PaintCandidate.load(folder)
    if done is not None:
        return done
    started = time.monotonic()
    targets = atelier.targets(chosen_targets(atelier.collection.rows["dev"], plan.dev, atelier.course.recipe.seed))
    some = chosen_targets(targets.rows, SHEET_LINES, 1)
    sheet = Sheet(targets.pictures, some, targets.pictures.references[some], run.folder / SHEET_FILE)
    tell(f"painter      started, {plan.seconds:.0f} s; samples in {sheet.path}")

    def watch(painter: CompactPainter, step: int) -> None:
        sheet(painter, step)
        tell(f"painter      step {step:,} of {plan.steps:,}")

    trained = train_painter(
        atelier.course, folder, steps=plan.steps, seconds=plan.seconds, start=atelier.start, watch=watch
    )
    painter = _opened(folder)
    shown = exhibit(painter, targets, atelier.perception, kinds=(RETRIEVED,))
    shape = painter.config
    weights = sum(value.numel() for value in painter.net.parameters())
    origin = "tuned further" if atelier.start else "trained from scratch"
    candidate = PaintCandidate(
        "painter",
        f"{shape.side} pixels from {shape.references} references, {weights / 1e6:.1f} million weights, {origin}",
        folder,
        shown.drawn[RETRIEVED].measured.scores[LIKENESS],
        time.monotonic() - started,
        1,
        {**asdict(trained.fit), "digest": painter_digest(folder)},
    )
    candidate.save()
    tell(f"painter      dev {candidate.mean:.3f}  {candidate.what}")
    return candidate


def _sealed_test(
    session: Session,
    atelier: Atelier,
    plan: PaintPlan,
    candidate: PaintCandidate,
    *,
    looking: tuple[str, dict[str, Any]],
) -> PaintExam:
    """Let candidate and last release draw the test, once; the look is counted before it is taken."""
    collection = atelier.collection
    rows = collection.rows["test"]
    named = repr(([collection.ids[row] for row in rows], collection.pictures.groups[rows].tolist(), "drawn"))
    reads = look_at(session.catalog, hashlib.sha256(named.encode()).hexdigest(), *looking)
    targets = atelier.targets(chosen_targets(rows, plan.test, session.settings.seed))
    shown = exhibit(_opened(candidate.folder), targets, atelier.perception)
    before: Exhibition | None = None
    if atelier.live is not None:
        known = _readable(targets, atelier.live, atelier)
        before = exhibit(atelier.live, known, atelier.perception, kinds=(RETRIEVED,))
    ids = [collection.ids[row] for row in targets.rows]
    return PaintExam(targets, atelier.release, before, shown, ids, atelier.course.config.styles, reads)


def _readable(targets: Targets, painter: CompactPainter, atelier: Atelier) -> Targets:
    """The targets as an earlier painter understands them: styles by its numbers, words only if it knows their space."""
    pictures, now, then = targets.pictures, atelier.course.config, painter.config
    if (now.side, now.references) != (then.side, then.references):
        raise UsageError(
            f"The live painter draws {then.side} pixels from {then.references} references; a painter of another shape "
            "cannot be compared with it.",
            hint="leave the shape as it is, or roll back to a release without a painter first",
        )
    numbers = [0] + [then.styles.index(name) + 1 if name in then.styles else 0 for name in now.styles]
    worded = now.text_space == then.text_space
    texts = pictures.texts if worded else np.zeros((len(pictures.texts), then.text), np.float32)
    return replace(targets, pictures=replace(pictures, styles=np.array(numbers)[pictures.styles], texts=texts))


def _opened(folder: Path) -> CompactPainter:
    """The painter in a folder, through the door that live drawing uses."""
    painter = load("image-generator", f"compact:{folder}")
    assert isinstance(painter, CompactPainter)
    return painter


def _experiment(session: Session, atelier: Atelier, budget: float) -> dict[str, Any]:
    """What a run depends on: it goes on only under the same, and elsewhere the same is no other look at the test."""
    course = atelier.course
    digest = hashlib.sha256(repr((atelier.collection.ids, atelier.collection.asked)).encode())
    for part in (course.pictures.pixels, course.pictures.texts, course.pictures.references, course.pictures.groups):
        digest.update(np.ascontiguousarray(part).tobytes())
    settings = asdict(course.recipe)
    for name in ("threads", "device", "bf16"):
        settings.pop(name)
    return {
        "budget": budget,
        "data": digest.hexdigest(),
        "shape": repr(course.config),
        "live": atelier.live.name if atelier.live else "",
        "settings": repr(sorted(settings.items())),
        "gate": [session.settings.min_gain, session.settings.max_slice_drop],
        "version": version("honed"),
    }


def _parts(session: Session, turn: PaintTurn) -> Parts:
    """What the proven candidate's release consists of: everything as it is, and a new painter."""
    live = live_manifest(session.workspace, session.catalog)
    lineage = lineage_of(turn.run, turn.comparison, live.release)
    parts = parts_of(session.workspace, live, what=f"image generator: {turn.chosen.what}", lineage=lineage)
    return replace(parts, painter=turn.chosen.folder)
