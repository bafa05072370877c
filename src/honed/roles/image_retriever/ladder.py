"""The rungs of image tuning in order, cheapest first. A finished rung is never run again; a failed one stops no other."""

from __future__ import annotations

import time

from honed.errors import HonedError
from honed.roles.image_retriever.bench import ImageBench
from honed.roles.image_retriever.candidate import ImageCandidate, choose_images
from honed.roles.image_retriever.free import tune_discriminant, tune_expansion, tune_whitening
from honed.roles.image_retriever.last_blocks import BlockLimits, tune_blocks
from honed.roles.image_retriever.learned import tune_head
from honed.roles.image_retriever.plan import ImagePlan, ImageStep, shrunk


def climb_images(bench: ImageBench, plan: ImagePlan, *, deadline: float) -> list[ImageCandidate]:
    """Run the plan's rungs; returns the candidates in order of cost.

    Args:
        deadline: Moment (`time.monotonic`) at which the reserve for evaluation begins; limits shrink to meet it.
    """
    found: list[ImageCandidate] = []
    for step in plan.steps:
        done = ImageCandidate.load(bench.folder, step.rung)
        if done is None and step.seconds > 0:
            done = _run(bench, plan, step, found, deadline)
        if done is not None:
            found.append(done)
            bench.tell(f"{step.rung:<12} dev {done.mean:.3f}  {done.what}")
    return found


def _run(
    bench: ImageBench, plan: ImagePlan, step: ImageStep, found: list[ImageCandidate], deadline: float
) -> ImageCandidate | None:
    left = deadline - time.monotonic()
    planned, step = step.train_seconds, shrunk(step, left)
    if found and (left < 1.0 or step.train_seconds < min(5.0, planned)):  # without one there is nothing to test
        bench.tell(f"{step.rung:<12} skipped: the time for training is used up")
        return None
    if step.rung != "expansion":
        bench.tell(f"{step.rung:<12} started, at most {step.seconds:.0f} s")
    try:
        candidate = _rung(bench, plan, step, found)
    except HonedError as error:
        bench.tell(f"{step.rung:<12} gave up: {error.message}")
        return None
    if candidate is not None:
        candidate.save(bench.folder)
    for file in bench.folder.glob("checkpoint-*"):
        file.unlink(missing_ok=True)
    return candidate


def _rung(bench: ImageBench, plan: ImagePlan, step: ImageStep, found: list[ImageCandidate]) -> ImageCandidate | None:
    if step.rung == "whitening":
        return tune_whitening(bench)
    if step.rung == "discriminant":
        return tune_discriminant(bench)
    if step.rung == "head":
        return tune_head(bench, step.seconds)
    if step.rung == "blocks":
        limits = BlockLimits(step.epochs, step.train_seconds, plan.speed.bf16, step.shares)
        return tune_blocks(bench, choose_images(found), limits)
    best = choose_images(found)
    gallery = None
    if best.encoder_folder and bench.trainee:
        gallery = bench.trainee.encode_all(best.encoder_folder)
    return tune_expansion(bench, best, gallery=gallery)
