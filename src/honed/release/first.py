"""Release r1: the untuned system, so that search works from the first document on."""

from __future__ import annotations

from honed.answer.settings import RetrievalSettings
from honed.catalog import Catalog, history
from honed.config import Settings
from honed.dataset.task import load_task
from honed.evaluate.board import Board
from honed.evaluate.untuned import DEFAULT, defaults, questions, strongest
from honed.index.generation import Generation
from honed.protocols import Embedder
from honed.release.build import build
from honed.release.parts import Parts
from honed.workspace import Workspace


def ensure_release(
    workspace: Workspace, catalog: Catalog, settings: Settings, embedder: Embedder, generation: Generation
) -> str | None:
    """Make r1 if nothing is live yet: the strongest default on dev and train, or without labels that which has nothing to fit.

    Returns:
        The new release's name, or None if there was one already.
    """
    if history.live_release(catalog) is not None:
        return None
    name, retrieval, lineage = DEFAULT, RetrievalSettings(), {}
    task = load_task(catalog)
    asked = questions(task)
    if asked.queries and task.origin == "labels":
        board = Board(task, asked, generation.lexical, pool=settings.pool)
        untuned = strongest(board, embedder.encode_query(asked.texts), generation.dense, defaults())
        name, retrieval, lineage = untuned.name, untuned.retrieval, {"untuned": untuned.means}
    parts = Parts(
        what=f"untuned {name}",
        embedder=settings.embedder,
        space=embedder.space,
        retrieval=retrieval,
        pool=settings.pool,
        language=settings.language,
        lineage=lineage,
    )
    return build(workspace, catalog, parts, run=None, reason="first documents")
