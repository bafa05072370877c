"""The stage that picks what counts on the keyword side and how both sides are fused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.answer.settings import RetrievalSettings
from honed.evaluate.untuned import PLAIN, system_scores
from honed.index.lexical import LexicalSettings
from honed.roles.retriever.models import Models
from honed.roles.retriever.settings import clearly_better, tune_settings
from honed.roles.retriever.training import TrainingContext
from honed.session import Session
from honed.tuning.candidate import Candidate
from honed.tuning.role import Work
from tests.runs import opened, prepared, snapshot_of

SUBJECTS = 60


def write_beir(folder: Path, *, titles_tell: bool) -> Path:
    """Questions name a subject in passing; its document's title tells it, or the title of another document misleads.

    Every text is of the same length. Where titles mislead, a document is titled with the next one's subject.
    """
    (folder / "qrels").mkdir(parents=True)
    rng = np.random.default_rng(5)
    fillers = [f"filler{number}" for number in range(30)]
    corpus, queries, qrels = [], [], {"train": [], "dev": [], "test": []}
    for at in range(SUBJECTS):
        titled = at if titles_tell else (at + 1) % SUBJECTS
        told = "" if titles_tell else f"subject{at}x"
        noise = " ".join(f"subject{other}x" for other in rng.choice(SUBJECTS, 3)) if titles_tell else ""
        text = f"{told} {noise} {' '.join(rng.choice(fillers, 12))}"
        corpus.append({"id": f"d{at}", "title": f"subject{titled}x", "text": text})
        for turn in range(3):
            name = f"q{at}-{turn}"
            queries.append({"id": name, "text": f"what of subject{at}x {' '.join(rng.choice(fillers, 2))}"})
            split = "test" if at < 15 else "dev" if at < 30 else "train"
            qrels[split].append(f"{name}\td{at}\t1\n")
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    for split, lines in qrels.items():
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return folder


def settings_of(candidate: Candidate) -> RetrievalSettings:
    return RetrievalSettings.from_dict(candidate.values["retrieval"])


@contextmanager
def context_of(tmp_path: Path, *, titles_tell: bool) -> Iterator[tuple[Session, TrainingContext]]:
    root = prepared(tmp_path, write_beir(tmp_path / "beir", titles_tell=titles_tell))
    with opened(root) as session:
        models = Models(session, snapshot_of(session), lambda _: None)
        (tmp_path / "run").mkdir()
        yield session, models.training(Work(tmp_path / "run", 60.0, lambda _: None), models.snapshot.retrieval)


def test_titles_that_mislead_get_no_weight(tmp_path: Path) -> None:
    with context_of(tmp_path, titles_tell=False) as (_, context):
        tuned = tune_settings(context)
        assert settings_of(tuned).lexical.title_weight == 0.0
        plain = system_scores(context.fair, context.fair_queries, context.dense, PLAIN)
        assert tuned.mean >= max(float(np.nanmean(scores)) for scores in plain.values()) - 0.02


def test_titles_that_tell_get_weight(tmp_path: Path) -> None:
    with context_of(tmp_path, titles_tell=True) as (_, context):
        tuned = tune_settings(context)
        assert settings_of(tuned).lexical.title_weight > 0.0
        assert tuned.tried > 10
        plain = context.dev.primary(
            context.dev.pools(context.dev_queries, context.dense, LexicalSettings.plain()), PLAIN["bm25"].fusion
        )
        assert tuned.mean > float(np.nanmean(plain)) + 0.02


def test_a_gain_within_one_standard_error_stays_plain() -> None:
    rng, alone = np.random.default_rng(1), np.arange(400)
    plain = rng.random(400)
    assert not clearly_better(plain, plain, alone)
    assert not clearly_better(plain + rng.normal(0, 0.3, 400) * 1.0, plain + 0.05, alone)
    better = plain + rng.normal(0.1, 0.3, 400)
    assert clearly_better(better, plain, alone)
    shifts = np.array([0.5, -0.3])[np.arange(400) % 2]
    assert clearly_better(plain + shifts, plain, alone)
    assert not clearly_better(plain + shifts, plain, alone % 2), "two clusters that disagree show nothing"
    assert clearly_better(np.array([np.nan, 1.0, 0.9]), np.array([np.nan, 0.5, 0.3]), alone[:3])
    assert not clearly_better(np.array([1.0]), np.array([0.0]), alone[:1]), "one question shows nothing"


def test_settings_are_chosen_where_nothing_was_fitted(tmp_path: Path) -> None:
    with context_of(tmp_path, titles_tell=True) as (_, context):
        asked = {query.id for query in context.fair.labelled.queries}
        splits = {split: {query.id for query in labelled.queries} for split, labelled in context.task.splits.items()}
        assert asked == splits["train"] | splits["dev"]
        assert not asked & splits["test"]


def test_what_a_stage_changes_is_weighed_anew_and_words_stay(tmp_path: Path) -> None:
    with context_of(tmp_path, titles_tell=True) as (_, context):
        choice = context.weighed(context.dev_queries, context.dense)
        assert choice.retrieval.lexical == context.retrieval.lexical
        assert choice.retrieval.fusion.normalisation == context.retrieval.fusion.normalisation
        pools = context.dev.pools(context.dev_queries, context.dense, choice.retrieval.lexical)
        measured = context.dev.primary(pools, choice.retrieval.fusion)
        assert choice.mean == pytest.approx(float(np.nanmean(measured)))


def test_the_settings_are_never_worse_than_those_of_the_baseline(tmp_path: Path) -> None:
    """A search that is too cautious to move, and a baseline that somebody chose better."""
    with context_of(tmp_path, titles_tell=True) as (_, context):
        tuned = settings_of(tune_settings(context))
        cautious = replace(context, retrieval=tuned, fair=context.dev, fair_queries=context.dev_queries)
        again = tune_settings(cautious)
        pools = context.dev.pools(context.dev_queries, context.dense, tuned.lexical)
        assert again.mean >= float(np.nanmean(context.dev.primary(pools, tuned.fusion))) - 1e-9
