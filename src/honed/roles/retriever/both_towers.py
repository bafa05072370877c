"""Stage `both-towers`, many minutes: both towers learn, passages are embedded anew, the query tower learns against the result.

One set of weights serves questions and passages while the passages learn (in-batch and mined negatives), so that what is
learned on one side helps the other; the query tower then goes on alone, as in `query-tower`, against the new vectors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from honed.evaluate.board import Choice
from honed.evaluate.probe import general_pairs
from honed.evaluate.untuned import PLAIN
from honed.index.dense import DenseIndex
from honed.roles.retriever.negatives import mine
from honed.roles.retriever.query_tower import Limits, checkpoint_key, details, learn_queries
from honed.roles.retriever.training import TrainingContext, Variant, best_allowed
from honed.train.batches import epoch_batches
from honed.train.fit import Checkpoint, Fit, Schedule, fit
from honed.train.objective import MASKED
from honed.train.replay import Replay
from honed.train.tower import LearningTower, save_tower
from honed.tuning.candidate import Candidate
from honed.workspace import fsync_folder

Texts = Callable[[NDArray[np.int64]], list[str]]
"""The texts of passages, by their positions in `task.rowids`."""

Embed = Callable[[Path], DenseIndex]
"""Embeds every passage of the corpus with a model folder; what is done already is not done again."""


NEAREST = 20
"""How many of the contested passages a dev question may bring."""


@dataclass(frozen=True, slots=True)
class Both:
    """The two halves of the stage: joint steps on passages, then the query tower."""

    joint: Limits
    query: Limits


def tune_both_towers(context: TrainingContext, limits: Both, embed: Embed, texts: Texts) -> Candidate:
    """Train one model for both sides, embed the corpus with it, then train the query tower on top.

    Args:
        texts: Gives the texts of passages by their positions in the task.
        embed: Gives the index of a model folder, in the order of the task's row ids.
    """
    started = time.monotonic()
    recipe = context.recipe
    documents = context.folder / "both-documents"
    longest = max(recipe.query_tokens, recipe.passage_tokens)
    tower = LearningTower.document_of(context.model, max_tokens=longest, threads=recipe.threads, bf16=recipe.bf16)
    if not (documents / "model.safetensors").is_file():
        before = tower.weights()
        joint = _train(tower, context, limits.joint, texts(context.examples.columns))
        context.tell(f"loss {joint.first_loss:.3f} -> {joint.last_loss:.3f} in {joint.steps} steps")
        share = _share(tower, before, context, texts)
        context.tell(f"keeping {share:.0%} of the change of both towers")
        half = documents.with_name("both-documents.tmp")
        save_tower(tower, half, share=share)
        half.rename(documents)
        fsync_folder(documents.parent)
    dense = embed(documents)
    tower = LearningTower.query_of(documents, max_tokens=recipe.query_tokens, threads=recipe.threads, bf16=recipe.bf16)
    general = tower.encode([passage for _, passage in general_pairs()])  # the document tower still has these weights
    # Keeping nothing of the query steps is a variant too: where test asks about what train never did, they only harm.
    wider = replace(context, recipe=replace(recipe, shares=(0.0, *recipe.shares)))
    trained, best = learn_queries(tower, wider, dense, general, limits.query)
    queries = context.folder / "both-queries"
    moved = save_tower(tower, queries, share=best.share)
    return Candidate(
        name="both-towers",
        what=f"both towers, passages embedded anew, {best.choice.retrieval}",
        dev=best.choice.scores,
        seconds=time.monotonic() - started,
        tried=len(recipe.shares) + 1,
        files={"query-tower": queries, "document-tower": documents},
        values={"retrieval": best.choice.retrieval.as_dict()},
        details=details(trained, best, limits.query, moved),
    )


def _share(tower: LearningTower, before: Mapping[str, NDArray[Any]], context: TrainingContext, texts: Texts) -> float:
    """Pick on dev how much of the joint change is kept, and blend it in.

    A share moves the passages, and embedding all of them for each would cost more than training. So it is picked on those
    that decide: what dev asks for, and what the base ranks high for it. On banking77-tickets dev has .803, .817, .819 and .819
    with a quarter, half, three quarters and all of the change; the last forgets most.
    """
    near = _contested(context)
    rowids, passages = context.task.rowids[near], texts(near)
    questions, answers = zip(*general_pairs(), strict=True)
    alone = PLAIN["dense"]
    variants = []
    for share in context.recipe.joint_shares:
        with tower.blended(before, share):
            index = DenseIndex.build(rowids, tower.encode(passages))
            pools = context.dev.pools(tower.encode(context.dev.labelled.texts), index, alone.lexical)
            choice = Choice(alone, context.dev.primary(pools, alone.fusion))
            drop = context.general.drop(tower.encode(list(questions)), tower.encode(list(answers)))
            variants.append(Variant(share, choice, drop))
    best = best_allowed(variants, context.general.allowed)
    tower.blend(before, best.share)
    return best.share


def _contested(context: TrainingContext) -> NDArray[np.int64]:
    """Positions of at most `recipe.contested` passages: those that answer dev first, then the base's nearest, by rank."""
    task, dev, most = context.task, context.dev.labelled, context.recipe.contested
    wanted = np.unique(np.concatenate([np.fromiter(one, np.int64, len(one)) for one in dev.relevant]))
    relevant = np.flatnonzero(np.isin(task.passage_document, wanted))[:most]
    _, found = context.dense.search(context.dev_queries, NEAREST)
    by_rank = task.positions(found.T[found.T >= 0])
    _, first = np.unique(by_rank, return_index=True)
    near = np.setdiff1d(by_rank[np.sort(first)][:most], relevant, assume_unique=True)
    return np.sort(np.concatenate([relevant, near[: most - len(relevant)]]))


