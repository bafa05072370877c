"""The workspace that commands are killed in, saved in the states that they start from, and what must hold after a kill."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from honed.catalog import documents, history
from honed.evaluate.untuned import PLAIN
from honed.release.build import Shipment, build, live_manifest
from honed.release.manifest import RETRIEVER, Part
from honed.release.open import load_embedder, open_release
from honed.session import Session, open_session
from honed.upkeep.doctor import examine
from honed.workspace import Workspace
from tests.upkeep import world
from tests.upkeep.nursery import Child, Nursery

Allowed = Mapping[str, set[str | None]]
"""External id -> the texts that a document may have; None: it may be absent."""

BUDGET = "120s"


@dataclass
class Place:
    """A workspace at a fixed path, with its inputs, and copies of it in earlier states.

    Attributes:
        documents: External id -> text: what was acknowledged.
        live: Name of the release that was acknowledged as live.
    """

    root: Path
    nursery: Nursery
    documents: dict[str, str]
    live: str = ""
    questions: int = 0
    saved: dict[str, tuple[dict[str, str], str]] = field(default_factory=dict)

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root / "ws")

    @property
    def notes(self) -> Path:
        return self.root / "notes"

    @property
    def beir(self) -> Path:
        return self.root / "beir"

    def run(self, *arguments: object, **kill: Any) -> Child:
        """`honed -w ws ... --json`, killed as `Nursery.run` says."""
        return self.nursery.run("-w", self.workspace.root, *arguments, "--json", **kill)

    def save(self, name: str) -> None:
        """Keep workspace, inputs and what was acknowledged under a name."""
        for part in ("ws", "notes", "beir"):
            _copy(self.root / part, self.root / "saved" / name / part)
        self.saved[name] = (dict(self.documents), self.live)

    def restore(self, name: str) -> None:
        """Go back to a saved state."""
        for part in ("ws", "notes", "beir"):
            _copy(self.root / "saved" / name / part, self.root / part)
        kept, self.live = self.saved[name]
        self.documents = dict(kept)

    def write_note(self, name: str, text: str) -> None:
        """A file that `add` will find."""
        self.notes.mkdir(exist_ok=True)
        (self.notes / name).write_text(text + "\n")

    def as_on_disk(self) -> dict[str, str]:
        """What the documents have to be when `add` has ended: imported rows, and the notes that lie there."""
        imported = {name: text for name, text in self.documents.items() if not name.startswith("/")}
        return imported | {str(path): path.read_text().strip() for path in sorted(self.notes.glob("*.txt"))}


def prepare(root: Path, nursery: Nursery, *, embedder: str = "") -> Place:
    """A workspace with an imported corpus and a few notes, saved as "fresh"."""
    place = Place(root, nursery, {})
    world.write_beir(place.beir)
    place.questions = len((place.beir / "queries.jsonl").read_text().splitlines())
    for number in range(6):
        place.write_note(f"note{number}.txt", note(number, 0))
    assert nursery.run("init", place.workspace.root).code == 0
    embedder = embedder or f"folder:{world.model(root / 'model')}"
    # The tiny model knows nothing of the world, so it has nothing to forget.
    settings = f'embedder = "{embedder}"\nthreads = 1\nmax_general_drop = 0.9\n'
    place.workspace.settings_path.write_text(settings)
    assert place.run("import", place.beir).code == 0
    assert place.run("add", place.notes).value["new"] == 6
    place.documents = {f"d{at}": world.text(at) for at in range(len(world.PAIRS))}
    place.documents = place.as_on_disk()
    place.live = "r1"
    place.save("fresh")
    return place


def note(number: int, version: int) -> str:
    """A text that no other note has."""
    return f"Harbour note {number} says tide{number}v{version} comes at noon. The pilot of ship{number} waits for it."


def release_by_hand(place: Place, spec: str = "") -> None:
    """One more release in a space of its own, live: with a model of its own, or with the embedder that `spec` names."""
    with place.workspace.writing(), open_session(place.workspace) as session:
        folder = None if spec else world.model(place.root / "other", seed=5)
        embedder = load_embedder(place.workspace, spec or f"folder:{folder}", session.settings)
        session.catch_up(embedder, tell=lambda _: None)
        values = {**live_manifest(place.workspace, session.catalog).parts[RETRIEVER].values, "embedder": spec}
        text = Part(values, {"model": folder} if folder else {}, embedder.space)
        place.live = build(
            place.workspace,
            session.catalog,
            Shipment("by hand", {RETRIEVER: text}),
            expected=history.live_release(session.catalog),
            reason="for the test",
        )
    # One note more: the releases before now lack a vector, and their index is behind, so promoting them has work to do.
    place.write_note(f"after-{place.live}.txt", note(70 + int(place.live[1:]), 0))
    assert place.run("add", place.notes).value["new"] == 1
    place.documents = place.as_on_disk()


def violations(place: Place, allowed: Allowed, live: set[str]) -> Iterator[str]:
    """What must hold at every moment, and does not, as sentences."""
    with open_session(place.workspace) as session:
        yield from _documents(session, allowed)
        number = history.live_release(session.catalog)
        if f"r{number}" not in live:
            yield f"r{number} is live, expected {sorted(live)}"
        count = session.catalog.execute("SELECT count(*) FROM queries").fetchone()[0]
        if count != place.questions:
            yield f"{count} questions, expected {place.questions}"
        if number is not None:
            yield from _searches(session, allowed)
    checkup = examine(place.workspace, deep=True, surroundings=False)
    for finding in checkup.wrong:
        yield f"doctor: {finding.check}: {finding.message}"
    for finding in checkup.findings:
        if finding.level == "unfinished" and not (finding.repair or finding.check in ("runs", "releases")):
            yield f"doctor: {finding.check}: {finding.message} (nothing to do about it)"


def cleanliness(place: Place) -> Iterator[str]:
    """What is not spotless after a command has ended, once leftovers are cleared away."""
    checkup = examine(place.workspace, deep=True, surroundings=False)
    if any(finding.repair for finding in checkup.findings):
        child = place.run("doctor", "--repair", "--deep")
        if child.code != 0:
            yield f"doctor --repair: exit {child.code}: {child.errors}"
        checkup = examine(place.workspace, deep=True, surroundings=False)
    for finding in checkup.findings:
        if finding.level in ("wrong", "unfinished"):
            yield f"after repair: {finding.check}: {finding.message}"


def exactly(texts: Mapping[str, str]) -> Allowed:
    """These documents and no others."""
    return {name: {text} for name, text in texts.items()}


def either(before: Mapping[str, str], after: Mapping[str, str]) -> Allowed:
    """Each document as it was, or as it will be."""
    return {name: {before.get(name), after.get(name)} for name in before.keys() | after.keys()}


def _documents(session: Session, allowed: Allowed) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for _, name, passage in documents.passages(session.catalog):
        found.setdefault(name, []).append(passage.text)
    # An older state of a changed file may lie beside the new one until the next `add`: same id, whole texts both.
    for name, texts in found.items():
        if name not in allowed:
            yield f"{name} came from nowhere"
        elif not set(texts) <= allowed[name]:
            yield f"{name} is neither old nor new: {texts}"
    for name, versions in allowed.items():
        if name not in found and None not in versions:
            yield f"{name} was acknowledged and is gone"


def _searches(session: Session, allowed: Allowed) -> Iterator[str]:
    """Every tenth document that was acknowledged and did not change is found by its own words."""
    retriever = open_release(session.workspace, session.catalog, session.settings).under(PLAIN["bm25"])
    for name, texts in sorted(allowed.items())[::10]:
        (text,) = texts if len(texts) == 1 else ("",)
        if not text:
            continue
        if text not in [context.passage.text for context in retriever.search(text, 20)]:
            yield f"{name} is not found by its own words"


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    if source.is_dir():
        shutil.copytree(source, target)
