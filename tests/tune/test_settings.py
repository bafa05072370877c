"""The rung that picks what counts on the keyword side and how both sides are fused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.evaluate.untuned import PLAIN, system_scores
from honed.index.lexical import LexicalSettings
from honed.roles.retriever.loop import settle, survey
from honed.session import Session, open_session
from honed.roles.retriever.bench import Bench
from honed.roles.retriever.plan import Speed
from honed.roles.retriever.settings import clearly_better, tune_settings
from honed.roles.retriever.context import Workbench
from honed.workspace import Workspace
from tests.test_loop import prepared

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


@contextmanager
def bench_of(tmp_path: Path, *, titles_tell: bool) -> Iterator[tuple[Session, Bench]]:
    root = prepared(tmp_path, write_beir(tmp_path / "beir", titles_tell=titles_tell))
    with open_session(Workspace(root)) as session:
        settle(session, lambda _: None)
        work = Workbench(session, survey(session, lambda _: None), lambda _: None)
        (tmp_path / "run").mkdir()
        yield session, work.bench(tmp_path / "run", Speed(1.0, 1.0, False))


def test_titles_that_mislead_get_no_weight(tmp_path: Path) -> None:
    with bench_of(tmp_path, titles_tell=False) as (_, bench):
        tuned = tune_settings(bench)
        assert tuned.retrieval.lexical.title_weight == 0.0
        plain = system_scores(bench.fair, bench.fair_queries, bench.dense, PLAIN)
        assert tuned.mean >= max(float(np.nanmean(scores)) for scores in plain.values()) - 0.02


def test_titles_that_tell_get_weight(tmp_path: Path) -> None:
    with bench_of(tmp_path, titles_tell=True) as (_, bench):
        tuned = tune_settings(bench)
        assert tuned.retrieval.lexical.title_weight > 0.0
        assert tuned.tried > 10
        plain = bench.dev.primary(
            bench.dev.pools(bench.dev_queries, bench.dense, LexicalSettings.plain()), PLAIN["bm25"].fusion
        )
        assert tuned.mean > float(np.nanmean(plain)) + 0.02


def test_a_gain_within_one_standard_error_stays_plain() -> None:
    rng = np.random.default_rng(1)
    plain = rng.random(400)
    assert not clearly_better(plain, plain)
    assert not clearly_better(plain + rng.normal(0, 0.3, 400) * 1.0, plain + 0.05)
    assert clearly_better(plain + rng.normal(0.1, 0.3, 400), plain)
    assert clearly_better(np.array([np.nan, 1.0, 0.9]), np.array([np.nan, 0.5, 0.3]))
    assert not clearly_better(np.array([1.0]), np.array([0.0])), "one question shows nothing"


def test_settings_are_chosen_where_nothing_was_fitted(tmp_path: Path) -> None:
    with bench_of(tmp_path, titles_tell=True) as (_, bench):
        asked = {query.id for query in bench.fair.labelled.queries}
        splits = {split: {query.id for query in labelled.queries} for split, labelled in bench.task.splits.items()}
        assert asked == splits["train"] | splits["dev"]
        assert not asked & splits["test"]


def test_what_a_rung_changes_is_weighed_anew_and_words_stay(tmp_path: Path) -> None:
    with bench_of(tmp_path, titles_tell=True) as (_, bench):
        choice = bench.weighed(bench.dev_queries, bench.dense)
        assert choice.retrieval.lexical == bench.retrieval.lexical
        assert choice.retrieval.fusion.normalisation == bench.retrieval.fusion.normalisation
        pools = bench.dev.pools(bench.dev_queries, bench.dense, choice.retrieval.lexical)
        measured = bench.dev.primary(pools, choice.retrieval.fusion)
        assert choice.mean == pytest.approx(float(np.nanmean(measured)))


def test_the_settings_are_never_worse_than_those_of_the_baseline(tmp_path: Path) -> None:
    """A search that is too cautious to move, and a baseline that somebody chose better."""
    with bench_of(tmp_path, titles_tell=True) as (_, bench):
        tuned = tune_settings(bench).retrieval
        cautious = replace(bench, retrieval=tuned, fair=bench.dev, fair_queries=bench.dev_queries)
        again = tune_settings(cautious)
        pools = bench.dev.pools(bench.dev_queries, bench.dense, tuned.lexical)
        assert again.mean >= float(np.nanmean(bench.dev.primary(pools, tuned.fusion))) - 1e-9
