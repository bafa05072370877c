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
from honed.release.build import manifest_of, part_of, row_of
from honed.release.manifest import IMAGE_RETRIEVER, RETRIEVER, TEXT_TO_IMAGE, Manifest, Part
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
    part = part_of(workspace, manifest, RETRIEVER)
    if "adapter" in part.files:
        raise UsageError(
            f"Release {row.name} moves its queries by a query-side matrix, which the format cannot hold.",
            hint="export a release with a tuned tower, or search through honed",
        )
    inside = part.files.get("model")
    if inside is None:
        spec = part.values["embedder"]
        parsed = parse("embedder", anchored(workspace, spec))
        if parsed.backend not in ("package", "folder", "hub"):
            raise UsageError(f"The embedder '{spec}' of {row.name} is not a model folder.")
        inside = locate(parsed)
    query, document = open_towers(inside)
    save_towers(query, document, out)
    images = part_of(workspace, manifest, IMAGE_RETRIEVER)
    words = part_of(workspace, manifest, TEXT_TO_IMAGE)
    head = words.files.get("head") or images.files.get("head")
    if head:
        _export_images(workspace, images, head, out / IMAGES)
    write_atomic(out / "README.md", _card(manifest).encode())
    return row.name


def _export_images(workspace: Workspace, part: Part, head: Path, out: Path) -> None:
    """The tuned image side of a release."""
    out.mkdir()
    shutil.copyfile(head, out / "head.safetensors")
    tower = _tower(workspace, part)
    if tower:
        write_encoder_folder(out / "encoder", tower.tensors(), tower.config)
    write_atomic(out / "README.md", _image_card(part, inside=tower is not None).encode())


def _tower(workspace: Workspace, part: Part) -> ImageTower | None:
    """The image encoder of a release; None for one that is no EfficientNet-Lite0."""
    if "encoder" in part.files:
        return read_encoder_folder(part.files["encoder"])
    parsed = parse("image-encoder", anchored(workspace, part.values["encoder"]))
    if parsed.backend == "folder":
        return read_encoder_folder(Path(parsed.name).expanduser())
    return package_tower() if parsed.backend == MODEL_TYPE else None


def _image_card(part: Part, *, inside: bool) -> str:
    """README on how to use the head without Honed."""
    neighbours = part.values["neighbours"]
    encoder = (
        "`encoder/` (config.json: preparation and pooling; model.safetensors: the state dict of an EfficientNet-Lite0)"
        if inside
        else f"the image encoder `{part.values['encoder']}`"
    )
    expansion = (
        f"\nIn Honed a query by picture is first moved towards its {neighbours} nearest pictures: "
        "`unit(query + sum(score ** 3 * vector))`.\n"
        if neighbours
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
        f"In Honed its results are joined with those of keywords: {manifest.retrieval}.\n"
    )
