"""How often the questions of a test set have been looked at, by any workspace of this account.

**The rule.** A verdict at look r asks for the error alpha / 2^(r - 1). Looks are counted question by question: a question has
been looked at as often as there were experiments that were decided with its help. A test set is at look 1 + n when more than
a twentieth of its questions (`IGNORED`) have been looked at n times or more. So labels that join a used test set do not make
it fresh, a handful of known questions does not spoil a large new one, and a test on questions that nobody has looked at
(`Looks.fresh`) has its full strength. A question is known by its text: other judgements, another file or another workspace
make no new one. The argument and the simulation are in `benchmarks/gate/RESULTS.md`.

The catalog keeps the looks of its own workspace. `looks.jsonl` in `$HONED_STATE` (by default `$XDG_STATE_HOME/honed` or
`~/.local/state/honed`) remembers those of all, hashes only, one line a look: throwing a workspace away, or going back to a
copy of it, makes no test set fresh again. The same experiment in another workspace (same version, recipe, data and budget: a
demo run again) is no new look, since nothing was chosen in between.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from honed.evaluate.metrics import Scores

_log = logging.getLogger(__name__)

IGNORED = 0.05
"""Share of a test set that may have been looked at more often than is counted."""

_KEY = 8  # bytes of a question's hash


@dataclass(frozen=True, slots=True, eq=False)
class TestSet:
    """The questions that a verdict is to rest on.

    Attributes:
        role: What they test: questions of another role are others.
        metric: The one that decides.
        questions: [n] what tells a question from others, for example its text.
        clusters: [n] label of each question's cluster.
        names: Hashes of the whole set with its judgements: what older ledgers know it by, the present one first.
        judged: [n] whether there is something to find for a question; None where there is for all.
        fresh_only: Whether only questions that nobody has looked at are to decide.
        proxy: Whether titles stand in for questions.
    """

    __test__ = False  # pytest takes the name for a test

    role: str
    metric: str
    questions: Sequence[str]
    clusters: NDArray[Any]
    names: tuple[str, ...]
    judged: NDArray[np.bool_] | None = None
    fresh_only: bool = False
    proxy: bool = False

    @property
    def keys(self) -> list[str]:
        """[n] hash of each question."""
        texts = (" ".join(question.split()).casefold() for question in self.questions)
        return [hashlib.sha256(f"{self.role}\0{text}".encode()).hexdigest()[: 2 * _KEY] for text in texts]


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """Earlier looks at a test set, as they count before the next one.

    Attributes:
        reads: How often it will have been looked at, this look counted.
        fresh: [n] the questions that nobody has looked at.
        judged: [n] the questions that have something to find.
        fresh_only: Whether the fresh ones alone decide.
        proxy: Whether titles stand in for questions.
    """

    reads: int
    fresh: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    fresh_only: bool = False
    proxy: bool = False

    @property
    def deciding(self) -> NDArray[np.bool_]:
        """[n] the questions that the verdict rests on."""
        return self.fresh & self.judged if self.fresh_only else self.judged

    def scores(self, scores: Mapping[str, Scores]) -> dict[str, Scores]:
        """Scores with NaN for questions that do not decide."""
        return {name: np.where(self.deciding, values, np.nan) for name, values in scores.items()}

    def trial(self) -> dict[str, Any]:
        """Arguments for the `Trial` of a comparison."""
        return {"fresh": self.fresh, "fresh_only": self.fresh_only, "proxy": self.proxy}


@dataclass(frozen=True, slots=True)
class Look:
    """One look: at which test set, by which experiment (a hash of all that it depends on), in which workspace.

    `questions` are the hashes of those that decided, one behind the other; "" in lines of older versions.
    """

    test_set: str
    experiment: str
    workspace: str
    role: str = ""
    metric: str = ""
    questions: str = ""


def count(test: TestSet, elsewhere: Iterable[Look], here: Iterable[Look] = (), noted: Iterable[Look] = ()) -> Looks:
    """How often a test set has been looked at, given every earlier look that was another one than this: see the rule.

    Args:
        test: The questions.
        elsewhere: Looks of other workspaces.
        here: Looks that this workspace's catalog holds.
        noted: Looks that the account has noted of this workspace. They count where they are more: of what was looked at in a
            copy of it, or after the backup that it was restored from, its catalog knows nothing.
    """
    keys = test.keys
    others, own, known = (_counts(keys, test.names, looks) for looks in (elsewhere, here, noted))
    counts = others + np.maximum(own, known)
    judged = np.ones(len(counts), bool) if test.judged is None else test.judged
    looks = Looks(1, counts == 0, judged, test.fresh_only, test.proxy)
    most = np.sort(counts[looks.deciding])[::-1]
    return replace(looks, reads=1 + int(most[math.floor(IGNORED * len(most))])) if len(most) else looks


def _counts(keys: Sequence[str], names: Sequence[str], looks: Iterable[Look]) -> NDArray[np.int64]:
    """[n] in how many of some looks each question was; a look that kept none was at all, if at a set of one of these names."""
    seen: Counter[str] = Counter()
    for look in looks:
        if look.questions:
            seen.update(set(split_keys(look.questions)))
        elif look.test_set in names:
            seen.update(set(keys))
    return np.array([seen[key] for key in keys], np.int64)


def split_keys(questions: str) -> list[str]:
    """The hashes of a look's questions, one by one."""
    return [questions[at : at + 2 * _KEY] for at in range(0, len(questions), 2 * _KEY)]


