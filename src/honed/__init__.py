"""Honed turns a general RAG system into a specialist in your domain, and proves that it got better.

    from pathlib import Path

    import honed
    from honed.roles.retriever.role import Retriever
    from honed.tuning.run import tune

    workspace = honed.find(Path("clinic"))                  # made by `honed init`
    with honed.open_session(workspace) as session:
        live = honed.open_release(session.workspace, session.catalog, session.settings)
        print(honed.ask("What causes Pott disease?", live).text)

    with honed.open_session(workspace) as session:
        finished = tune(session, Retriever(), budget=600, tell=print)

These names are what a program may rely on; modules below may change. Each is loaded when it is first asked for, so
`import honed` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from honed.answer.pipeline import ask
    from honed.errors import (
        BusyError,
        CheckFailed,
        HonedError,
        InputError,
        IntegrityError,
        MissingError,
        ServiceError,
        UsageError,
    )
    from honed.protocols import Embedder, Generator, Reranker
    from honed.release.open import open_release
    from honed.session import Session, open_session
    from honed.types import Answer, Citation, Context, Document, Passage, Qrel, Query
    from honed.workspace import Workspace, find

    __version__: str

__all__ = [
    "Answer",
    "BusyError",
    "CheckFailed",
    "Citation",
    "Context",
    "Document",
    "Embedder",
    "Generator",
    "HonedError",
    "InputError",
    "IntegrityError",
    "MissingError",
    "Passage",
    "Qrel",
    "Query",
    "Reranker",
    "ServiceError",
    "Session",
    "UsageError",
    "Workspace",
    "__version__",
    "ask",
    "find",
    "open_release",
    "open_session",
]

_HOMES = {
    "answer.pipeline": "ask",
    "errors": "BusyError CheckFailed HonedError InputError IntegrityError MissingError ServiceError UsageError",
    "protocols": "Embedder Generator Reranker",
    "release.open": "open_release",
    "session": "Session open_session",
    "types": "Answer Citation Context Document Passage Qrel Query",
    "workspace": "Workspace find",
}
"""Module -> the public names in it."""


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    from importlib import import_module

    if name == "__version__":
        return import_module("importlib.metadata").version("honed")
    for module, names in _HOMES.items():
        if name in names.split():
            value = globals()[name] = getattr(import_module(f"honed.{module}"), name)
            return value
    raise AttributeError(f"module 'honed' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
