"""A model folder in the layout of sentence-transformers, read without running anything that is in it.

    modules.json                     which modules, in order: Transformer, Pooling, Normalize, or a Router of two towers
    config.json, model.safetensors   the encoder
    tokenizer.json                   the fast tokenizer
    1_Pooling/config.json            mean or first token
    config_sentence_transformers.json   prompts

Weights load from safetensors only. Pickles, `auto_map` and module types that are not in the list below are refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from honed.errors import InputError, MissingError
from honed.models.tower import Pooling, Tower

JSON_LIMIT = 64 * 1024 * 1024
"""The largest tokenizers in use take 20 MB."""

NEW_PATHS = {
    "Transformer": "sentence_transformers.base.modules.transformer",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling",
    "Normalize": "sentence_transformers.base.modules.normalize",
    "Router": "sentence_transformers.base.modules.router",
}
MODULE_TYPES: dict[str, str] = {
    path: name
    for name, new in NEW_PATHS.items()
    for path in (
        f"{new}.{name}",
        f"sentence_transformers.models.{name}",
        f"sentence_transformers.models.{name}.{name}",
        f"sentence_transformers.base.modules.{name}",
        f"sentence_transformers.sentence_transformer.modules.{name}",
    )
}
"""Module type as it is written (up to version 5, and in 6) -> what it is. All else is refused."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A whole model: two towers, which are the same object in the ordinary layout, and their prompts."""

    path: Path
    query: Tower
    document: Tower
    query_prompt: str
    document_prompt: str

    @property
    def digest(self) -> str:
        """sha256 over both towers and the prompts."""
        digests = {tower.path: tower.digest() for tower in (self.query, self.document)}
        parts = [digests[self.query.path], digests[self.document.path], self.query_prompt, self.document_prompt]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def digest(folder: Path) -> str:
    """sha256 of a model folder: weights, tokenizers, pooling and prompts; not its notes, names or versions."""
    return open_folder(folder).digest


def open_folder(folder: Path) -> ModelFolder:
    """Read and check a model folder. Weights are only opened, not loaded.

    Raises:
        MissingError: The folder or one of its files is not there.
        InputError: It holds pickled weights, code, or modules that are not known here.
    """
    if not folder.is_dir():
        raise MissingError(
            f"There is no model folder {folder}.", hint="give a folder in the layout of sentence-transformers"
        )
    modules = _modules(folder)
    router = next((path for kind, path in modules if kind == "Router"), None)
    if router is None:
        query = document = _tower(folder, modules)
    else:
        query, document = _routes(folder, router)
    prompts = read_object(folder / "config_sentence_transformers.json", optional=True).get("prompts") or {}
    if not isinstance(prompts, dict):
        raise InputError(f"The prompts of {folder} are not an object.")
    return ModelFolder(folder, query, document, str(prompts.get("query") or ""), str(prompts.get("document") or ""))


