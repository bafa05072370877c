"""Measuring pictures is what the run did: same boards, same descriptors, same numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.catalog import Catalog, images
from honed.errors import UsageError
from honed.formats import write_trec
from honed.roles.image_retriever.role import ImageRetriever
from honed.roles.image_retriever.systems import test_set as picture_set
from honed.runs import look_at
from honed.session import Session
from honed.tuning.measure import compare_systems, measure
from honed.tuning.results import Finished
from tests.roles.image_retriever.test_role import finished, pack, session

__all__ = ["finished", "pack", "session"]

ROLE = ImageRetriever()


def test_measures_what_the_run_measured(finished: Finished, session: Session) -> None:
    evaluation = finished.evaluation
    for system, release, tested in (
        ("untuned", "r1", evaluation.base),
        ("live", "r2", evaluation.candidate),
        ("r2", "r2", evaluation.candidate),
    ):
        value = measure(session, ROLE, system, "test")
        means = {name: round(float(np.nanmean(scores)), 4) for name, scores in tested.scores.items()}
        assert value["metrics"] == means
        assert (value["release"], value["system"], value["queries"], value["clusters"]) == (release, system, 60, 20)
    dev = measure(session, ROLE, "live", "dev")["metrics"]["recall@1"]
    assert dev == pytest.approx(finished.chosen.mean, abs=1e-4)


def test_compares_as_the_gate_did_and_counts_the_look(finished: Finished, session: Session) -> None:
    comparison, verdict = compare_systems(session, ROLE, "untuned", "live", "test")
    assert comparison.test_reads == finished.comparison.test_reads + 1
    assert comparison.primary.delta == pytest.approx(finished.comparison.primary.delta)
    assert verdict.proven
    again, _ = compare_systems(session, ROLE, "live", "live", "test")
    assert again.test_reads == comparison.test_reads + 1
    assert again.primary.delta == 0
    before = compare_systems(session, ROLE, "untuned", "live", "dev")[0]
    assert before.test_reads == 1, "dev is no test"
    assert compare_systems(session, ROLE, "live", "untuned", "test")[0].test_reads == again.test_reads + 1


def test_a_ranking_gives_the_same_numbers_to_others(finished: Finished, session: Session, tmp_path: Path) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    write_trec(tmp_path / "run.trec", ROLE.rankings(session, "live", "test", 1000), "honed")
    with (tmp_path / "run.trec").open() as file:
        ranking = pytrec_eval.parse_run(file)
    groups = {member.external_id: member.group for member in images.groups(session.catalog, "test")}
    qrels = {
        name: {other: 1 for other in groups if other != name and groups[other] == group}
        for name, group in groups.items()
    }
    scores = pytrec_eval.RelevanceEvaluator(qrels, {"success", "map"}).evaluate(ranking)
    assert len(scores) == len(groups) == 60
    values = measure(session, ROLE, "live", "test")["metrics"]
    for ours, theirs in (("recall@1", "success_1"), ("recall@10", "success_10"), ("map", "map")):
        assert values[ours] == pytest.approx(math.fsum(query[theirs] for query in scores.values()) / 60, abs=1e-4)
    short = ROLE.rankings(session, "live", "test", 3)
    assert {len(hits) for hits in short.values()} == {3}
    assert all(query not in [name for name, _ in hits] for query, hits in short.items())


def test_a_test_set_is_known_by_what_belongs_together(finished: Finished, session: Session) -> None:
    """That other groups came or went before it makes no test set fresh."""
    gallery = ROLE.snapshot(session, "recall@1", lambda _: None).gallery
    before = look_at(session.catalog, picture_set(gallery, "test", "recall@1", fresh_only=False), "one", {"a": 1})
    task = gallery.task
    splits = {split: replace(pictures, groups=pictures.groups + 5) for split, pictures in task.splits.items()}
    everything = replace(task.everything, groups=task.everything.groups + 5)
    moved = replace(gallery, task=replace(task, splits=splits, everything=everything))
    test = picture_set(moved, "test", "recall@1", fresh_only=False)
    assert look_at(session.catalog, test, "two", {"a": 1}).reads == before.reads + 1
    assert look_at(session.catalog, test, "two", {"a": 1}).reads == before.reads + 1, "a run that goes on is one look"


def test_what_cannot_be_measured(session: Session, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no split"):
        measure(session, ROLE, "live", "final")
    with pytest.raises(UsageError):
        measure(session, ROLE, "bm25", "test")
    with pytest.raises(UsageError, match="at least 1"):
        ROLE.rankings(session, "live", "test", 0)
    with Catalog(tmp_path / "catalog.db", create=True) as empty, pytest.raises(UsageError, match="no groups") as raised:
        measure(Session(session.workspace, session.settings, empty), ROLE, "live", "test")
    assert "--by-folder" in raised.value.hint
