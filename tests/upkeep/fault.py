"""A fault on purpose: a document is committed before its passages. Loaded into a nursery, it must be found."""

from __future__ import annotations

import json
from collections.abc import Sequence

from honed.catalog import Catalog, documents
from honed.types import Document, Passage, Removal

_INSERT = (
    "INSERT INTO passages (id, document, ordinal, title, headings, text, page, text_hash) VALUES (?,?,?,?,?,?,?,?)"
)
_whole = documents.add


def in_two_commits(
    catalog: Catalog, document: Document, passages: Sequence[Passage], removals: Sequence[Removal] = ()
) -> None:
    """As `documents.add`, in two transactions."""
    _whole(catalog, document, (), removals)
    run = catalog.execute
    run("COMMIT")
    run("BEGIN IMMEDIATE")
    (key,) = run("SELECT rowid FROM documents WHERE id = ?", (document.id,)).fetchone()
    for p in passages:
        headings = json.dumps(p.headings, ensure_ascii=False)
        run(_INSERT, (p.id, key, p.ordinal, p.title, headings, p.text, p.page, documents.text_hash(p)))


documents.add = in_two_commits
