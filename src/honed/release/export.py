"""A release's embedder as a folder that sentence-transformers loads, with a model card that says where it comes from."""

from __future__ import annotations

from pathlib import Path

from honed.catalog import Catalog
from honed.errors import InputError, UsageError
from honed.models.locate import locate
from honed.models.registry import parse
from honed.models.towers import open_towers, save_towers
from honed.release.build import manifest_of, row_of
from honed.release.manifest import Manifest
from honed.release.open import anchored
from honed.workspace import Workspace, write_atomic


def export_embedder(workspace: Workspace, catalog: Catalog, name: str, out: Path) -> str:
    """Write the embedder of a release into a new folder; returns the release's name.

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
    write_atomic(out / "README.md", _card(manifest).encode())
    return row.name


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
        f"In Honed the vector side counts {manifest.weight:.2f} and BM25 {1 - manifest.weight:.2f}.\n"
    )
