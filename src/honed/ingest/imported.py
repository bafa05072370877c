"""The rows of one imported folder against what the catalog knows: new, changed, unchanged, gone, or moved here from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from honed.catalog import Catalog, documents
from honed.errors import InputError

News = Literal["new", "changed", "unchanged"]

_MARKERS = (documents.ROW, documents.ITEM)


@dataclass(slots=True)
class Imported:
    """An import under way. Rows are sources whose path is that of their table, "#" and their id."""

    prefix: str
    """What the paths of this import's rows begin with."""
    sources: dict[str, documents.SourceState]
    """Path -> state of the rows that this folder had when it was last imported."""
    elsewhere: dict[str, list[tuple[str, str]]]
    """Row id -> (path, hash) of the rows of other folders."""
    seen: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    """Rows of a folder that is not where it was, and has a row of this id here."""
    moved: set[str] = field(default_factory=set)
    """Folders that are gone and whose rows are these: one with the same content is here."""

    @classmethod
    def of(cls, catalog: Catalog, folder: Path, marker: str) -> Imported:
        """What the catalog knows of a folder and of the others; `marker` is `documents.ROW` or `documents.ITEM`."""
        prefix = f"{folder.resolve()}{marker}"
        sources: dict[str, documents.SourceState] = {}
        elsewhere: dict[str, list[tuple[str, str]]] = {}
        for path, state in documents.sources(catalog).items():
            if not documents.is_imported(path, state):
                continue
            if path.startswith(prefix):
                sources[path] = state
            else:
                elsewhere.setdefault(_table_and_id(path)[1], []).append((path, state.sha256))
        return cls(prefix, sources, elsewhere)

    def meet(self, name: str, digest: str) -> News:
        """Take note of a row that is there, by id and hash.

        Raises:
            InputError: Its id occurred before, or belongs to another row of a folder that is still there: judgements and
                groups name a document by its id, so two folders may share one only if they mean the same row.
        """
        path = self.prefix + name
        if path in self.seen:
            table = Path(self.prefix[:-1]).name
            raise InputError(f"The id '{name}' occurs twice in {table}.", hint="ids must be unique: rename one")
        for namesake, content in self.elsewhere.get(name, ()):
            self._compare(name, digest == content, namesake)
        self.seen.add(path)
        before = self.sources.get(path)
        if before is None:
            return "new"
        return "unchanged" if before.sha256 == digest else "changed"

    def gone(self) -> list[str]:
        """Paths of the rows that were there last time and are not any more."""
        return [path for path in self.sources if path not in self.seen]

    def left(self) -> Iterator[str]:
        """Paths of the rows of other folders whose place these have taken."""
        yield from self.replaced
        for rows in self.elsewhere.values():
            yield from (path for path, _ in rows if _folder(path) in self.moved)

    def _compare(self, name: str, same: bool, namesake: str) -> None:
        there = Path(_table_and_id(namesake)[0]).exists()
        if same and not there:
            self.moved.add(_folder(namesake))
        elif not same and there:
            raise InputError(
                f"The id '{name}' belongs to another document, of {_folder(namesake)}.",
                hint="import into a workspace of its own, or rename the ids",
            )
        elif not there:
            self.replaced.add(namesake)


def _table_and_id(path: str) -> tuple[str, str]:
    marker = min((marker for marker in _MARKERS if marker in path), key=path.index)
    table, _, name = path.partition(marker)
    return table + marker[:-1], name


def _folder(path: str) -> str:
    return str(Path(_table_and_id(path)[0]).parent)
