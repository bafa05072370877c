"""`honed doctor`: one examination of everything, in the order in which one thing rests on another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from honed import config
from honed.catalog import Catalog, StorageError
from honed.catalog import history as records
from honed.errors import HonedError
from honed.release.build import live_manifest
from honed.release.open import embedder_of
from honed.session import Session
from honed.upkeep import derived, environment, history, pictures, truth
from honed.upkeep.finding import Checkup, Finding
from honed.upkeep.leftovers import leftovers
from honed.upkeep.needs import needed_spaces
from honed.workspace import Workspace

Check = Callable[[], Iterator[Finding]]


def examine(workspace: Workspace, *, deep: bool = False, surroundings: bool = True) -> Checkup:
    """Look at everything; nothing is changed, and nothing that is found raises.

    Args:
        deep: Hash every original instead of a sample, and encode some passages and pictures anew.
        surroundings: Also look at Python, packages and sandbox.
    """
    findings: list[Finding] = []
    if surroundings:
        findings += _guarded("python", environment.python)
        findings += _guarded("sandbox", environment.sandbox)
    settings: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        try:
            loaded = config.load(workspace)
            settings = {
                name: {"value": getattr(loaded.settings, name), "origin": origin}
                for name, origin in loaded.origins.items()
            }
            findings.append(_settings(settings))
            catalog = stack.enter_context(Catalog(workspace.catalog_path))
        except (HonedError, OSError, ValueError) as error:
            findings.append(_wrong("settings" if not settings else "catalog", error))
            return Checkup(findings, settings)
        for name, check in _checks(Session(workspace, loaded.settings, catalog), deep):
            findings += _guarded(name, check)
    return Checkup(findings, settings)


def _checks(session: Session, deep: bool) -> Iterator[tuple[str, Check]]:
    """The checks of an open workspace by name, truth first."""
    catalog = session.catalog
    yield "catalog", lambda: truth.integrity(catalog)
    yield "rules", lambda: truth.rules(catalog)
    yield "blobs", lambda: truth.blobs(session, deep=deep)
    yield "images", lambda: pictures.images(session, deep=deep)
    yield "releases", lambda: history.releases(session)
    yield "model", lambda: environment.model(session)
    if _live_space(session):
        yield "vectors", lambda: derived.vectors(session, _live_space(session))
        if deep:
            yield "vectors", lambda: derived.encoded_anew(session, _live_embedder(session))
            yield "descriptors", lambda: pictures.described_anew(session)
        yield "index", lambda: derived.index(session, _live_space(session))
        yield "index", lambda: derived.other_indexes(session, needed_spaces(session) - {_live_space(session)})
    yield "cache", lambda: derived.cache(session)
    yield "runs", lambda: history.runs(session)
    yield "leftovers", lambda: leftovers(session)


def _live_space(session: Session) -> str:
    """Space of the live release; "" if nothing is live or its manifest cannot be read, which `releases` tells."""
    try:
        live = records.live_release(session.catalog)
        return live_manifest(session.workspace, session.catalog).space if live is not None else ""
    except (HonedError, OSError, ValueError, TypeError, StorageError):
        return ""


def _live_embedder(session: Session) -> Any:
    return embedder_of(session.workspace, live_manifest(session.workspace, session.catalog), session.settings)


def _settings(settings: dict[str, dict[str, Any]]) -> Finding:
    own = [
        f"{name} = {item['value']!r} ({item['origin']})"
        for name, item in settings.items()
        if item["origin"] != "default"
    ]
    return Finding("settings", "ok", f"{'; '.join(own) or 'all'}{'; the others' if own else ''} at their defaults.")


def _guarded(name: str, check: Check) -> list[Finding]:
    """What a check finds; if it cannot be done, that is a finding."""
    findings = []
    try:
        for finding in check():
            findings.append(finding)
    except (HonedError, OSError, ValueError, TypeError, StorageError) as error:
        findings.append(_wrong(name, error))
    return findings


def _wrong(name: str, error: Exception) -> Finding:
    if isinstance(error, HonedError):
        return Finding(name, "wrong", error.message, error.hint)
    hint = truth.BACKUP if isinstance(error, StorageError) else ""
    return Finding(name, "wrong", f"It cannot be checked: {error}.", hint)
