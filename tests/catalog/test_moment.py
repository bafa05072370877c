"""What came and went since somebody looked."""

from __future__ import annotations

from honed.catalog import Catalog, images, judgements
from honed.catalog.moment import moment, since
from honed.types import Qrel, Query
from tests.catalog.make import drop, put


def label(catalog: Catalog, name: str, document: str) -> None:
    with catalog.transaction():
        judgements.add(catalog, [Query(name, f"question {name}")], [Qrel(name, document)], origin="labels")


def test_nothing_is_news_where_nothing_changed(catalog: Catalog) -> None:
    put(catalog, "a", "one")
    label(catalog, "q", "a")
    then = moment(catalog)
    label(catalog, "q", "a")
    assert since(catalog, then) == (0, 0, 0)


def test_documents_questions_and_pictures_are_counted(catalog: Catalog) -> None:
    for name in ("a", "b", "c"):
        put(catalog, name)
    label(catalog, "kept", "a")
    label(catalog, "changed", "a")
    then = moment(catalog)
    drop(catalog, "c")
    put(catalog, "d")
    put(catalog, "e")
    label(catalog, "changed", "b")
    label(catalog, "new", "d")
    with catalog.transaction():
        images.set_groups(catalog, [("e", "group", "", "train")])
    assert since(catalog, then) == (2, 1, 3)
    assert (then.live, len(then.documents)) == (None, 3)
