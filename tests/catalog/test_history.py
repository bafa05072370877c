from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from honed.catalog import Catalog, history
from honed.errors import UsageError


def release(catalog: Catalog, *, live: bool = True) -> int:
    """Record the next release, and make it live."""
    number = history.next_release_number(catalog)
    with catalog.transaction():
        history.add_release(catalog, number, f"sha-{number}", run=None, note=f"note {number}")
        if live:
            history.switch_live(catalog, "release", history.live_release(catalog), number, "why")
    return number


def switch(catalog: Catalog, target: int, action: str = "promote") -> None:
    with catalog.transaction():
        history.switch_live(catalog, action, history.live_release(catalog), target, "why")


def test_numbers_are_never_used_twice(catalog: Catalog) -> None:
    assert history.next_release_number(catalog) == 1
    assert [release(catalog), release(catalog)] == [1, 2]
    with catalog.transaction():
        catalog.execute("DELETE FROM live")
        catalog.execute("DELETE FROM releases")
    assert history.next_release_number(catalog) == 3


def test_one_release_is_live(catalog: Catalog) -> None:
    assert history.live_release(catalog) is None
    release(catalog)
    release(catalog, live=False)
    assert [(row.name, row.live) for row in history.releases(catalog)] == [("r1", True), ("r2", False)]
    switch(catalog, 2)
    assert [(row.name, row.live) for row in history.releases(catalog)] == [("r1", False), ("r2", True)]
    with pytest.raises(sqlite3.IntegrityError):
        switch(catalog, 9)
    assert history.live_release(catalog) == 2


def test_a_rollback_goes_where_the_audit_log_says(catalog: Catalog) -> None:
    assert history.previous_live(catalog) is None
    release(catalog)
    assert history.previous_live(catalog) is None
    release(catalog)
    release(catalog)
    assert history.previous_live(catalog) == 2
    switch(catalog, 2, "rollback")
    assert history.previous_live(catalog) == 1, "a second rollback goes one step further back"
    assert [(row["action"], row["before"], row["after"]) for row in history.audit(catalog)] == [
        ("release", None, 1),
        ("release", 1, 2),
        ("release", 2, 3),
        ("rollback", 3, 2),
    ]


def test_a_stale_switch_is_refused_and_leaves_no_trace(catalog: Catalog) -> None:
    release(catalog)
    release(catalog)
    for expected, words in ((1, "r2 went live while this ran, which started from r1"), (None, "from no release")):
        with pytest.raises(UsageError, match=words), catalog.transaction():
            history.switch_live(catalog, "promote", expected, 1, "stale")
    assert (history.live_release(catalog), len(history.audit(catalog))) == (2, 2)


def test_of_many_that_switch_at_once_one_wins(tmp_path: Path, catalog: Catalog) -> None:
    for _ in range(4):
        release(catalog, live=False)
    switch(catalog, 1)
    outcomes: list[str] = []
    ready = threading.Barrier(3)

    def race(target: int) -> None:
        with Catalog(catalog.path) as own:
            ready.wait()
            try:
                with own.transaction():
                    history.switch_live(own, "promote", 1, target, "race")
                outcomes.append("won")
            except UsageError:
                outcomes.append("lost")

    racers = [threading.Thread(target=race, args=(target,)) for target in (2, 3, 4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(outcomes) == ["lost", "lost", "won"]
    assert history.audit(catalog)[-1]["after"] == history.live_release(catalog)


def test_looks_at_a_test_set_are_counted_once_a_run(catalog: Catalog) -> None:
    def looks(test_set: str, run: str, role: str = "retriever") -> int:
        history.note_look(catalog, history.LookRow(test_set, run, role, "ndcg@10", "ab"), everything="ab")
        return len(history.looks(catalog, role))

    assert [looks("t", run) for run in ("a", "b", "a")] == [1, 2, 2]
    assert looks("other", "a") == 3
    assert looks("t", "c", "text-to-image") == 1
    assert {row.metric for row in history.looks(catalog, "retriever")} == {"ndcg@10"}


def test_an_interrupted_run_is_found_again(catalog: Catalog) -> None:
    assert history.unfinished_run(catalog, "tune") is None
    history.start_run(catalog, "one", "tune", {"budget": 1})
    assert history.unfinished_run(catalog, "tune") == ("one", {"budget": 1})
    assert history.unfinished_run(catalog, "other") is None
    with catalog.transaction():
        history.end_run(catalog, "one", "done", {"verdict": "proven"})
    assert history.unfinished_run(catalog, "tune") is None
    history.start_run(catalog, "one", "tune", {"budget": 2})
    assert history.unfinished_run(catalog, "tune") == ("one", {"budget": 1}), "a resumed run keeps its settings"
    history.start_run(catalog, "two", "tune", {})
    with catalog.transaction():
        history.end_run(catalog, "two", "done", {})
    assert history.unfinished_run(catalog, "tune") is None, "only the newest one counts"
