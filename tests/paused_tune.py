"""A run in a process of its own that stops at a line of progress until it is told to go on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from honed.session import open_session
from honed.tuning.results import result
from honed.workspace import Workspace
from tests.runs import finished


def main(root: str, at: str) -> None:
    stopped = False

    def tell(line: str) -> None:
        nonlocal stopped
        if line.startswith(at) and not stopped:
            stopped = True
            print("paused", flush=True)
            sys.stdin.readline()

    with open_session(Workspace(Path(root))) as session:
        print(json.dumps(result(finished(session, budget=600.0, tell=tell))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
