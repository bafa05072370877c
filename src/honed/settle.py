"""Derived data after documents came or went, or before a release goes live: clusters, splits, vectors, indexes."""

from __future__ import annotations

from collections.abc import Callable

from honed.catalog import history, images, vectors
from honed.dataset import prepare
from honed.dataset.images import fix_picture_splits
from honed.errors import HonedError, MissingError
from honed.ingest.neardup import near_duplicates
from honed.release.build import live_manifest, manifest_of, manifests, previous, promote, row_of
from honed.release.first import ensure_release
from honed.release.manifest import IMAGE_RETRIEVER, Manifest
from honed.release.open import embedder_of, image_encoder_of, image_head_of
from honed.session import Session
from honed.types import Split

Progress = Callable[[str], None]
"""Called with one line of progress."""


def settle(
    session: Session,
    tell: Progress,
    *,
    given: dict[str, Split | None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[str, ...]:
    """After documents came or went: clusters, splits, vectors, index, and a first release; returns notes for the user.

    Args:
        given: The splits that came with queries; those that are missing are filled in by cluster.
    """
    prepare.note_clusters(
        session.catalog, lambda texts: near_duplicates(texts, threshold=session.settings.near_duplicate)
    )
    seed = session.settings.seed
    notes = prepare.fix_splits(session.catalog, given, seed=seed) + fix_picture_splits(session.catalog, seed=seed)
    embedder = session.live_embedder()
    if session.catalog.passage_count():
        generation = session.catch_up(embedder, tell=tell, progress=progress)
        ensure_release(session.workspace, session.catalog, session.settings, embedder, generation)
        settle_images(session, live_manifest(session.workspace, session.catalog), tell, progress=progress)
    return notes


def settle_images(
    session: Session, manifest: Manifest, tell: Progress, *, progress: Callable[[int, int], None] | None = None
) -> None:
    """After pictures came or went, or before a release goes live: its descriptors and its image index."""
    if not images.seq(session.catalog):
        return
    try:
        encoder = image_encoder_of(session.workspace, manifest, session.settings)
    except MissingError as error:  # documents are not lost for want of an image encoder
        tell(f"pictures are found by their captions only: {error.message} {error.hint}")
        return
    head = image_head_of(session.workspace, manifest, encoder)
    session.catch_up_images(encoder, head, tell=tell, progress=progress)


def drop_unused_vectors(session: Session) -> int:
    """Delete vectors of spaces that no release uses; returns how many.

    None while a release cannot be read, or a run that was interrupted may go on with what it embedded.
    """
    if history.unfinished_runs(session.catalog):
        return 0
    try:
        releases = manifests(session.workspace, session.catalog)
        spaces = {manifest.space for manifest in releases}
        spaces |= {part.values["space"] for manifest in releases if (part := manifest.parts.get(IMAGE_RETRIEVER))}
        untuned = next((manifest for manifest in releases if IMAGE_RETRIEVER not in manifest.parts), None)
        if untuned and images.seq(session.catalog):
            spaces.add(image_encoder_of(session.workspace, untuned, session.settings).space)
    except HonedError:  # nobody knows what it needs; `honed doctor` names it
        return 0
    if not spaces:
        return 0
    with session.catalog.transaction():
        return vectors.keep_spaces(session.catalog, spaces)


def make_live(session: Session, name: str | None, *, reason: str) -> str:
    """Make a release live, or with None the one that was live before; its index is brought up first, so no search fails.

    Raises:
        IntegrityError: A file of the release is missing or changed.
        UsageError: There is no such release, or none to go back to.
    """
    expected = history.live_release(session.catalog)
    row = row_of(session.catalog, name) if name else previous(session.catalog)
    manifest = manifest_of(session.workspace, row)
    session.catch_up(embedder_of(session.workspace, manifest, session.settings), tell=lambda _: None)
    settle_images(session, manifest, lambda _: None)
    action = "promote" if name else "rollback"
    return promote(session.workspace, session.catalog, row.name, expected=expected, reason=reason, action=action)
