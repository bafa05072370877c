"""Measuring pictures is what the turn did: same boards, same descriptors, same numbers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="tuning needs the extra: pip install 'honed[tune]'")

from honed.catalog import Catalog, images
from honed.dataset.images import load_image_task
from honed.errors import UsageError
from honed.formats import write_trec
from honed.roles.image_retriever.systems import compare_images, image_rankings, measure_images, pictures_set
from honed.runs import look_at
from honed.session import Session
from honed.tuning.nouns import ImageTurn
from tests.imaging.test_retriever import pack, session, turn

__all__ = ["pack", "session", "turn"]


def test_measures_what_the_turn_measured(turn: ImageTurn, session: Session) -> None:
    exam = turn.exam
    for system, release, paper in (
        ("untuned", "r1", exam.base),
        ("live", "r2", exam.candidate),
        ("r2", "r2", exam.candidate),
    ):
        value = measure_images(session, system, "test")
        assert value["metrics"] == {name: round(float(np.nanmean(scores)), 4) for name, scores in paper.scores.items()}
        assert (value["release"], value["system"], value["queries"], value["clusters"]) == (release, system, 60, 20)
    assert measure_images(session, "live", "dev")["metrics"]["recall@1"] == pytest.approx(turn.chosen.mean, abs=1e-4)


def test_compares_as_the_gate_did_and_counts_the_look(turn: ImageTurn, session: Session) -> None:
    comparison, verdict = compare_images(session, "untuned", "live", "test")
    assert comparison.test_reads == turn.comparison.test_reads + 1
    assert comparison.primary.delta == pytest.approx(turn.comparison.primary.delta)
    assert verdict.proven
    again, _ = compare_images(session, "live", "live", "test")
    assert again.test_reads == comparison.test_reads + 1
    assert again.primary.delta == 0
    before = compare_images(session, "untuned", "live", "dev")[0]
    assert before.test_reads == 1, "dev is no test"
    assert compare_images(session, "live", "untuned", "test")[0].test_reads == again.test_reads + 1


def test_a_ranking_gives_the_same_numbers_to_others(turn: ImageTurn, session: Session, tmp_path: Path) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    write_trec(tmp_path / "run.trec", image_rankings(session, "live", "test", 1000), "honed")
    with (tmp_path / "run.trec").open() as file:
        run = pytrec_eval.parse_run(file)
    groups = {one.external_id: one.group for one in images.groups(session.catalog, "test")}
    qrels = {
        name: {other: 1 for other in groups if other != name and groups[other] == group}
        for name, group in groups.items()
    }
    found = pytrec_eval.RelevanceEvaluator(qrels, {"success", "map"}).evaluate(run)
    assert len(found) == len(groups) == 60
    values = measure_images(session, "live", "test")["metrics"]
    for ours, theirs in (("recall@1", "success_1"), ("recall@10", "success_10"), ("map", "map")):
        assert values[ours] == pytest.approx(math.fsum(one[theirs] for one in found.values()) / 60, abs=1e-4)
    short = image_rankings(session, "live", "test", 3)
    assert {len(ranking) for ranking in short.values()} == {3}
    assert all(query not in [name for name, _ in ranking] for query, ranking in short.items())


def test_a_test_set_is_known_by_what_belongs_together(turn: ImageTurn, session: Session) -> None:
    """That other groups came or went before it makes no test set fresh."""
    pictures = load_image_task(session.catalog, seed=session.settings.seed).splits["test"]
    experiment = {"what": "here"}
    before = look_at(session.catalog, pictures_set(session, pictures), "one", experiment).reads
    moved = type(pictures)(
        pictures.rowids, pictures.ids, pictures.groups + 5, pictures.variants, pictures.titles, pictures.keywords
    )
    test = pictures_set(session, moved)
    assert look_at(session.catalog, test, "two", experiment).reads == before + 1
    assert look_at(session.catalog, test, "two", experiment).reads == before + 1, "a run that goes on is the same look"


def test_what_cannot_be_measured(session: Session, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no split"):
        measure_images(session, "live", "final")
    with pytest.raises(UsageError):
        measure_images(session, "bm25", "test")
    with pytest.raises(UsageError, match="at least 1"):
        image_rankings(session, "live", "test", 0)
    with Catalog(tmp_path / "catalog.db", create=True) as empty, pytest.raises(UsageError, match="no groups") as raised:
        measure_images(Session(session.workspace, session.settings, empty), "live", "test")
    assert "--by-folder" in raised.value.hint
