"""Release r1: the untuned system, so that search works from the first document on."""

from __future__ import annotations

from honed.answer.fusion import DEFAULT_WEIGHT
from honed.catalog import Catalog, history
from honed.config import Settings
from honed.dataset.task import load_task
from honed.evaluate.board import Board
from honed.evaluate.untuned import questions, strongest
from honed.index.generation import Generation
from honed.protocols import Embedder
from honed.release.build import build
from honed.release.parts import Parts
from honed.workspace import Workspace


def ensure_release(
    workspace: Workspace, catalog: Catalog, settings: Settings, embedder: Embedder, generation: Generation
) -> str | None:
    """Make r1 if nothing is live yet: the strongest of BM25, dense and hybrid on dev and train, or hybrid without labels.

    Returns:
        The new release's name, or None if there was one already.
    """
    if history.live_release(catalog) is not None:
        return None
    name, weight, lineage = "hybrid", DEFAULT_WEIGHT, {}
    task = load_task(catalog)
    asked = questions(task)
    if asked.queries and task.origin == "labels":
        lexical = generation.lexical.search_many(asked.texts, settings.pool)
        board = Board(task, asked, lexical, pool=settings.pool)
        untuned = strongest(board, embedder.encode_query(asked.texts), generation.dense)
        name, weight, lineage = untuned.name, untuned.weight, {"untuned": untuned.means}
    parts = Parts(
        what=f"untuned {name}",
        embedder=settings.embedder,
        space=embedder.space,
        weight=weight,
        pool=settings.pool,
        language=settings.language,
        lineage=lineage,
    )
    return build(workspace, catalog, parts, expected=None, reason="first documents")
