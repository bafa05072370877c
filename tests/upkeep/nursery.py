"""A process that has loaded the libraries and forks a child for each `honed ...`, so that a kill falls on work, not on imports.

The child is what the console script is: `honed.cli.main()` with these arguments, in a session of its own, its output in a
file. It is killed with SIGKILL after a given time, or at a given failpoint.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LIGHT = (
    "honed.cli",
    "honed.settle",
    "honed.ingest.sync",
    "honed.upkeep.repair",
    "honed.upkeep.compact",
    "faiss",
    "tantivy",
)
HEAVY = (*LIGHT, "torch", "transformers", "scipy.stats", "matplotlib.figure", "onnxruntime", "openvino", "onnx",
         "honed.roles.retriever.role", "honed.roles.retriever.stages", "honed.tuning.run", "honed.tuning.results")  # fmt: skip
SMALL = (("honed.ingest.sync", "COMMIT_FILES", 1), ("honed.ingest.importing", "COMMIT_ROWS", 16),
         ("honed.ingest.embed", "BATCH", 16), ("honed.train.fit", "CHECKPOINT_SECONDS", 0.3))  # fmt: skip
"""Small batches, so that a small workspace has as many moments between two commits as a large one."""
RECIPE = {"batch": 16, "replay": 0, "adapter_epochs": 20, "adapter_rate": 3e-3, "query_epochs": 4,
          "query_rate": 1e-2, "both_epochs": 3, "both_rate": 1e-2}  # fmt: skip
"""For a model that knows nothing and is a thousandth of the size of the real one."""


@dataclass(frozen=True)
class Child:
    """How a command ended.

    Attributes:
        code: Exit status, or minus the signal.
        seconds: Wall time.
        text: What it wrote to stdout.
        errors: What it wrote to stderr.
    """

    code: int
    seconds: float
    text: str
    errors: str

    @property
    def killed(self) -> bool:
        """Whether the kill hit the running process."""
        return self.code == -signal.SIGKILL

    @property
    def value(self) -> dict[str, Any]:
        """The JSON object that it printed."""
        assert self.code == 0, f"exit {self.code}: {self.errors}"
        found: dict[str, Any] = json.loads(self.text.splitlines()[-1])
        return found


class Nursery:
    """The harness's end. Use it as a context manager."""

    def __init__(self, modules: Sequence[str] = LIGHT, *, nice: int = 0) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
        environment |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.upkeep.nursery", json.dumps(modules), str(nice)],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments: object, kill_after: float | None = None, failpoint: int = 0, since: str = "") -> Child:
        """Run one command.

        Args:
            arguments: As typed after `honed`.
            kill_after: Seconds until SIGKILL.
            failpoint: Number of the call of fsync, replace, rename or COMMIT that kills the process, counted once before
                and once after each.
            since: "module:function" whose call starts the count; from the beginning without it.
        """
        request = {"arguments": [str(word) for word in arguments], "kill_after": kill_after}
        request |= {"failpoint": failpoint, "since": since}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the nursery itself ended with {self._process.wait()}")
        return Child(**json.loads(answer))

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


def serve(modules: Sequence[str]) -> None:
    """The nursery's own loop: a request a line on stdin, an answer a line on stdout."""
    for name in modules:
        importlib.import_module(name)
    for name, attribute, value in SMALL:
        if name in sys.modules:
            setattr(sys.modules[name], attribute, value)
    if "honed.roles.retriever.models" in sys.modules:
        models = importlib.import_module("honed.roles.retriever.models")
        models.Recipe = functools.partial(models.Recipe, **RECIPE)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(asdict(_raise_child(request))), flush=True)


def _raise_child(request: dict[str, Any]) -> Child:
    outputs = [os.memfd_create(name) for name in ("stdout", "stderr")]
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _live(request, outputs)
    code = _wait(pid, started, request["kill_after"])
    seconds = time.monotonic() - started
    texts = []
    for fd in outputs:
        with os.fdopen(fd, "rb") as file:
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    return Child(code, seconds, *texts)


def _wait(pid: int, started: float, kill_after: float | None) -> int:
    """Exit status of a child, killed if it lives too long."""
    while kill_after is not None:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() - started >= kill_after:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.0005)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _live(request: dict[str, Any], outputs: list[int]) -> None:
    """The child's life; it does not return."""
    code = 70
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(outputs[0], 1)
        os.dup2(outputs[1], 2)
        os.chdir("/")
        if request["failpoint"]:
            arm(request["failpoint"], request["since"])
        sys.argv = ["honed", *request["arguments"]]
        importlib.import_module("honed.cli").main()
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _when_called(name: str, act: Callable[[], None]) -> None:
    """Do something each time that "module:function" is called."""
    module, _, function = name.partition(":")
    place = importlib.import_module(module)
    call = getattr(place, function)

    def called(*arguments: Any, **options: Any) -> Any:
        act()
        return call(*arguments, **options)

    setattr(place, function, called)


def arm(number: int, since: str = "") -> None:
    """Make the n-th moment before or after an fsync, a rename or a COMMIT the last one of this process."""
    moments = itertools.count(1)
    counting = [not since]

    def moment() -> None:
        if counting[0] and next(moments) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    if since:
        _when_called(since, lambda: counting.__setitem__(0, True))

    @contextlib.contextmanager
    def between() -> Iterator[None]:
        moment()
        yield
        moment()

    def guarded(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            with between():
                return call(*arguments, **options)

        return called

    for name in ("fsync", "replace", "rename"):
        setattr(os, name, guarded(getattr(os, name)))

    class Connection(sqlite3.Connection):
        def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
            if statement != "COMMIT":
                return super().execute(statement, *parameters)
            with between():
                return super().execute(statement, *parameters)

    connect = sqlite3.connect
    sqlite3.connect = lambda *arguments, **options: connect(*arguments, factory=Connection, **options)  # type: ignore[assignment]


if __name__ == "__main__":
    os.nice(int(sys.argv[2]))
    serve(json.loads(sys.argv[1]))
