"""What once broke the proof, a release or the sandbox, each as short as it gets. Fuller tests stand with the rooms."""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from honed.catalog import Catalog, history
from honed.dataset.splits import join, torn
from honed.errors import UsageError
from honed.evaluate.comparison import Measured, Questions, Trial, compare
from honed.evaluate.gate import decide
from honed.evaluate.ledger import TestSet
from honed.ingest import seccomp
from honed.ingest.confine import confine
from honed.ingest.limits import Limits
from honed.release.build import Shipment, build
from honed.runs import look_at
from honed.session import open_session
from honed.settle import settle
from honed.tuning.candidate import Candidate, cheapest
from honed.types import Split
from honed.workspace import create
from tests.catalog.make import put
from tests.ingest.test_confine import in_confinement, needs_seccomp


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "catalog.db", create=True) as opened:
        yield opened


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONED_STATE", str(tmp_path / "state"))


def asked(*questions: str) -> TestSet:
    """A test set of these questions, each a cluster."""
    return TestSet("retriever", "ndcg@10", questions, np.arange(len(questions)), (repr(questions),))


@pytest.mark.parametrize("reads", [1, 9, 10, 20])
def test_a_large_effect_is_proven_at_any_look(reads: int) -> None:
    scores = (Measured(name, {"ndcg@10": np.full(400, value)}) for name, value in (("a", 0.0), ("b", 1.0)))
    questions = Questions([str(number) for number in range(400)], np.arange(400))
    assert decide(compare(*scores, questions, metric="ndcg@10", trial=Trial(1, reads))).proven


def test_one_more_label_makes_no_used_test_set_fresh(catalog: Catalog) -> None:
    questions = tuple(f"question {number}" for number in range(500))
    reads = [look_at(catalog, asked(*questions), f"run {number}", {"n": number}).reads for number in range(6)]
    assert reads == [1, 2, 3, 4, 5, 6]
    assert look_at(catalog, asked(*questions, "one more"), "another", {}).reads == 7


def test_splits_do_not_move_when_questions_with_earlier_ids_come() -> None:
    names = [f"m{number:03d}" for number in range(300)]
    clusters = np.arange(300) // 3
    tests: list[Split | None] = ["test"] * 300
    before = join(names, [None] * 300, clusters, seed=13, brought=tests).splits
    more = [*names, *(f"a{number:03d}" for number in range(100))]
    grown = np.concatenate([clusters, np.arange(100)])
    after = join(more, [*before, *[None] * 100], grown, seed=13, brought=[*tests, *tests[:100]]).splits
    assert after[:300] == before
    assert not torn(after, grown).any()


def test_brought_splits_that_share_a_cluster_are_told() -> None:
    brought: list[Split | None] = ["train", "test", "dev", "train"]
    done = join(list("abcd"), [None] * 4, np.array([0, 0, 1, 2]), seed=1, brought=brought)
    assert "1 cluster stands in more than one split" in done.notes[0]
    assert torn(done.splits, np.array([0, 0, 1, 2])).tolist() == [True, False, False, False]


def test_dev_chooses_over_clusters_and_refuses_nothing() -> None:
    clusters = np.repeat(np.arange(2), 20)
    shift = np.where(clusters == 0, 0.3, -0.1)
    assert cheapest([np.full(40, 0.5), 0.5 + shift], clusters) == 0, "two clusters that disagree decide nothing"
    with pytest.raises(UsageError, match="Every way to tune gave up"):
        cheapest([], np.empty(0))


def test_nothing_judged_costs_no_look(catalog: Catalog) -> None:
    alone = replace(asked("one", "two"), judged=np.zeros(2, bool))
    with pytest.raises(UsageError, match="can decide anything"):
        look_at(catalog, alone, "run", {})
    assert look_at(catalog, asked("one", "two"), "run", {}).reads == 1


def test_a_release_goes_live_only_on_the_one_that_it_was_compared_with(tmp_path: Path) -> None:
    workspace = create(tmp_path / "ws", 'embedder = "hash:64"\n')
    with open_session(workspace, create=True) as session:
        put(session.catalog, "a", "a text")
        settle(session, lambda _: None)
        build(workspace, session.catalog, Shipment("by another", {}), expected=1, reason="x")
        with pytest.raises(UsageError, match="r2 went live"):
            build(workspace, session.catalog, Shipment("stale", {}), expected=1, reason="x")
        assert [row.name for row in history.releases(session.catalog)] == ["r1", "r2"]


def test_a_thread_writes_while_another_reads_in_a_snapshot(catalog: Catalog) -> None:
    with catalog.snapshot():
        thread = threading.Thread(target=history.start_run, args=(catalog, "x", "retriever", {}))
        thread.start()
        thread.join()
    assert history.unfinished_run(catalog, "retriever") == ("x", {})


def test_numbers_that_are_not_finite_can_be_written(tmp_path: Path) -> None:
    Candidate("x", "x", np.array([math.nan]), 1.0, 1, details={"loss": math.nan}).save(tmp_path)
    loaded = Candidate.load(tmp_path, "x")
    assert loaded is not None and loaded.details == {"loss": None}


@needs_seccomp
def test_a_parser_can_neither_look_up_nor_change_a_file(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    victim.chmod(0o600)
    for attempt in (lambda: victim.chmod(0o666), lambda: os.utime(victim, (0, 0)), victim.stat):
        assert in_confinement(attempt) == "PermissionError"
    assert victim.stat().st_mode & 0o777 == 0o600


@needs_seccomp
def test_a_filter_that_does_nothing_is_said_to_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "_filter", lambda *_: [])

    def measured() -> None:
        protection = confine(Limits(), server=os.getppid())
        socket.socket().close()
        assert not protection.seccomp and "no seccomp" in str(protection)

    assert in_confinement(measured) == ""
