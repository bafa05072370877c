"""A turn in a process of its own that stops at a line of progress until it is told to go on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from honed.roles.retriever.loop import tune
from honed.session import open_session
from honed.tuning.results import result
from honed.roles.retriever.bench import Recipe
from honed.workspace import Workspace

RECIPE = Recipe(
    batch=8, both_batch=8, query_rate=1e-2, query_epochs=40, both_rate=1e-2, both_epochs=10, adapter_epochs=10
)
"""For a model that knows nothing and is a thousandth of the size of the real one."""


def main(root: str, at: str) -> None:
    stopped = False

    def tell(line: str) -> None:
        nonlocal stopped
        if line.startswith(at) and not stopped:
            stopped = True
            print("paused", flush=True)
            sys.stdin.readline()

    with open_session(Workspace(Path(root))) as session:
        turn = tune(session, budget=600.0, tell=tell, recipe=RECIPE)
        assert turn is not None
        print(json.dumps(result(turn)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
