"""Runs of the text retriever on the toy domain, with a tiny BERT that is really trained."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from honed.formats import read_beir
from honed.ingest.importing import import_beir
from honed.roles.retriever.recipe import Recipe
from honed.roles.retriever.role import Retriever
from honed.roles.retriever.snapshot import Snapshot
from honed.session import Session, open_session
from honed.settle import settle
from honed.tuning import run
from honed.tuning.results import Finished
from honed.tuning.role import deciding_metric
from honed.workspace import Workspace, create
from tests import toy

RECIPE = Recipe(
    batch=8, both_batch=8, query_rate=1e-2, query_epochs=40, both_rate=1e-2, both_epochs=10, adapter_epochs=10
)
"""For a model that knows nothing and is a thousandth of the size of the real one."""


def prepared(folder: Path, beir: Path) -> Path:
    """A workspace with the toy domain imported and settled."""
    model = toy.model(folder / "model")
    workspace = create(folder / "ws", f'embedder = "folder:{model}"\nthreads = 1\n')
    with open_session(workspace, create=True) as session:
        rows = read_beir(beir)
        import_beir(session.catalog, rows, passage_words=160)
        settle(session, lambda _: None, given={query.id: query.split for query in rows.queries})
    return workspace.root


def opened(root: Path) -> AbstractContextManager[Session]:
    """The workspace at a place."""
    return open_session(Workspace(root))


def tune(
    session: Session,
    *,
    budget: float = 120.0,
    tell: Callable[[str], None] = lambda _: None,
    recipe: Recipe = RECIPE,
    **options: Any,
) -> Finished | None:
    """One run of the text retriever."""
    return run.tune(session, Retriever(recipe), budget=budget, tell=tell, **options)


def finished(session: Session, **options: Any) -> Finished:
    """One run that does not stop at its plan."""
    result = tune(session, **options)
    assert result is not None
    return result


def snapshot_of(session: Session) -> Snapshot:
    """What a run would start from."""
    role = Retriever()
    settle(session, lambda _: None)
    return role.snapshot(session, deciding_metric(session, role), lambda _: None)
