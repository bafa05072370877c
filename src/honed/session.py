"""An open workspace: paths, settings, catalog. What every command starts from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from honed import config
from honed.catalog import Catalog, history
from honed.catalog.images import CatalogImages
from honed.config import Settings
from honed.index.generation import Generation, IndexSettings
from honed.index.images import ImageGeneration, ImageSpace, refresh_images
from honed.index.refresh import refresh
from honed.ingest.describe import describe_missing
from honed.ingest.embed import Progress, embed_missing
from honed.models.locate import locate
from honed.models.registry import parse
from honed.models.vision.head import ImageHead
from honed.protocols import Embedder, ImageEncoder
from honed.release.build import live_manifest, part_of
from honed.release.manifest import RETRIEVER
from honed.release.open import anchored, embedder_of, index_settings, load_embedder
from honed.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Session:
    """One command's view of a workspace."""

    workspace: Workspace
    settings: Settings
    catalog: Catalog

    def live_embedder(self) -> Embedder:
        """The live release's embedder, or the configured one while nothing is live."""
        if history.live_release(self.catalog) is None:
            return load_embedder(self.workspace, self.settings.embedder, self.settings)
        return embedder_of(self.workspace, live_manifest(self.workspace, self.catalog), self.settings)

    def catch_up(
        self, embedder: Embedder, *, tell: Callable[[str], None], progress: Progress | None = None
    ) -> Generation:
        """Embed what has no vector in the embedder's space and bring the index up to the catalog."""
        count = embed_missing(self.catalog, embedder, on_progress=progress)
        if count:
            tell(f"embedded {count:,} passages")
        return refresh(self.catalog, self.workspace.index, embedder.space, settings=self.index_settings)

    def catch_up_images(
        self, encoder: ImageEncoder, head: ImageHead, *, tell: Callable[[str], None], progress: Progress | None = None
    ) -> ImageGeneration:
        """Describe what the encoder has not seen and bring the image index of a head up to the catalog."""
        count = describe_missing(self.workspace, self.catalog, encoder, on_progress=progress)
        if count:
            tell(f"described {count:,} pictures")
        return refresh_images(CatalogImages(self.catalog), self.workspace.index, ImageSpace(encoder.space, head))

    @property
    def index_settings(self) -> IndexSettings:
        """How this workspace wants its indexes built."""
        return index_settings(self.settings)

    def base_folder(self) -> Path | None:
        """Folder of the live release's model, which tuning starts from; None for one that cannot be trained here."""
        spec = self.settings.embedder
        if history.live_release(self.catalog) is not None:
            part = part_of(self.workspace, live_manifest(self.workspace, self.catalog), RETRIEVER)
            if "model" in part.files:
                return part.files["model"]
            spec = part.values["embedder"]
        parsed = parse("embedder", anchored(self.workspace, spec))
        return locate(parsed) if parsed.backend in ("package", "folder", "hub") else None


@contextmanager
def open_session(workspace: Workspace, *, create: bool = False) -> Iterator[Session]:
    """Open a workspace for the length of a block.

    Raises:
        UsageError: The settings are wrong.
        MissingError: There is no catalog yet.
    """
    settings = config.load(workspace).settings
    with Catalog(workspace.catalog_path, create=create) as catalog:
        yield Session(workspace, settings, catalog)
