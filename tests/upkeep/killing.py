"""Kill one command at one moment, look at everything, type the command again, look again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from honed.catalog import history
from honed.session import open_session
from tests.upkeep import world
from tests.upkeep.place import (
    BUDGET,
    Place,
    cleanliness,
    either,
    exactly,
    note,
    release_by_hand,
    violations,
)  # fmt: skip

Random = np.random.Generator


@dataclass
class Tally:
    """What happened to one command.

    Attributes:
        kills: How often the clock ran out, or the command ended first.
        hit: How often the kill met the running process.
        finished: Of those, how often the command had done all of its work and only not said so.
        resumed: How often the same command, typed again, ended as if it had never been killed.
        violations: What did not hold, in words.
        seconds: How long the latest one took that was not killed.
    """

    kills: int = 0
    hit: int = 0
    finished: int = 0
    resumed: int = 0
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0


def kill_add(place: Place, kill: dict[str, Any], random: Random, tally: Tally) -> None:
    """New, changed and removed files."""
    place.restore("tuned")
    number = int(random.integers(1000, 9999))
    for extra in range(int(random.integers(1, 4))):
        place.write_note(f"note{number + extra}.txt", note(number + extra, 0))
    changed, removed = random.choice(6, 2, replace=False)
    place.write_note(f"note{changed}.txt", note(int(changed), number))
    if random.random() < 0.5:
        (place.notes / f"note{removed}.txt").unlink()
    _kill_intake(place, ("add", place.notes), place.as_on_disk(), kill, tally)


def kill_import(place: Place, kill: dict[str, Any], random: Random, tally: Tally) -> None:
    """Rows that come and go; with a coin, the very first import."""
    if random.random() < 0.3:
        place.restore("empty")
    else:
        place.restore("tuned")
    extra = {f"x{at}": note(int(random.integers(1e6)), at) for at in range(int(random.integers(1, 30)))}
    world.write_beir(place.beir, extra=extra)
    rows = {f"d{at}": world.text(at) for at in range(len(world.PAIRS))} | extra
    notes = {name: text for name, text in place.documents.items() if name.startswith("/")}
    _kill_intake(place, ("import", place.beir), notes | rows, kill, tally)


def kill_tune(place: Place, kill: dict[str, Any], random: Random, tally: Tally, *, start: str = "fresh") -> None:
    """A whole turn that ends with a proven release, or the end of one."""
    place.restore(start)
    child = place.run("tune", "--budget", BUDGET, **kill)
    same = exactly(place.documents)
    _note(tally, child, violations(place, same, {"r1", "r2"}))
    if child.killed:
        rows = _runs(place)
        if [state for _, state in rows] == ["done"]:
            tally.finished += 1
        else:
            again = place.run("tune", "--budget", BUDGET)
            if again.code != 0:
                tally.violations.append(f"tune again: exit {again.code}: {again.errors[-300:]}")
                return
            value = again.value
            wanted = {"verdict": "proven", "release": "r2", "test_reads": 1}
            wanted |= {"run": rows[-1][0]} if rows else {}
            got = {name: value[name] for name in wanted}
            if got != wanted:
                tally.violations.append(f"tune again: {got}, expected {wanted}")
            else:
                tally.resumed += 1
    place.live = "r2"
    _one_turn(place, tally)
    _note_end(tally, place, same)


def kill_promote(place: Place, kill: dict[str, Any], random: Random, tally: Tally) -> None:
    """To any other release, also one of another space."""
    place.restore("tuned")
    target = str(random.choice([name for name in ("r1", "r2", "r3") if name != place.live]))
    _kill_switch(place, ("promote", target), target, kill, tally)


def kill_rollback(place: Place, kill: dict[str, Any], random: Random, tally: Tally) -> None:
    """To the release before."""
    place.restore("tuned")
    _kill_switch(place, ("rollback",), "r2", kill, tally)


def kill_compact(place: Place, kill: dict[str, Any], random: Random, tally: Tally) -> None:
    """With documents that were deleted before."""
    place.restore("deleted")
    same = exactly(place.documents)
    child = place.run("compact", **kill)
    _note(tally, child, violations(place, same, {place.live}))
    if child.killed:
        again = place.run("compact")
        if again.code != 0:
            tally.violations.append(f"compact again: exit {again.code}: {again.errors[-300:]}")
        else:
            tally.resumed += 1
    _note_end(tally, place, same)
    tally.violations += [f"{path} still holds a deleted word" for path in holding(place, world.MARKER)]


COMMANDS: dict[str, Callable[[Place, dict[str, Any], Random, Tally], None]] = {
    "add": kill_add,
    "import": kill_import,
    "tune": kill_tune,
    "promote": kill_promote,
    "rollback": kill_rollback,
    "compact": kill_compact,
}


def saved_states(place: Place) -> None:
    """From "fresh": "tuned" (r2 by a turn, r3 by hand), "deleted" (documents gone, not compacted), "empty" (no import yet)."""
    value = place.run("tune", "--budget", BUDGET).value
    assert value["verdict"] == "proven", value
    release_by_hand(place)
    place.save("tuned")
    for number in range(3):
        place.write_note(f"secret{number}.txt", f"The {world.MARKER}{number} is {world.MARKER} and nothing else.")
    assert place.run("add", place.notes).value["new"] == 3
    for number in range(3):
        (place.notes / f"secret{number}.txt").unlink()
    assert place.run("add", place.notes).value["removed"] == 3
    place.save("deleted")
    place.restore("fresh")
    settings = place.workspace.settings_path.read_text()
    for path in (place.workspace.catalog_path, *place.workspace.state.glob("catalog.db-*")):
        path.unlink()
    import shutil

    for folder in (place.workspace.releases, place.workspace.index, place.workspace.blobs):
        shutil.rmtree(folder)
    assert place.nursery.run("init", place.workspace.root).code == 0
    place.workspace.settings_path.write_text(settings)
    place.documents, place.live = {}, "r1"
    place.save("empty")


def holding(place: Place, word: str) -> list[str]:
    """Files of the workspace whose bytes hold a word."""
    wanted = word.encode()
    files = [path for path in place.workspace.root.rglob("*") if path.is_file()]
    return [str(path) for path in files if wanted in path.read_bytes()]


def _kill_intake(
    place: Place, command: Sequence[object], after: dict[str, str], kill: dict[str, Any], tally: Tally
) -> None:
    """`add` or `import`: old or new, document by document; then exactly the new."""
    first = not place.documents
    child = place.run(*command, **kill)
    asked = place.questions
    if first and child.killed:  # questions come in the import's last transaction
        with open_session(place.workspace) as session:
            place.questions = session.catalog.execute("SELECT count(*) FROM queries").fetchone()[0]
        if place.questions not in (0, asked):
            tally.violations.append(f"{place.questions} questions of {asked}")
    allowed = either(place.documents, after) if child.killed else exactly(after)
    live = {place.live, "rNone"} if first and child.killed else {place.live}
    _note(tally, child, violations(place, allowed, live))
    place.questions = asked
    if child.killed:
        again = place.run(*command)
        if again.code != 0:
            tally.violations.append(f"{command[0]} again: exit {again.code}: {again.errors[-300:]}")
            return
        tally.resumed += 1
    _note_end(tally, place, exactly(after))


def _kill_switch(place: Place, command: Sequence[object], target: str, kill: dict[str, Any], tally: Tally) -> None:
    """`promote` or `rollback`: the old release or the new one is live, with one row in the audit log."""
    same = exactly(place.documents)
    before = place.live
    entries = len(_audit(place))
    child = place.run(*command, **kill)
    _note(tally, child, violations(place, same, {before, target} if child.killed else {target}))
    if child.killed:
        with open_session(place.workspace) as session:
            moved = f"r{history.live_release(session.catalog)}" == target
        tally.finished += moved
        if not moved or command[0] == "promote":  # a rollback that took place would go forward again
            again = place.run(*command)
            if again.code != 0:
                tally.violations.append(f"{command[0]} again: exit {again.code}: {again.errors[-300:]}")
                return
            tally.resumed += 1
    place.live = target
    if len(_audit(place)) != entries + 1:
        tally.violations.append(f"{len(_audit(place)) - entries} rows in the audit log for one {command[0]}")
    _note_end(tally, place, same)


def _note(tally: Tally, child: Any, found: Any) -> None:
    tally.kills += 1
    tally.hit += child.killed
    tally.seconds = tally.seconds if child.killed else child.seconds
    if not child.killed and child.code != 0:
        tally.violations.append(f"exit {child.code} without a kill: {child.errors[-300:]}")
    tally.violations += list(found)


def _note_end(tally: Tally, place: Place, allowed: Any) -> None:
    tally.violations += [f"at the end: {sentence}" for sentence in cleanliness(place)]
    tally.violations += [f"at the end: {sentence}" for sentence in violations(place, allowed, {place.live})]


def _one_turn(place: Place, tally: Tally) -> None:
    """After a turn: one run, ended; one look at the test set; two releases; the result where it belongs."""
    with open_session(place.workspace) as session:
        looks = session.catalog.execute("SELECT count(*) FROM ledger").fetchone()[0]
        releases = [row.name for row in history.releases(session.catalog)]
    if looks != 1 or releases != ["r1", "r2"] or [state for _, state in _runs(place)] != ["done"]:
        tally.violations.append(f"after a turn: {looks} looks at the test, releases {releases}, runs {_runs(place)}")


def _runs(place: Place) -> list[tuple[str, str]]:
    with open_session(place.workspace) as session:
        return session.catalog.execute("SELECT id, state FROM runs ORDER BY started, id").fetchall()


def _audit(place: Place) -> list[dict[str, Any]]:
    with open_session(place.workspace) as session:
        return history.audit(session.catalog)
