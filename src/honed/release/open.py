"""Open a release: its models, its index, its fusion. The index must be of the release's own space."""

from __future__ import annotations

from pathlib import Path

from honed.answer.retrieve import Retriever
from honed.catalog import Catalog, history
from honed.config import Settings
from honed.errors import IntegrityError, MissingError
from honed.index.reader import IndexReader
from honed.models import registry
from honed.models.adapter import AdaptedEmbedder, read_adapter
from honed.protocols import Embedder
from honed.release.build import manifest_of, row_of
from honed.release.manifest import Manifest
from honed.workspace import Workspace


def anchored(workspace: Workspace, spec: str) -> str:
    """A spec whose model folder lies in the workspace, by its full path: commands run from anywhere, and workspaces move."""
    path = spec.removeprefix("folder:")
    inside = workspace.root / path
    relative = (path != spec or "/" in spec) and not Path(path).is_absolute()
    return f"folder:{inside}" if relative and inside.is_dir() else spec


def load_embedder(workspace: Workspace, spec: str, settings: Settings) -> Embedder:
    """The embedder that a spec names, with the workspace's cache."""
    spec = anchored(workspace, spec)
    embedder: Embedder = registry.load("embedder", spec, cache_dir=workspace.cache, threads=settings.threads)
    return embedder


def embedder_of(workspace: Workspace, manifest: Manifest, settings: Settings) -> Embedder:
    """The embedder of a release, adapter included.

    Raises:
        IntegrityError: Its weights are not those that were released.
    """
    folder = workspace.releases / manifest.release
    inside = folder / manifest.embedder
    spec = f"folder:{inside}" if manifest.files and inside.is_dir() else manifest.embedder
    embedder = load_embedder(workspace, spec, settings)
    if embedder.space != manifest.space:
        raise IntegrityError(
            f"The embedder '{manifest.embedder}' is not the one that release {manifest.release} was built with.",
            hint="install the version it was built with, or `honed tune` again",
        )
    return AdaptedEmbedder(embedder, read_adapter(folder / manifest.adapter)) if manifest.adapter else embedder


def open_release(workspace: Workspace, catalog: Catalog, settings: Settings, name: str = "live") -> Retriever:
    """A release, ready to search.

    Raises:
        MissingError: Nothing is live, or its index is not built.
    """
    if name == "live" and history.live_release(catalog) is None:
        raise MissingError("Nothing is live yet.", hint="honed add PATH, or honed import DIR")
    manifest = manifest_of(workspace, row_of(catalog, name))
    embedder = embedder_of(workspace, manifest, settings)
    reader = IndexReader(workspace.index, manifest.space, catalog)
    return Retriever(manifest.release, catalog, embedder, reader, manifest.weight, manifest.pool)
