"""Images, checked: their log of changes, their passages, and the renderings, which are made again from the originals."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from honed.catalog import Catalog, documents, history, integrity, vectors
from honed.catalog import images as records
from honed.errors import HonedError, MissingError
from honed.index.images import ImageSpace, open_images
from honed.ingest.describe import open_rendering
from honed.ingest.renderings import is_kept, keep
from honed.ingest.sandbox import Sandbox
from honed.models.probe import MIN_COSINE
from honed.models.vision.encoder import LocalImageEncoder
from honed.models.vision.head import unit
from honed.release.build import live_manifest, manifests
from honed.release.open import image_encoder_of, image_head_of
from honed.session import Session
from honed.types import Parsed
from honed.upkeep.finding import Action, Finding, plural
from honed.upkeep.truth import BACKUP, SAMPLE, log_faults
from honed.workspace import Workspace, sha256_file

SEEN_ANEW = 32
"""Pictures that `--deep` encodes again and compares with what is kept."""


def images(session: Session, *, deep: bool) -> Iterator[Finding]:
    """The catalog's rules about images, and whether every rendering is there; nothing where there are no images."""
    names = sorted(set(records.medias(session.catalog)[1]))
    broken = integrity.broken_image_rules(session.catalog)
    broken += log_faults(
        integrity.image_log(session.catalog), set(records.medias(session.catalog)[0].tolist()), 0, what="image"
    )
    for sentence in broken:
        yield Finding("images", "wrong", f"There are {sentence}.", BACKUP)
    sample = names if deep else random.sample(names, min(SAMPLE, len(names)))
    lost = _lost(session.workspace, names, sample)
    if lost:
        message = f"{plural(len(lost), 'rendering')} of images {'is' if len(lost) == 1 else 'are'} missing or damaged."
        hint = "honed doctor --repair makes those of added files again; for an image pack, honed import it again"
        yield Finding("images", "wrong", message, hint, "pictures")
    elif names and not broken:
        how = "" if len(sample) == len(names) else f", {len(sample)} of them hashed (--deep hashes all)"
        yield Finding("images", "ok", f"{plural(len(names), 'rendering')} of images kept{how}.")


def render_again(session: Session) -> list[str]:
    """Parse the originals of documents that lost a rendering; what comes out of them is the same, byte by byte."""
    names = sorted(set(records.medias(session.catalog)[1]))
    lost = _lost(session.workspace, names, names)
    for media in lost:
        session.workspace.blob(media).unlink(missing_ok=True)
    required = session.settings.sandbox_required
    with Sandbox(ocr=False, required=required) as sandbox, tempfile.TemporaryDirectory(prefix="honed-") as folder:
        for path, sha256 in _origins(session.catalog, lost):
            original = _original(session.workspace, path, sha256, Path(folder))
            parsed = sandbox.parse(original) if original else None
            if isinstance(parsed, Parsed):
                keep(session.workspace, parsed.media)
    still = sum(not is_kept(session.workspace, media) for media in lost)
    left = f"; {plural(still, 'rendering')} could not be made: import the pack again" if still else ""
    return [f"made {plural(len(lost) - still, 'rendering')} of images again{left}"]


def described_anew(session: Session) -> Iterator[Finding]:
    """Whether the live release sees: every picture described, by what its encoder gives today, and an index that is whole.

    A sample is encoded again. Loads the encoder; nothing is found where there are no pictures or no encoder.
    """
    if not len(records.medias(session.catalog)[0]):
        return
    manifest = live_manifest(session.workspace, session.catalog)
    try:
        encoder = image_encoder_of(session.workspace, manifest, session.settings)
    except MissingError as error:
        yield Finding("descriptors", "note", f"Pictures are found by their captions only: {error.message}", error.hint)
        return
    missing = len(records.missing_descriptors(session.catalog, encoder.space))
    if missing:
        message = f"{plural(missing, 'picture')} without a descriptor: found by captions only."
        yield Finding("descriptors", "unfinished", message, "honed add again, or honed doctor --deep --repair", _SEEN)
    rowids, kept = _sampled(session, encoder.space)
    if len(rowids):
        sampled = records.by_rowid(session.catalog, rowids)
        pictures = [open_rendering(session.workspace, sampled[rowid].media) for rowid in rowids.tolist()]
        least = float(np.sum(unit(encoder.encode_image(pictures)) * unit(kept), axis=1).min())
        if not least >= MIN_COSINE:
            message = f"A kept descriptor has a cosine of {least:.3f} to the one that the live encoder gives."
            hint = "honed doctor --deep --repair describes all pictures again"
            yield Finding("descriptors", "wrong", message, hint, _SEEN)
            return
        yield Finding(
            "descriptors", "ok", f"{plural(len(rowids), 'picture')} encoded anew: cosine {least:.4f} or more."
        )
    space = ImageSpace(encoder.space, image_head_of(session.workspace, manifest, encoder))
    if not missing and open_images(session.workspace.index, space, verify="hashes") is None:
        message = "The index of pictures of the live release is missing or damaged."
        yield Finding("descriptors", "unfinished", message, "honed doctor --deep --repair builds it again", _SEEN)