def read_object(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """A JSON object from a file that may come from anywhere.

    Raises:
        MissingError: It is not there (unless `optional`, which gives an empty object).
        InputError: It is too large or no JSON object.
    """
    value = _read_json(path, optional=optional)
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object.")
    return value


def _read_json(path: Path, *, optional: bool) -> Any:
    if not path.is_file():
        if optional:
            return {}
        raise MissingError(f"{path} is missing.", hint="fetch or copy the model again")
    if path.stat().st_size > JSON_LIMIT:
        raise InputError(f"{path} has more than {JSON_LIMIT // 2**20} MB.")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from error


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """Kind and path of each module. A folder without modules.json is a bare encoder, pooled by the mean."""
    entries = _read_json(folder / "modules.json", optional=True) or [
        {"type": "sentence_transformers.models.Transformer"}
    ]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{folder / 'modules.json'} is not a list of modules.")
    return [(_kind(entry.get("type")), inside(folder, entry.get("path", ""))) for entry in entries]


def _kind(written: object) -> str:
    if not isinstance(written, str) or written not in MODULE_TYPES:
        raise InputError(
            f"The model has a module of type '{written}', which is not run here.",
            hint="use a model of Transformer, Pooling and Normalize, or serve it and name it openai:MODEL@URL",
        )
    return MODULE_TYPES[written]


def inside(folder: Path, name: object) -> Path:
    """A path that a file inside `folder` names, as long as it stays inside.

    Raises:
        InputError: It is absolute or leaves the folder.
    """
    if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(f"{folder} names the path '{name}', which leaves the folder.")
    return folder / name


def _tower(folder: Path, modules: list[tuple[str, Path]]) -> Tower:
    """The tower that these modules make."""
    kinds = [kind for kind, _ in modules]
    if kinds not in (["Transformer"], ["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise InputError(f"{folder} chains {' > '.join(kinds) or 'nothing'}; a Transformer with Pooling is expected.")
    path = modules[0][1]
    config = read_object(path / "config.json")
    if "auto_map" in config:
        raise InputError(
            f"{path / 'config.json'} asks to run code that comes with the model (auto_map); it is refused."
        )
    if type(config.get("hidden_size")) is not int:
        raise InputError(f"{path / 'config.json'} does not say hidden_size as a whole number.")
    _check_files(path)
    pooling = _pooling(read_object(modules[1][1] / "config.json")) if len(modules) > 1 else "mean"
    max_tokens, lowercase = _limits(path, config)
    return Tower(path, config, pooling, max_tokens, lowercase)


def _check_files(path: Path) -> None:
    """Weights in safetensors and a fast tokenizer, or the reason why not."""
    if not (path / "model.safetensors").is_file():
        pickles = sorted(file.name for suffix in ("bin", "pt", "pth", "ckpt") for file in path.glob(f"*.{suffix}"))
        if pickles:
            raise InputError(
                f"The weights in {path} are a pickle ({pickles[0]}), which can run code when loaded; it is refused.",
                hint="use a version of the model with model.safetensors",
            )
        if (path / "model.safetensors.index.json").is_file():
            raise InputError(f"The weights in {path} are in several files; an encoder in one file is expected.")
        raise MissingError(f"{path / 'model.safetensors'} is missing.", hint="fetch or copy the model again")
    if not (path / "tokenizer.json").is_file():
        raise MissingError(
            f"{path / 'tokenizer.json'} is missing.",
            hint="save the model once with sentence-transformers, which writes the fast tokenizer",
        )


def _pooling(config: dict[str, Any]) -> Pooling:
    """Mean or first token, from the notation of version 6 or the flags before it."""
    mode = config.get("pooling_mode")
    if mode is None:
        flags = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
        names = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
        mode = names.get(flags[0], flags[0]) if len(flags) == 1 else "+".join(flags) or "mean"
    if config.get("include_prompt", True) is not True:
        raise InputError("The model leaves its prompt out of the pooling (include_prompt), which is not done here.")
    if mode == "mean" or mode == "cls":
        return "mean" if mode == "mean" else "cls"
    raise InputError(
        f"The model pools by '{mode}'; mean and cls are known.", hint="serve it and name it openai:MODEL@URL"
    )


def _limits(path: Path, config: Mapping[str, Any]) -> tuple[int, bool]:
    """Longest input in tokens, and whether text is lowercased first. As sentence-transformers resolves them."""
    settings = read_object(path / "sentence_bert_config.json", optional=True)
    for key in ("query_length", "document_length", "query_expansion"):
        if settings.get(key) is not None:
            raise InputError(f"{path / 'sentence_bert_config.json'} sets {key}, which is not known here.")
    tokenizer = read_object(path / "tokenizer_config.json", optional=True)
    try:
        positions = int(config.get("max_position_embeddings", 512))
        if config.get("model_type") in ("roberta", "xlm-roberta"):
            positions -= int(config.get("pad_token_id", 1)) + 1  # its positions begin after the padding's
        limit = min(int(settings.get("max_seq_length") or tokenizer.get("model_max_length") or positions), positions)
    except (TypeError, ValueError, OverflowError):
        limit = 0
    if limit < 3:
        raise InputError(f"{path} allows texts of {limit} tokens.")
    return limit, settings.get("do_lower_case") is True


def _routes(folder: Path, router: Path) -> tuple[Tower, Tower]:
    """The two towers of a Router."""
    config = read_object(router / "router_config.json")
    types, structure = config.get("types"), config.get("structure")
    if not isinstance(types, dict) or not isinstance(structure, dict) or not {"query", "document"} <= structure.keys():
        raise InputError(f"{router / 'router_config.json'} does not route queries and documents.")
    parameters = config.get("parameters") or {}
    if not isinstance(parameters, dict) or parameters.get("route_mappings"):
        raise InputError(f"{router / 'router_config.json'} has route mappings, which are not known here.")
    towers = []
    for route in ("query", "document"):
        names = structure[route]
        if not isinstance(names, list) or not all(isinstance(name, str) and name in types for name in names):
            raise InputError(f"{router / 'router_config.json'} names modules that it does not describe.")
        towers.append(_tower(folder, [(_kind(types[name]), inside(router, name)) for name in names]))
    query, document = towers
    if query.dimension != document.dimension:
        raise InputError(f"The towers of {folder} have {query.dimension} and {document.dimension} dimensions.")
    return query, document
