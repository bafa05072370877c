"""One turn of the cycle for image retrieval: descriptors, baseline, rungs, choice, sealed test, gate, release, report.

The same words, gate and release as `loop.tune`; read that one first. Text stays as it is in the live release.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from honed.catalog import history
from honed.catalog.moment import moment
from honed.dataset.images import load_image_task, take
from honed.errors import UsageError
from honed.evaluate.image_exam import ImageExam, sit_images
from honed.evaluate.significance import judged
from honed.imaging.ground import LEAST_TEST, experiment_of, gallery
from honed.imaging.measure import pictures_set
from honed.imaging.studio import Studio
from honed.imaging.summary import image_report, image_result
from honed.loop import ahead, close, judge, lineage_of, settle
from honed.protocols import ImageEncoder
from honed.release.build import HEAD_FILE, live_manifest
from honed.release.open import image_encoder_of, image_head_of
from honed.release.parts import ImageParts, Parts, parts_of, words_lost
from honed.runs import look_at, open_run
from honed.session import Session
from honed.turn import Finished, ImageGround, ImageTurn, Tell, meanwhile, one_at_a_time

if TYPE_CHECKING:  # torch is loaded by tuning alone
    from honed.tune.images.bench import ImageRecipe
    from honed.tune.images.candidate import ImageCandidate


def survey_images(session: Session, tell: Tell) -> ImageGround:
    """Read groups and descriptors, and measure what is live on dev, under the writer lock.

    Raises:
        UsageError: There are no groups of pictures, or too few to measure with.
        MissingError: The image encoder is not installed.
        BusyError: Another process is changing the workspace.
    """
    with session.workspace.writing():
        return _surveyed(session, tell)


def _surveyed(session: Session, tell: Tell) -> ImageGround:
    settle(session, tell)
    manifest = live_manifest(session.workspace, session.catalog)
    encoder = image_encoder_of(session.workspace, manifest, session.settings)
    head = image_head_of(session.workspace, manifest, encoder)
    task = load_image_task(session.catalog, seed=session.settings.seed)
    take(session.catalog, task)
    galleries = {split: gallery(session, encoder, pictures) for split, pictures in task.splits.items()}
    for split, shown in galleries.items():
        if shown.pictures.pairs < LEAST_TEST:
            raise UsageError(
                f"There are {shown.pictures.pairs} grouped pictures in {split} with another of their group; "
                f"{LEAST_TEST} are needed.",
                hint="honed label FILE.csv (columns image,group), honed label --by-folder DIR, or honed import an image pack",
            )
    side = manifest.images
    neighbours = side.neighbours if side else 0
    name = manifest.release if side and side.head else f"untuned {session.settings.image_encoder}"
    dev = galleries["dev"]
    scores = dev.board.measure(head.apply(dev.descriptors), neighbours=neighbours)
    mean, start = float(np.nanmean(scores[dev.board.metric])), moment(session.catalog)
    return ImageGround(galleries, encoder, head, neighbours, name, mean, start, task.notes)


@one_at_a_time
def tune_images(
    session: Session,
    *,
    budget: float,
    tell: Tell,
    show_plan: Callable[[list[str]], bool] = lambda _: True,
    recipe: ImageRecipe | None = None,
) -> ImageTurn | None:
    """One turn of the cycle for pictures; arguments and result are those of `loop.tune`.

    Raises:
        UsageError: There is nothing to learn from or to measure with.
    """
    from honed.tune.images.candidate import choose_images
    from honed.tune.images.ladder import climb_images
    from honed.tune.images.plan import images_table
    from honed.tune.kept import kept_plan
    from honed.tune.plan import RESERVE

    started = time.monotonic()
    ground = survey_images(session, tell)
    tell(ahead(session, pictures_set(session, ground.galleries["test"].pictures), "tune-images"))
    tell(f"baseline     dev {ground.dev:.3f}  {ground.baseline}")
    studio = Studio(session, ground, tell, recipe)
    plan = studio.plan(budget, started)
    if not show_plan(images_table(plan)):
        return None
    experiment = experiment_of(session, ground, studio.recipe, budget)
    run = open_run(session.workspace, session.catalog, "tune-images", experiment)
    if run.resumed:
        tell(f"going on with {run.id}")
    plan = kept_plan(run.folder, plan)
    candidates = climb_images(studio.bench(run.folder), plan, deadline=started + budget * (1.0 - RESERVE))
    chosen = choose_images(candidates, ground.galleries["dev"].board.clusters)
    history.check_live(session.catalog, ground.start.live)  # before a look at the test is spent
    exam = _sealed_test(session, ground, studio, chosen, looking=(run.id, experiment))
    outcome = judge(session, exam, sum(one.tried for one in candidates))
    notes = meanwhile(session.catalog, ground.start)
    if outcome.release:
        notes += words_lost(live_manifest(session.workspace, session.catalog))
    seconds = time.monotonic() - started
    turn = Finished(run, ground, tuple(candidates), chosen, exam, *outcome, seconds, budget, notes)

    def parts() -> Parts:
        session.catch_up_images(studio.encoder(chosen), chosen.head, tell=tell)  # with what came since
        return _parts(session, turn, studio.encoder(chosen))

    outcome_json, report = image_result(turn), image_report(session, turn)
    close(session, turn, tell=tell, outcome=outcome_json, report=report, parts=parts)
    return turn


def _sealed_test(
    session: Session,
    ground: ImageGround,
    studio: Studio,
    chosen: ImageCandidate,
    *,
    looking: tuple[str, dict[str, Any]],
) -> ImageExam:
    """Let baseline and candidate sit the test, once; the look is counted before anybody sees a result."""
    shown = ground.galleries["test"]
    board = shown.board
    base = sit_images(board, ground.baseline, ground.head.apply(shown.descriptors), ground.neighbours)
    vectors = chosen.head.apply(studio.descriptors(chosen, shown))
    tuned = sit_images(board, f"tuned ({chosen.name})", vectors, chosen.neighbours)
    judged(base.scores[board.metric], tuned.scores[board.metric], board.clusters)
    looks = look_at(session.catalog, pictures_set(session, shown.pictures), *looking)
    base, tuned = (replace(paper, scores=looks.scores(paper.scores)) for paper in (base, tuned))
    return ImageExam(board, base, tuned, looks)


def _parts(session: Session, turn: ImageTurn, encoder: ImageEncoder) -> Parts:
    """What the proven candidate's release consists of: text as it is, and a new image side."""
    live = live_manifest(session.workspace, session.catalog)
    head = turn.run.folder / f"new-{HEAD_FILE}"
    turn.chosen.head.write(head)
    parts = parts_of(
        session.workspace,
        live,
        what=f"images: {turn.chosen.what}",
        lineage=lineage_of(turn.run, turn.comparison, live.release),
    )
    side = parts.images or ImageParts(session.settings.image_encoder, encoder.space)
    side = replace(side.without_words(), space=encoder.space, head=head, neighbours=turn.chosen.neighbours)
    if turn.chosen.encoder_folder:
        side = replace(side, folder=turn.chosen.encoder_folder)
    return replace(parts, images=side)
