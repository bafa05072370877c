"""What a workspace still needs: which originals, spaces and towers some document or release refers to."""

from __future__ import annotations

from dataclasses import dataclass

from honed.catalog import Catalog
from honed.errors import HonedError
from honed.models.folder import open_folder
from honed.models.locate import locate
from honed.models.registry import parse
from honed.release.build import manifests, part_of
from honed.release.manifest import RETRIEVER
from honed.release.open import anchored
from honed.session import Session

TRIMMED = "changes_trimmed"
"""Key in `meta`: up to which number rows of the log of changes may be gone."""


@dataclass(frozen=True, slots=True)
class Original:
    """A file that was added: where it was, and its size."""

    path: str
    size: int


def original_files(catalog: Catalog) -> dict[str, Original]:
    """sha256 -> one of its sources, for every file that a document was parsed from. Rows of an import have no file."""
    rows = catalog.connection.execute(
        "SELECT s.sha256, min(s.path), s.size FROM sources s JOIN documents d ON d.id = s.document"
        " WHERE substr(s.path, -length(d.external_id) - 1) != '#' || d.external_id GROUP BY s.sha256"
    )
    return {sha256: Original(path, size) for sha256, path, size in rows}


def trimmed_to(catalog: Catalog) -> int:
    """Number up to which `compact` has dropped rows of the log of changes; 0 for none."""
    row = catalog.connection.execute("SELECT value FROM meta WHERE key = ?", (TRIMMED,)).fetchone()
    return int(row[0]) if row else 0


def unfinished_runs(catalog: Catalog) -> list[tuple[str, str]]:
    """Id and kind of the runs that began and did not end."""
    return list(catalog.connection.execute("SELECT id, kind FROM runs WHERE state = 'running' ORDER BY id"))


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