def ledger_path() -> Path:
    """Where this account's looks are kept."""
    if chosen := os.environ.get("HONED_STATE"):
        return Path(chosen) / "looks.jsonl"
    state = os.environ.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    return Path(state) / "honed" / "looks.jsonl"


class Noted(NamedTuple):
    """What the account remembers, a look for each experiment."""

    elsewhere: list[Look]
    here: list[Look]


def looks_noted(look: Look, *, note: bool = True) -> Noted:
    """The looks of other workspaces and those of this one, the same experiment left out.

    Where the file cannot be read or written, a warning says so and only what can be read counts.

    Args:
        look: The one that is about to be taken.
        note: Write it down first. False only reads.
    """
    path = ledger_path()
    try:
        looks = _noted(path, look) if note else _read(path)
    except OSError as error:
        _log.warning("Looks at test sets cannot be kept in %s: %s", path, error)
        try:
            looks = _read(path)
        except OSError:
            looks = []
    others = [entry for entry in looks if entry.experiment != look.experiment]
    elsewhere = [entry for entry in others if entry.workspace != look.workspace]
    return Noted(
        _by_experiment(elsewhere), _by_experiment(entry for entry in others if entry.workspace == look.workspace)
    )


def _by_experiment(looks: Iterable[Look]) -> list[Look]:
    """One look for each experiment at a test set: at all questions that it was at."""
    merged: dict[tuple[str, str], Look] = {}
    for look in looks:
        before = merged.get((look.experiment, look.test_set), look)
        questions = joined(before.questions, look.questions) if before.questions and look.questions else ""
        merged[look.experiment, look.test_set] = replace(look, questions=questions)
    return list(merged.values())


def joined(first: str, second: str) -> str:
    """The hashes of the questions of two looks, each once."""
    return "".join(dict.fromkeys((*split_keys(first), *split_keys(second))))


def _noted(path: Path, look: Look) -> list[Look]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        earlier = list(_looks(text.splitlines()))
        if look not in earlier:
            torn = text and not text.endswith("\n")
            file.write(("\n" if torn else "") + json.dumps(asdict(look)) + "\n")
            file.flush()
            os.fsync(file.fileno())
    return earlier


def _read(path: Path) -> list[Look]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return list(_looks(file))


def _looks(lines: Iterable[str]) -> Iterator[Look]:
    """The looks of a file's lines; a line that a power cut left half written is skipped."""
    for line in lines:
        try:
            yield Look(**json.loads(line))
        except (ValueError, TypeError):
            continue
