"""Two towers in one folder that sentence-transformers loads as a Router: file copies and JSON, no torch.

    modules.json, router_config.json, config_sentence_transformers.json
    query_0_Transformer/      a whole model folder of its own (modules.json, 1_Pooling), so it can be trained further
    query_1_Pooling/  query_2_Normalize/
    document_0_Transformer/  document_1_Pooling/  document_2_Normalize/

The layout is what `Router.for_query_document` and `save` of version 6 write; what makes its encoders whole model
folders is ours, and ignored there.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from honed.errors import InputError
from honed.models.folder import NEW_PATHS, ModelFolder, open_folder
from honed.models.tower import Tower
from honed.workspace import fsync_folder, fsync_tree, write_json

ENCODER_FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "sentence_bert_config.json",
    "vocab.txt",
    "sentencepiece.bpe.model",
)
"""What an encoder consists of; code and pickles beside it are left behind."""


def save_towers(query: Path, document: Path, out: Path) -> None:
    """Write one folder from the query tower of one model and the document tower of another.

    `sentence_transformers.SentenceTransformer(out)` loads it, and its `encode_query` and `encode_document` use the two
    towers. Equal towers make an ordinary folder. The folder appears complete and durable, or not at all.

    Args:
        query: A model folder; its query tower and query prompt are taken.
        document: A model folder; its document tower and document prompt are taken.
        out: A folder that does not exist yet or is empty.

    Raises:
        InputError: `out` holds something, the dimensions differ, or a model is refused.
        MissingError: A model is not there.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} is not empty.", hint="name a new folder")
    asking, answering = open_folder(query), open_folder(document)
    if asking.query.dimension != answering.document.dimension:
        raise InputError(
            f"The towers have {asking.query.dimension} and {answering.document.dimension} dimensions; they must agree."
        )
    prompts = {"query": asking.query_prompt, "document": answering.document_prompt}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as building:
        half = Path(building) / "model"
        if asking.query.digest() == answering.document.digest():
            _write_single(answering.document, half, prompts)
        else:
            _write_router({"query": asking.query, "document": answering.document}, half, prompts)
        fsync_tree(half)
        half.chmod(0o755)
        half.replace(out)
    fsync_folder(out.parent)


def open_towers(folder: Path) -> tuple[Path, Path]:
    """The model folders of the query tower and of the document tower; twice `folder` where there is only one.

    Raises:
        InputError: A Router that was written elsewhere keeps outside of its towers what they need to stand alone.
    """
    model = open_folder(folder)
    if model.query == model.document:
        return folder, folder
    return _standing_alone(model, model.query, "query"), _standing_alone(model, model.document, "document")


def _standing_alone(model: ModelFolder, tower: Tower, role: str) -> Path:
    """The tower's own folder, if reading it alone gives the same tower and prompt."""
    alone = open_folder(tower.path)
    same_prompt = getattr(alone, f"{role}_prompt") == getattr(model, f"{role}_prompt")
    if alone.document != tower or not same_prompt:
        raise InputError(
            f"The {role} tower of {model.path} is no complete model of its own.",
            hint="write the two towers with honed, or save each as its own folder",
        )
    return tower.path


def _write_router(towers: dict[str, Tower], out: Path, prompts: dict[str, str]) -> None:
    types: dict[str, str] = {}
    structure: dict[str, list[str]] = {}
    for role, tower in towers.items():
        structure[role] = [
            f"{role}_{number}_{kind}" for number, kind in enumerate(("Transformer", "Pooling", "Normalize"))
        ]
        types |= {name: _type(name.rpartition("_")[2]) for name in structure[role]}
        encoder, pooling, normalize = structure[role]
        _write_single(tower, out / encoder, prompts)
        write_json(out / pooling / "config.json", _pooling(tower))
        write_json(out / normalize / "config.json", {})
    parameters = {"default_route": "document", "allow_empty_key": True, "route_mappings": {}}
    write_json(out / "router_config.json", {"types": types, "structure": structure, "parameters": parameters})
    write_json(out / "modules.json", [_module(0, "", "Router")])
    write_json(out / "config_sentence_transformers.json", _settings(prompts))


def _write_single(tower: Tower, out: Path, prompts: dict[str, str]) -> None:
    """An ordinary model folder with one tower."""
    out.mkdir(parents=True)
    for name in ENCODER_FILES:
        if (tower.path / name).is_file():
            shutil.copyfile(tower.path / name, out / name)
    write_json(out / "1_Pooling" / "config.json", _pooling(tower))
    write_json(out / "2_Normalize" / "config.json", {})
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    write_json(out / "modules.json", [_module(number, path, kind) for number, (kind, path) in enumerate(paths.items())])
    write_json(out / "config_sentence_transformers.json", _settings(prompts))


def _type(kind: str) -> str:
    return f"{NEW_PATHS[kind]}.{kind}"


def _module(number: int, path: str, kind: str) -> dict[str, Any]:
    return {"idx": number, "name": str(number), "path": path, "type": _type(kind)}


def _pooling(tower: Tower) -> dict[str, Any]:
    return {"embedding_dimension": tower.dimension, "pooling_mode": tower.pooling, "include_prompt": True}


def _settings(prompts: dict[str, str]) -> dict[str, Any]:
    """What sentence-transformers keeps beside the modules; without the versions, which would make copies differ."""
    return {
        "model_type": "SentenceTransformer",
        "prompts": prompts,
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
    }
