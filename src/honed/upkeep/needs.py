"""What a workspace still needs: which originals, spaces and towers some document or release refers to."""

from __future__ import annotations

from honed.errors import HonedError
from honed.models.folder import open_folder
from honed.models.locate import locate
from honed.models.registry import parse
from honed.release.build import manifests, part_of
from honed.release.manifest import RETRIEVER
from honed.release.open import anchored
from honed.session import Session


def needed_spaces(session: Session) -> set[str]:
    """Spaces of all releases, or of the configured embedder while there is none.

    Raises:
        HonedError: A release cannot be read, so nobody knows what it needs.
    """
    spaces = {manifest.space for manifest in manifests(session.workspace, session.catalog)}
    return spaces or {session.live_embedder().space}


def needed_towers(session: Session) -> set[str]:
    """Names of the folders in `cache/encoders` that a release, or the configured embedder, uses.

    Raises:
        HonedError: A release cannot be read.
    """
    specs = {session.settings.embedder}
    for manifest in manifests(session.workspace, session.catalog):
        part = part_of(session.workspace, manifest, RETRIEVER)
        specs.add(f"folder:{part.files['model']}" if "model" in part.files else part.values["embedder"])
    names = set()
    for spec in specs:
        parsed = parse("embedder", anchored(session.workspace, spec))
        if parsed.backend not in ("package", "folder", "hub"):
            continue
        try:
            opened = open_folder(locate(parsed))
        except HonedError:  # a model that is not there now keeps nothing but its graphs, which are built again
            continue
        names |= {tower.digest()[:32] for tower in (opened.query, opened.document)}
    return names