def _train(tower: LearningTower, context: TrainingContext, limits: Limits, passages: list[str]) -> Fit:
    recipe, examples = context.recipe, context.examples
    torch.manual_seed(recipe.seed)
    parameters = tower.parameters(freeze_words=True)
    hard = mine(context.train_queries, context.dense.matrix[examples.columns], examples)
    query_tokens, passage_tokens = tower.tokens(examples.texts), tower.tokens(passages)
    lengths = [max(len(passage_tokens[column]) for column in own) for own in examples.positives]
    batches = [
        (epoch, rows)
        for epoch in range(limits.epochs)
        for rows in epoch_batches(lengths, recipe.both_batch, seed=recipe.seed, epoch=epoch)
    ]

    replay = Replay(tower, size=recipe.replay, seed=recipe.seed) if recipe.replay else None

    def loss_of(step: int) -> torch.Tensor:
        epoch, rows = batches[step]
        columns, own = _columns(rows, examples.positives, hard, np.random.default_rng((recipe.seed, step, epoch)))
        queries = tower.grouped([query_tokens[row][: recipe.query_tokens] for row in rows])
        documents = tower.grouped([passage_tokens[column] for column in columns])
        logits = queries @ documents.T / recipe.temperature
        for at, row in enumerate(rows):
            known = np.isin(columns, np.concatenate([examples.positives[row], examples.ignored[row]]))
            known[own[at]] = False
            logits[at, torch.from_numpy(np.flatnonzero(known))] = MASKED
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(own).to(logits.device))
        return loss + recipe.both_replay * replay.loss(step) if replay else loss

    schedule = Schedule(len(batches), recipe.both_rate, limits.seconds)
    key = "both-" + checkpoint_key(context.dense, examples, asdict(recipe), limits.epochs)
    return fit(parameters, loss_of, schedule, checkpoint=Checkpoint(context.folder, key))


def _columns(
    rows: NDArray[np.int64],
    positives: list[NDArray[np.int64]],
    hard: list[NDArray[np.int64]],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The passages of one step, each once, and for each question the place of the positive that it is trained on."""
    drawn = np.array([rng.choice(positives[row]) for row in rows])
    mined = [int(rng.choice(hard[row][:20])) for row in rows if len(hard[row])]
    columns, place = np.unique(np.concatenate([drawn, np.array(mined, np.int64)]), return_inverse=True)
    return columns, place[: len(rows)]