_SEEN: Action = "descriptors"


def _sampled(session: Session, space: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Row ids and kept descriptors of a few pictures, spread over all."""
    every = records.medias(session.catalog)[0]
    rows = np.linspace(0, len(every) - 1, min(SEEN_ANEW, len(every))).astype(np.int64)
    return records.descriptors(session.catalog, space, every[rows])


def describe_again(session: Session) -> list[str]:
    """Describe what is not described; all of the live encoder's pictures, if other descriptors come out of it now."""
    manifest = live_manifest(session.workspace, session.catalog)
    encoder = image_encoder_of(session.workspace, manifest, session.settings)
    done: list[str] = []
    if any(finding.level == "wrong" for finding in described_anew(session)):
        with session.catalog.transaction():
            vectors.forget_space(session.catalog, encoder.space)
        done.append("dropped all descriptors of the live image encoder")
    shutil.rmtree(session.workspace.index / "images", ignore_errors=True)
    session.catch_up_images(encoder, image_head_of(session.workspace, manifest, encoder), tell=done.append)
    return [*done, "built the index of pictures from nothing"]


def index_again(session: Session, tell: Callable[[str], None]) -> None:
    """Throw away what indexes remember of pictures and build the live release's from nothing; no picture is encoded."""
    shutil.rmtree(session.workspace.index / "images", ignore_errors=True)
    if not len(records.medias(session.catalog)[0]) or history.live_release(session.catalog) is None:
        return
    manifest = live_manifest(session.workspace, session.catalog)
    try:
        encoder = image_encoder_of(session.workspace, manifest, session.settings)
    except MissingError as error:
        tell(f"the index of pictures was not built again: {error.message}")
        return
    if not records.missing_descriptors(session.catalog, encoder.space):
        tell("building the index of pictures from nothing")
        session.catch_up_images(encoder, image_head_of(session.workspace, manifest, encoder), tell=tell)


def needed_eyes(session: Session) -> set[str]:
    """Names of the folders in `cache/encoders` that the image encoder of a release uses."""
    names = set()
    for manifest in manifests(session.workspace, session.catalog) if records.counts(session.catalog) else ():
        try:
            encoder = image_encoder_of(session.workspace, manifest, session.settings)
        except HonedError:  # a model that is not there now keeps nothing but its graphs, which are built again
            continue
        if isinstance(encoder, LocalImageEncoder):
            names.add(encoder.tower.digest()[:32])
    return names


def _lost(workspace: Workspace, names: list[str], hashed: list[str]) -> list[str]:
    """Media that are missing, or among the hashed ones and not what their name says."""
    check = set(hashed)
    return [
        media
        for media in names
        if not is_kept(workspace, media) or (media in check and sha256_file(workspace.blob(media)) != media)
    ]


def _origins(catalog: Catalog, lost: list[str]) -> list[tuple[str, str]]:
    """Path and sha256 of a file for each document that lost a rendering; rows of an imported pack have none."""
    origins: dict[str, tuple[str, str]] = {}
    wanted = {rowid for media in lost for rowid in records.of_media(catalog, media)}
    holders = {record.document for record in records.by_rowid(catalog, sorted(wanted)).values()}
    for path, state in documents.sources(catalog).items():
        if state.document in holders and not documents.is_imported(path, state):
            origins.setdefault(state.document, (path, state.sha256))
    return list(origins.values())


def _original(workspace: Workspace, path: str, sha256: str, folder: Path) -> Path | None:
    """The original under its own name, which says what kind of text it is."""
    kept = workspace.blob(sha256)
    if not kept.is_file():
        return None
    named = folder / sha256 / Path(path).name
    named.parent.mkdir(exist_ok=True)
    named.symlink_to(kept)
    return named
