"""What surrounds a workspace: Python, packages, the parsers' sandbox, the model and the runtime that was chosen for it."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterator

from honed.catalog import history
from honed.models.embedder import LocalEmbedder
from honed.models.folder import open_folder
from honed.models.probe import probe
from honed.models.text_encoder import TextEncoder
from honed.release.build import live_manifest
from honed.release.manifest import RETRIEVER
from honed.release.open import embedder_of, load_embedder
from honed.session import Session
from honed.upkeep.finding import Finding, Level

OLDEST, NEWEST = (3, 11), (3, 13)


def python() -> Iterator[Finding]:
    """The interpreter, the packages that are always needed, and each extra."""
    version = ".".join(map(str, sys.version_info[:3]))
    supported = OLDEST <= sys.version_info[:2] <= NEWEST
    yield Finding(
        "python",
        "ok" if supported else "wrong",
        f"Python {version}.",
        "" if supported else "make an environment with Python 3.11, 3.12 or 3.13",
    )
    needed, extras = _requirements()
    missing = [name for name in needed if not _installed(name)]
    if missing:
        hint = f"pip install {' '.join(missing)}"
        yield Finding("packages", "wrong", f"Not installed: {', '.join(missing)}.", hint)
    for extra, names in extras.items():
        missing = [name for name in names if not _installed(name)]
        if missing:
            hint = f"pip install 'honed[{extra}]'"
            yield Finding(f"extra {extra}", "note", f"Not installed: {', '.join(missing)}.", hint)
        else:
            yield Finding(f"extra {extra}", "ok", "Installed.")


def sandbox() -> Iterator[Finding]:
    """What holds a hostile file back on this machine, as a child of the parsers' server measured it."""
    from honed.ingest.sandbox import Sandbox

    with Sandbox() as parser:
        protection = parser.protection
    hint = 'allow seccomp and Landlock in this container, or set sandbox = "optional" and add only files that you trust'
    level: Level = "ok" if protection.whole else "wrong"
    yield Finding("sandbox", level, f"In force: {protection}.", "" if protection.whole else hint)


def model(session: Session) -> Iterator[Finding]:
    """The live release's embedder, by its digest, and the runtime that encodes documents with it.

    Raises:
        HonedError: It is missing, is not the released one, or its server does not answer.
    """
    if history.live_release(session.catalog) is None:
        load_embedder(session.workspace, session.settings.embedder, session.settings)
        yield Finding("model", "ok", f"'{session.settings.embedder}' is there; nothing is live yet.")
        return
    manifest = live_manifest(session.workspace, session.catalog)
    embedder = embedder_of(session.workspace, manifest, session.settings)
    part = manifest.parts[RETRIEVER]
    named = "its own model" if "model" in part.files else f"'{part.values['embedder']}'"
    yield Finding("model", "ok", f"Release {manifest.release} uses {named}, and its digest is the released one.")
    inner = getattr(embedder, "inner", embedder)
    if isinstance(inner, LocalEmbedder):
        encoder = TextEncoder(open_folder(inner.folder).document)
        choice = probe(encoder, session.workspace.cache, threads=session.settings.threads, only_cached=True)
        if choice is None:
            yield Finding("runtime", "ok", "Not measured yet: the first 256 new passages will decide.")
        else:
            speed = choice.per_second[choice.runtime]
            cosine = choice.mean_cosine[choice.runtime]
            yield Finding(
                "runtime", "ok", f"{choice.runtime}: {speed:,.0f} texts/s, cosine {cosine:.4f} to float32, by probe."
            )


def _requirements() -> tuple[list[str], dict[str, list[str]]]:
    """Names of the packages that are always needed, and of those of each extra, as the installed package states them."""
    try:
        lines = importlib.metadata.requires("honed") or []
    except importlib.metadata.PackageNotFoundError:
        return [], {}
    needed: list[str] = []
    extras: dict[str, list[str]] = {}
    for line in lines:
        name = re.match(r"[A-Za-z0-9._-]+", line)
        extra = re.search(r"extra == ['\"]([^'\"]+)", line)
        if name and extra:
            extras.setdefault(extra[1], []).append(name[0])
        elif name and ";" not in line:
            needed.append(name[0])
    return needed, extras


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
