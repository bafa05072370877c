"""A release's embedder as a folder that sentence-transformers loads, with a model card that says where it comes from.

OUT/                              the embedder
OUT/images/head.safetensors       where the image side was tuned: from descriptors to vectors
OUT/images/encoder/               the image encoder, where it is an EfficientNet-Lite0; otherwise README.md names it
OUT/images/README.md              how a descriptor becomes a vector
"""

from __future__ import annotations

import shutil
from pathlib import Path

from honed.catalog import Catalog
from honed.errors import InputError, UsageError
from honed.models.locate import locate
from honed.models.registry import parse
from honed.models.towers import open_towers, save_towers
from honed.models.vision.folder import (
    MODEL_TYPE,
    ImageTower,
    package_tower,
    read_encoder_folder,
    write_encoder_folder,
)
from honed.release.build import manifest_of, row_of
from honed.release.manifest import ImageSide, Manifest
from honed.release.open import anchored
from honed.workspace import Workspace, write_atomic

IMAGES = "images"


def export_embedder(workspace: Workspace, catalog: Catalog, name: str, out: Path) -> str:
    """Write the embedder of a release, and its image side if that was tuned, into a new folder; returns the release's name.

    Raises:
        UsageError: The release's embedder is a service, or has a query-side matrix, which the format cannot hold.
        InputError: The folder exists.
    """
    row = row_of(catalog, name)
    manifest = manifest_of(workspace, row)
    if out.exists():
        raise InputError(f"{out} exists already.", hint="name a folder that does not exist yet")
    if manifest.adapter:
        raise UsageError(
            f"Release {row.name} moves its queries by a query-side matrix, which the format cannot hold.",
            hint="export a release with a tuned tower, or search through honed",
        )
    inside = workspace.releases / row.name / manifest.embedder
    if not inside.is_dir():
        parsed = parse("embedder", anchored(workspace, manifest.embedder))
        if parsed.backend not in ("package", "folder", "hub"):
            raise UsageError(f"The embedder '{manifest.embedder}' of {row.name} is not a model folder.")
        inside = locate(parsed)
    query, document = open_towers(inside)
    save_towers(query, document, out)
    if manifest.images and manifest.images.head:
        _export_images(workspace, manifest, out / IMAGES)
    write_atomic(out / "README.md", _card(manifest).encode())
    return row.name


def _export_images(workspace: Workspace, manifest: Manifest, out: Path) -> None:
    """The tuned image side of a release."""
    side = manifest.images
    assert side is not None
    folder = workspace.releases / manifest.release
    out.mkdir()
    shutil.copyfile(folder / side.head, out / "head.safetensors")
    tower = _tower(workspace, folder, side.encoder)
    if tower:
        write_encoder_folder(out / "encoder", tower.tensors(), tower.config)
    write_atomic(out / "README.md", _image_card(side, inside=tower is not None).encode())


def _tower(workspace: Workspace, folder: Path, spec: str) -> ImageTower | None:
    """The image encoder of the release in `folder`; None for one that is no EfficientNet-Lite0."""
    if (folder / spec).is_dir():
        return read_encoder_folder(folder / spec)
    parsed = parse("image-encoder", anchored(workspace, spec))
    if parsed.backend == "folder":
        return read_encoder_folder(Path(parsed.name).expanduser())
    return package_tower() if parsed.backend == MODEL_TYPE else None


def _image_card(side: ImageSide, *, inside: bool) -> str:
    """How to use the head without Honed."""
    encoder = (
        "`encoder/` (config.json: preparation and pooling; model.safetensors: the state dict of an EfficientNet-Lite0)"
        if inside
        else f"the image encoder `{side.encoder}`"
    )
    expansion = (
        f"\nIn Honed a query by picture is first moved towards its {side.neighbours} nearest pictures: "
        "`unit(query + sum(score ** 3 * vector))`.\n"
        if side.neighbours
        else ""
    )
    return f"""# Pictures to vectors

A descriptor is what {encoder} gives for a picture, raw. The head makes a unit vector of it; the dot product of two is their
likeness.

```python
import numpy as np
from safetensors.numpy import load_file

head = load_file("head.safetensors")


def vectors(descriptors):  # [n, d] float32 -> [n, m]
    moved = (descriptors - head["centre"]) @ head["matrix"]
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)
```
{expansion}
Where `text_matrix` is there, `text_vectors @ head["text_matrix"]`, brought to unit length, lies in the same space; the text
vectors are those of `encode_document` of the embedder beside this folder.
"""


def _card(manifest: Manifest) -> str:
    """A model card with the proof in it."""
    test = manifest.lineage.get("test")
    proof = "It is the untuned model."
    if test:
        low, high = test["ci95"]
        proof = (
            f"Held-out test, {test['metric']}: {test['base']:.3f} before, {test['candidate']:.3f} after "
            f"(95% CI of the difference {low:+.3f} to {high:+.3f}, p = {test['p']:.3g})."
        )
    return (
        "---\nlibrary_name: sentence-transformers\npipeline_tag: sentence-similarity\ntags:\n- honed\n---\n\n"
        f"# Release {manifest.release}\n\n{manifest.what}. {proof}\n\n"
        "Use `encode_query` for questions and `encode_document` for passages: the towers may differ.\n\n"
        f"Honed searches with {manifest.retrieval}.\n"
    )
