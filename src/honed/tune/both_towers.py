"""Rung 4, many minutes: both towers, then every passage is embedded anew, then the query tower learns against the result.

One set of weights serves questions and passages while the passages learn (in-batch and mined negatives), so that what is
learned on one side helps the other; the query tower then goes on alone, as in rung 3, against the new vectors.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from honed.evaluate.probe import general_pairs
from honed.index.dense import DenseIndex
from honed.tune.batches import epoch_batches
from honed.tune.bench import Bench
from honed.tune.candidate import Candidate
from honed.tune.fit import Checkpoint, Fit, Schedule, fit
from honed.tune.negatives import mine
from honed.tune.objective import MASKED
from honed.tune.query_tower import Limits, checkpoint_key, details, learn_queries
from honed.tune.rehearsal import Rehearsal
from honed.tune.tower import LearningTower, save_tower
from honed.workspace import fsync_folder

Embed = Callable[[Path], DenseIndex]
"""Embeds every passage of the corpus with a model folder; what is done already is not done again."""


@dataclass(frozen=True, slots=True)
class Both:
    """The two halves of the rung: joint steps on passages, then the query tower."""

    joint: Limits
    query: Limits


def tune_both_towers(bench: Bench, limits: Both, embed: Embed, passages: list[str]) -> Candidate:
    """Train one model for both sides, embed the corpus with it, then train the query tower on top.

    Args:
        passages: The texts of `examples.columns`.
        embed: Gives the index of a model folder, in the order of the task's row ids.
    """
    started = time.monotonic()
    recipe = bench.recipe
    documents = bench.folder / "both-documents"
    longest = max(recipe.query_tokens, recipe.passage_tokens)
    tower = LearningTower.document_of(bench.model, max_tokens=longest, threads=recipe.threads, bf16=recipe.bf16)
    if not (documents / "model.safetensors").is_file():
        joint = _train(tower, bench, limits.joint, passages)
        bench.tell(f"loss {joint.first_loss:.3f} -> {joint.last_loss:.3f} in {joint.steps} steps")
        half = documents.with_name("both-documents.tmp")
        save_tower(tower.tower, tower.weights(), half)
        half.rename(documents)
        fsync_folder(documents.parent)
    dense = embed(documents)
    tower = LearningTower.query_of(documents, max_tokens=recipe.query_tokens, threads=recipe.threads, bf16=recipe.bf16)
    general = tower.encode([passage for _, passage in general_pairs()])  # the document tower still has these weights
    # Keeping nothing of the query steps is a variant too: where test asks about what train never did, they only harm.
    wider = replace(bench, recipe=replace(recipe, shares=(0.0, *recipe.shares)))
    trained, best = learn_queries(tower, wider, dense, general, limits.query)
    queries = bench.folder / "both-queries"
    save_tower(tower.tower, tower.weights(), queries)
    return Candidate(
        name="both-towers",
        what=f"both towers, passages embedded anew, fusion weight {best.choice.weight:.2f}",
        weight=best.choice.weight,
        dev=best.choice.scores,
        seconds=time.monotonic() - started,
        tried=len(recipe.shares) + 1,
        query_folder=queries,
        document_folder=documents,
        details=details(trained, best, limits.query),
    )


def _train(tower: LearningTower, bench: Bench, limits: Limits, passages: list[str]) -> Fit:
    recipe, examples = bench.recipe, bench.examples
    torch.manual_seed(recipe.seed)
    parameters = tower.parameters(freeze_words=True)
    hard = mine(bench.train_queries, bench.dense.matrix[examples.columns], examples)
    query_tokens, passage_tokens = tower.tokens(examples.texts), tower.tokens(passages)
    lengths = [max(len(passage_tokens[column]) for column in own) for own in examples.positives]
    batches = [
        (epoch, rows)
        for epoch in range(limits.epochs)
        for rows in epoch_batches(lengths, recipe.batch, seed=recipe.seed, epoch=epoch)
    ]

    rehearsal = Rehearsal(tower, size=recipe.rehearsal, seed=recipe.seed) if recipe.rehearsal else None

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
        return loss + recipe.rehearsal_weight * rehearsal.loss(step) if rehearsal else loss

    schedule = Schedule(len(batches), recipe.both_rate, limits.seconds)
    key = "both-" + checkpoint_key(bench.dense, examples, asdict(recipe), limits.epochs)
    return fit(parameters, loss_of, schedule, checkpoint=Checkpoint(bench.folder, key))


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
