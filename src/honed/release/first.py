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
from honed.release.build import Shipment, build
from honed.release.manifest import RETRIEVER, Part
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
    labelled = questions(task)
    if labelled.queries and task.origin == "labels":
        board = Board(task, labelled, generation.lexical, pool=settings.pool)
        untuned = strongest(board, embedder.encode_query(labelled.texts), generation.dense, defaults())
        name, retrieval, lineage = untuned.name, untuned.retrieval, {"untuned": untuned.means}
    values = {
        "embedder": settings.embedder,
        "retrieval": retrieval.as_dict(),
        "pool": settings.pool,
        "language": settings.language,
    }
    shipment = Shipment(f"untuned {name}", {RETRIEVER: Part(values, key=embedder.space)}, lineage)
    return build(workspace, catalog, shipment, expected=None, reason="first documents")
