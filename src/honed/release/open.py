"""Open a release: its models, its index, its fusion. The index must be of the release's own space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from honed.answer.pictures import Eye, ImageRetriever
from honed.answer.retrieve import Retriever
from honed.catalog import Catalog, history, images
from honed.config import Settings
from honed.errors import IntegrityError, MissingError
from honed.index.generation import IndexSettings, is_older
from honed.index.images import ImageSpace, open_images
from honed.index.reader import IndexReader
from honed.index.refresh import refresh
from honed.models import registry
from honed.models.adapter import AdaptedEmbedder, read_adapter
from honed.models.vision.encoder import map_widths
from honed.models.vision.head import ImageHead, plain_head
from honed.protocols import Embedder, ImageEncoder, ImageGenerator
from honed.release.build import manifest_of, part_of, row_of
from honed.release.manifest import IMAGE_GENERATOR, IMAGE_RETRIEVER, RETRIEVER, TEXT_TO_IMAGE, Manifest
from honed.workspace import Workspace, read_json

LORA = "honed-lora"
"""`model_type` of a painter's folder that holds a LoRA for a pipeline of diffusers."""


def index_settings(settings: Settings) -> IndexSettings:
    """Index settings of a workspace."""
    return IndexSettings(language="simple" if settings.language == "simple" else "english")


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
    part = part_of(workspace, manifest, RETRIEVER)
    spec = f"folder:{part.files['model']}" if "model" in part.files else part.values["embedder"]
    embedder = load_embedder(workspace, spec, settings)
    if embedder.space != part.key:
        raise IntegrityError(
            f"The embedder '{part.values['embedder']}' is not the one that release {manifest.release} was built with.",
            hint="install the version it was built with, or `honed tune` again",
        )
    return AdaptedEmbedder(embedder, read_adapter(part.files["adapter"])) if "adapter" in part.files else embedder


def image_encoder_of(workspace: Workspace, manifest: Manifest, settings: Settings) -> ImageEncoder:
    """The image encoder of a release; the configured one where the release was made before any picture came.

    Raises:
        IntegrityError: Its weights are not those that were released.
    """
    part = part_of(workspace, manifest, IMAGE_RETRIEVER)
    spec = part.values.get("encoder", settings.image_encoder)
    spec = f"folder:{part.files['encoder']}" if "encoder" in part.files else anchored(workspace, spec)
    encoder: ImageEncoder = registry.load("image-encoder", spec, cache_dir=workspace.cache, threads=settings.threads)
    if encoder.space != part.values.get("space", encoder.space):
        raise IntegrityError(
            f"The image encoder '{part.values['encoder']}' is not the one that release {manifest.release} was built with.",
            hint="install the version it was built with, or `honed tune --role image-retriever` again",
        )
    return encoder


def image_head_of(workspace: Workspace, manifest: Manifest, encoder: ImageEncoder) -> ImageHead:
    """The image head of a release, with its text matrix where one was tuned; untuned, the last feature map as it is."""
    for role in (TEXT_TO_IMAGE, IMAGE_RETRIEVER):
        part = part_of(workspace, manifest, role)
        if "head" in part.files and part.fits(manifest.parts):
            return ImageHead.read(part.files["head"])
    return plain_head(encoder.dimension, first=map_widths(encoder)[0])


def painter_of(workspace: Workspace, manifest: Manifest, settings: Settings) -> ImageGenerator:
    """The image generator of a release; the configured one where none was tuned.

    A painter that learnt the words of another document tower draws from references and style alone.

    Raises:
        MissingError: There is none, or what it runs on is not installed.
    """
    folder = part_of(workspace, manifest, IMAGE_GENERATOR).files.get("painter")
    if folder is None:
        if not settings.image_generator:
            raise MissingError(
                "Nothing here draws pictures yet.",
                hint='honed tune --role image-generator, or image_generator = "diffusers:FOLDER" in honed.toml',
            )
        return load_generator(workspace, settings.image_generator, ip_adapter=settings.ip_adapter)
    config = read_json(folder / "config.json")
    if config.get("model_type") == LORA:
        return load_generator(workspace, config["pipeline"], lora=folder, ip_adapter=settings.ip_adapter)
    embedder = embedder_of(workspace, manifest, settings) if config.get("text_space") == manifest.space else None
    return load_generator(workspace, f"compact:{folder}", embedder=embedder)


def load_generator(workspace: Workspace, spec: str, **options: Any) -> ImageGenerator:
    """The image generator that a spec names; a relative folder lies in the workspace. Empty options are left out."""
    backend, colon, path = spec.partition(":")
    inside = workspace.root / path
    if colon and not Path(path).is_absolute() and inside.is_dir():
        spec = f"{backend}:{inside}"
    generator: ImageGenerator = registry.load(
        "image-generator", spec, **{name: value for name, value in options.items() if value}
    )
    return generator


def open_image_release(
    workspace: Workspace, catalog: Catalog, settings: Settings, name: str = "live", *, by_image: bool = False
) -> ImageRetriever:
    """The image side of a release, ready to search by text, and with `by_image` by a picture too.

    Raises:
        MissingError: Nothing is live, there are no pictures, or what sees them is missing.
    """
    text = open_release(workspace, catalog, settings, name)
    manifest = manifest_of(workspace, row_of(catalog, text.release))
    if not images.seq(catalog):
        raise MissingError("There are no pictures here.", hint="honed add PATH, or honed import DIR")
    words = manifest.parts.get(TEXT_TO_IMAGE)
    sees = words.values if words and words.fits(manifest.parts) else {}
    if not by_image and not sees:
        return ImageRetriever(text.release, text)
    encoder = image_encoder_of(workspace, manifest, settings)
    head = image_head_of(workspace, manifest, encoder)
    index = open_images(workspace.index, ImageSpace(encoder.space, head))
    if index is None:
        raise MissingError("There is no index of the pictures for this release.", hint="honed doctor --repair")
    neighbours = part_of(workspace, manifest, IMAGE_RETRIEVER).values.get("neighbours", 0)
    weight, leads = sees.get("weight", 0.0), sees.get("leads", 0)
    return ImageRetriever(text.release, text, Eye(encoder, head, index, weight, neighbours, leads))


def open_release(workspace: Workspace, catalog: Catalog, settings: Settings, name: str = "live") -> Retriever:
    """A release, ready to search.

    Raises:
        MissingError: Nothing is live, or its index is not built.
    """
    if name == "live" and history.live_release(catalog) is None:
        raise MissingError("Nothing is live yet.", hint="honed add PATH, or honed import DIR")
    manifest = manifest_of(workspace, row_of(catalog, name))
    embedder = embedder_of(workspace, manifest, settings)
    if is_older(workspace.index, manifest.space):  # made by a version before: the catalog has all that it is made of
        refresh(catalog, workspace.index, manifest.space, settings=index_settings(settings))
    reader = IndexReader(workspace.index, manifest.space, catalog)
    pool = manifest.parts[RETRIEVER].values["pool"]
    return Retriever(manifest.release, catalog, embedder, reader, manifest.retrieval, pool)
