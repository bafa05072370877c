"""One turn of the cycle for image retrieval: descriptors, baseline, rungs, choice, sealed test, gate, release, report.

The same words, gate and release as `loop.tune`; read that one first. Text stays as it is in the live release.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from honed.dataset.images import Pictures, load_image_task
from honed.errors import UsageError
from honed.evaluate.image_board import primary
from honed.protocols import ImageEncoder
from honed.release.build import HEAD_FILE, live_manifest
from honed.release.open import image_encoder_of, image_head_of
from honed.release.parts import ImageParts, Parts, parts_of, words_lost
from honed.roles.image_retriever.context import Studio
from honed.roles.image_retriever.evaluation import ImageExam, sit_images
from honed.roles.image_retriever.presentation import image_report, image_result
from honed.roles.image_retriever.snapshot import LEAST_TEST, experiment_of, gallery
from honed.roles.image_retriever.systems import look_at_pictures
from honed.roles.retriever.loop import close, judge, lineage_of, settle
from honed.runs import open_run
from honed.session import Session
from honed.tuning.nouns import Finished, ImageGround, ImageTurn, Tell
from honed.types import Split

if TYPE_CHECKING:  # torch is loaded by tuning alone
    from honed.roles.image_retriever.bench import ImageRecipe
    from honed.roles.image_retriever.candidate import ImageCandidate


def survey_images(session: Session, tell: Tell) -> ImageGround:
    """Read groups and descriptors, and measure what is live on dev.

    Raises:
        UsageError: There are no groups of pictures, or too few to measure with.
        MissingError: The image encoder is not installed.
    """
    settle(session, tell)
    manifest = live_manifest(session.workspace, session.catalog)
    encoder = image_encoder_of(session.workspace, manifest, session.settings)
    head = image_head_of(session.workspace, manifest, encoder)
    task = load_image_task(session.catalog, seed=session.settings.seed)
    for split, pictures in task.splits.items():
        _enough(pictures, split)
    every = gallery(session, encoder, task)
    side = manifest.images
    neighbours = side.neighbours if side else 0
    name = manifest.release if side and side.head else f"untuned {session.settings.image_encoder}"
    scores = primary(every.board("dev"), head.apply(every.descriptors), neighbours=neighbours)
    return ImageGround(every, encoder, head, neighbours, name, float(np.nanmean(scores)), task.notes)


def _enough(pictures: Pictures, split: Split) -> None:
    """Train needs pictures; a picture of dev or test is judged only where another one of its group can be found."""
    count = len(pictures) if split == "train" else pictures.pairs
    if count < LEAST_TEST:
        raise UsageError(
            f"There are {len(pictures)} grouped pictures in {split}, of which {pictures.pairs} share their group with another "
            f"one; {LEAST_TEST} {'pictures' if split == 'train' else 'of these'} are needed.",
            hint="give more pictures, and those of one thing the same group: honed label FILE.csv (columns image,group), "
            "honed label --by-folder DIR, or honed import an image pack",
        )


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
    from honed.roles.image_retriever.candidate import choose_images
    from honed.roles.image_retriever.ladder import climb_images
    from honed.roles.image_retriever.plan import images_table
    from honed.roles.retriever.plan import RESERVE

    started = time.monotonic()
    ground = survey_images(session, tell)
    tell(f"baseline     dev {ground.dev:.3f}  {ground.baseline}")
    studio = Studio(session, ground, tell, recipe)
    plan = studio.plan(budget, started)
    if not show_plan(images_table(plan)):
        return None
    experiment = experiment_of(session, ground, studio.recipe, budget)
    run = open_run(session.workspace, session.catalog, "tune-images", experiment)
    if run.resumed:
        tell(f"going on with {run.id}")
    candidates = climb_images(studio.bench(run.folder), plan, deadline=started + budget * (1.0 - RESERVE))
    chosen = choose_images(candidates)
    exam = _sealed_test(session, ground, studio, chosen, looking=(run.id, experiment))
    judged = judge(session, exam, sum(one.tried for one in candidates))
    notes: tuple[str, ...] = ()
    if judged.release:
        notes = words_lost(live_manifest(session.workspace, session.catalog))
        session.catch_up_images(studio.encoder(chosen), chosen.head, tell=tell)
    seconds = time.monotonic() - started
    turn = Finished(run, ground, tuple(candidates), chosen, exam, *judged, seconds, budget, notes)
    close(
        session,
        turn,
        outcome=image_result(turn),
        report=image_report(session, turn),
        parts=lambda: _parts(session, turn, studio.encoder(chosen)),
    )
    return turn


def _sealed_test(
    session: Session,
    ground: ImageGround,
    studio: Studio,
    chosen: ImageCandidate,
    *,
    looking: tuple[str, dict[str, Any]],
) -> ImageExam:
    """Let baseline and candidate sit the test, once; the look is counted before it is taken."""
    board = ground.gallery.board("test")
    vectors = chosen.head.apply(studio.descriptors(chosen))
    reads = look_at_pictures(session, ground.gallery.task.splits["test"], *looking)
    base = sit_images(board, ground.baseline, ground.head.apply(ground.gallery.descriptors), ground.neighbours)
    return ImageExam(board, base, sit_images(board, f"tuned ({chosen.name})", vectors, chosen.neighbours), reads)


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
