"""Pictures that HTML and Markdown refer to by path: taken if they lie in the folder that was added, read in the sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from honed.ingest.codes import MACHINE, as_evidence
from honed.ingest.sandbox import Sandbox
from honed.types import Parsed, Picture, Rejection


def with_linked_pictures(parsed: Parsed, path: Path, roots: Sequence[str], sandbox: Sandbox) -> Parsed | Rejection:
    """A document with the pictures that it links to, as figures; "links" is gone from its metadata.

    A rejection only if the machine was too short of something to read them: then the document waits for them.

    Args:
        parsed: As the sandbox gave it: the links are a hostile document's word.
        path: Where the document lies.
        roots: What was added. A link that leads out of each of them is left alone, so that no document can make a file
            its own that the user did not mean to add.
    """
    if "links" not in parsed.meta:
        return parsed
    meta = {key: value for key, value in parsed.meta.items() if key != "links"}
    wanted = [(file, words) for link, *words in _links(parsed) if (file := _inside(path.parent / link, roots))]
    outcomes = sandbox.parse_pictures([file for file, _ in wanted])
    media: list[Picture] = []
    for (_, (caption, near)), (_, outcome) in zip(wanted, outcomes, strict=True):
        if isinstance(outcome, Rejection) and outcome.code == MACHINE:
            return outcome
        if isinstance(outcome, Parsed) and isinstance(as_evidence(outcome), Parsed):
            media += [
                replace(picture, kind="figure", caption=caption or picture.caption, near=near)
                for picture in outcome.media[:1]
            ]
    return replace(parsed, meta=meta, media=(*parsed.media, *media))


def _links(parsed: Parsed) -> list[list[str]]:
    links = parsed.meta["links"]
    rows = links if isinstance(links, list) else []
    return [
        row
        for row in rows
        if isinstance(row, list) and len(row) == 3 and all(isinstance(word, str) for word in row) and "\0" not in row[0]
    ]


def _inside(file: Path, roots: Sequence[str]) -> Path | None:
    """The file, if it is one of an added folder that is no hidden one."""
    try:
        real = file.resolve()
        if not real.is_file():
            return None
    except (OSError, RuntimeError, ValueError):
        return None
    for root in map(Path, roots):
        if real != root and real.is_relative_to(root):
            return None if any(part.startswith(".") for part in real.relative_to(root).parts) else real
    return None
