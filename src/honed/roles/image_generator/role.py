"""One turn of the cycle for the image generator: references, plan, training, dev, sealed test, gate, release, report.

The same words, gate and release as `loop.tune`; read that one first. A painter has to beat the last release's on held-out
pictures, and retrieval has to matter: what is drawn from retrieved references must be nearer to the truth than what the same
painter draws from random ones, and must not be a copy of them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np

from honed.catalog import history
from honed.evaluate.ledger import TestSet
from honed.models.painter.config import PainterConfig
from honed.models.vision.folder import JUDGE_SHA256
from honed.release.build import PAINTER_FOLDER, live_manifest
from honed.release.parts import Parts, parts_of
from honed.roles.image_generator.candidate import PaintCandidate
from honed.roles.image_generator.distance import LIKENESS
from honed.roles.image_generator.evaluation import PaintExam
from honed.roles.image_generator.learners import Atelier, open_atelier
from honed.roles.image_generator.plan import PaintPlan, chosen_targets, painting_table
from honed.roles.image_generator.presentation import PaintTurn, generator_report, generator_result
from honed.roles.image_generator.sheet import Sheet
from honed.roles.image_generator.train import PaintRecipe
from honed.roles.image_generator.trial import RETRIEVED, Exhibition, exhibit
from honed.roles.retriever.loop import ahead, close, judge, lineage_of, settle
from honed.runs import Run, look_at, open_run
from honed.session import Session
from honed.tune.kept import kept_plan
from honed.tuning.nouns import Finished, Tell, meanwhile, one_at_a_time
from honed.types import SPLITS
from honed.workspace import read_json, write_json

SHEET_FILE, SHEET_LINES = "samples.png", 12
TAUGHT_FILE = "painter-taught.json"


@one_at_a_time
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
        config: Shape of a compact painter; None takes the live release's, or the default.

    Raises:
        UsageError: There is nothing to learn from or to measure with, or the budget is too short.
    """
    started = time.monotonic()
    with session.workspace.writing():
        settle(session, tell)
        atelier = open_atelier(session, tell, recipe, config)
    start = atelier.collection.start
    tell("measuring this machine")
    plan = atelier.learner.plan(budget, time.monotonic() - started)
    if not show_plan(painting_table(plan)):
        return None
    experiment = _experiment(session, atelier, budget)
    run = open_run(session.workspace, session.catalog, "tune-generator", experiment)
    if run.resumed:
        tell(f"going on with {run.id}")
    plan = kept_plan(run.folder, plan)
    tell(ahead(session, _test_set(session, atelier, plan), "tune-generator"))
    candidate = _trained(atelier, plan, run, tell)
    history.check_live(session.catalog, start.live)  # before a look at the test is spent
    exam = _sealed_test(session, atelier, plan, candidate, looking=(run.id, experiment))
    judged = judge(session, exam, candidate.tried, lambda gate: exam.checks(gate, session.settings.seed))
    seconds, notes = time.monotonic() - started, meanwhile(session.catalog, start)
    turn = Finished(run, atelier.collection, (candidate,), candidate, exam, *judged, seconds, budget, notes)
    close(
        session,
        turn,
        tell=tell,
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
    targets = atelier.targets("dev", plan.dev)
    sheet = Sheet(replace(targets, rows=chosen_targets(targets.rows, SHEET_LINES, 1)), run.folder / SHEET_FILE)
    notes = run.folder / TAUGHT_FILE
    if not notes.is_file():  # a kill while dev is drawn loses no training
        tell(f"painter      started, {plan.seconds:.0f} s; samples in {sheet.path}")
        what, details = atelier.learner.train(folder, plan, sheet, tell)
        write_json(notes, {"what": what, "details": dict(details)})
    taught = read_json(notes)
    tried = atelier.learner.pick(folder, targets)
    shown = exhibit(atelier.learner.draw(folder), targets, atelier.perception, kinds=(RETRIEVED,))
    likeness = shown.drawn[RETRIEVED].measured.scores[LIKENESS]
    seconds = time.monotonic() - started
    details = {**taught["details"], "digest": atelier.learner.digest(folder)}
    candidate = PaintCandidate("painter", taught["what"], folder, likeness, seconds, tried, details)
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
    """Let candidate and what is live draw the test, once; the look is counted before anybody sees a result."""
    collection, learner = atelier.collection, atelier.learner
    targets = atelier.targets("test", plan.test)
    shown = exhibit(learner.draw(candidate.folder), targets, atelier.perception)
    before: tuple[str, Exhibition] | None = None
    if learner.before is not None:
        name, draw = learner.before
        before = name, exhibit(draw, targets, atelier.perception, kinds=(RETRIEVED,))
    ids = [collection.listing.ids[row] for row in targets.rows.tolist()]
    looks = look_at(session.catalog, _test_set(session, atelier, plan), *looking)
    return PaintExam(targets, before, shown, ids, collection.styles, looks)


def _test_set(session: Session, atelier: Atelier, plan: PaintPlan) -> TestSet:
    collection, rows = atelier.collection, atelier.targets("test", plan.test).rows
    return TestSet(
        "image-generator",
        LIKENESS,
        [collection.listing.medias[row] for row in rows.tolist()],
        collection.pictures.groups[rows],
        (hashlib.sha256(f"drawn {collection.known}".encode()).hexdigest(),),
        fresh_only=session.settings.test == "fresh",
    )


def _experiment(session: Session, atelier: Atelier, budget: float) -> dict[str, Any]:
    """What a run depends on: it goes on only under the same, and elsewhere the same is no other look at the test."""
    collection, pictures = atelier.collection, atelier.collection.pictures
    listing = collection.listing
    digest = hashlib.sha256(repr((listing.ids, listing.asked, collection.styles)).encode())
    parts = (pictures.pixels, pictures.texts, pictures.styles, pictures.references, pictures.groups)
    for part in (*parts, *(collection.rows[split] for split in SPLITS)):
        digest.update(np.ascontiguousarray(part).tobytes())
    return {
        "budget": budget,
        "data": digest.hexdigest(),
        **atelier.learner.key,
        "judge": JUDGE_SHA256,
        "gate": [session.settings.min_gain, session.settings.max_slice_drop],
        "test": session.settings.test,
        "version": version("honed"),
    }


def _parts(session: Session, turn: PaintTurn) -> Parts:
    """What the proven candidate's release consists of: everything as it is, and a new painter."""
    live = live_manifest(session.workspace, session.catalog)
    lineage = lineage_of(turn.run, turn.comparison, live.release)
    parts = parts_of(session.workspace, live, what=f"image generator: {turn.chosen.what}", lineage=lineage)
    return replace(parts, painter=turn.chosen.folder)
