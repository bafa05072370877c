"""After `compact` no byte of the workspace holds what was deleted, and everything else is as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from honed.catalog import Catalog, judgements
from honed.catalog.integrity import trimmed_to
from honed.dataset.prepare import add_proxy
from honed.errors import BusyError
from honed.evaluate.report import Case, Hit, write_report
from honed.index.reader import IndexReader
from honed.release.open import open_release
from honed.session import open_session
from honed.types import Query
from honed.upkeep.compact import Compacted, compact
from honed.upkeep.doctor import examine
from honed.upkeep.reports import GONE
from honed.workspace import Workspace
from tests.evaluate.test_report import report

Home = tuple[Workspace, Path, Callable[[], None]]
CANARY = "canaryxq"


def run(workspace: Workspace) -> Compacted:
    with workspace.writing(), open_session(workspace) as session:
        return compact(session, lambda _: None)


def holding(workspace: Workspace, word: str = CANARY) -> list[str]:
    """Files below the workspace whose bytes hold a word."""
    files = [path for path in workspace.root.rglob("*") if path.is_file()]
    return [str(path.relative_to(workspace.root)) for path in files if word.encode() in path.read_bytes()]


def found(workspace: Workspace, text: str) -> list[str]:
    with open_session(workspace) as session:
        retriever = open_release(workspace, session.catalog, session.settings)
        return [Path(context.external_id).name for context in retriever.search(text, 3)]


def sound(workspace: Workspace) -> bool:
    findings = examine(workspace, deep=True, surroundings=False).findings
    return {finding.level for finding in findings} <= {"ok", "note"}


@pytest.fixture
def deleted(home: Home) -> Home:
    """Two files were deleted, a third one lost a sentence, and the last index was a delta that still holds their words."""
    workspace, folder, add = home
    for number in range(30):
        (folder / f"harbour{number}.md").write_text(f"# Harbour {number}\n\nThe tide{number} comes at noon.\n")
    add()
    (folder / "secret.md").write_text(f"# The {CANARY} title\n\nIt is the {CANARY} that nobody may know.\n")
    (folder / f"{CANARY}.txt").write_text("Even the name says it.\n")
    (folder / "harbour3.md").write_text(f"# Harbour 3\n\nThe tide3 brings a {CANARY}.\n")
    add()
    assert found(workspace, CANARY)[0] == "secret.md"
    (folder / "secret.md").unlink()
    (folder / f"{CANARY}.txt").unlink()
    (folder / "harbour3.md").write_text("# Harbour 3\n\nThe tide3 comes at noon.\n")
    add()
    assert CANARY not in "".join(found(workspace, CANARY))
    assert holding(workspace)
    return home


def test_a_deleted_word_is_in_no_file(deleted: Home) -> None:
    workspace, folder, add = deleted
    with closing(sqlite3.connect(workspace.catalog_path)) as connection:
        before = connection.execute("SELECT id, text FROM passages ORDER BY id").fetchall()
    done = run(workspace)
    assert not holding(workspace)
    assert done.originals == 3
    assert done.vectors >= 3
    assert done.bytes_after < done.bytes_before
    assert not done.held
    assert sound(workspace)
    assert found(workspace, "tide7 noon")[0] == "harbour7.md"
    with closing(sqlite3.connect(workspace.catalog_path)) as connection:
        assert connection.execute("SELECT id, text FROM passages ORDER BY id").fetchall() == before
    (folder / "late.md").write_text("# Late\n\nThe lighthouse is lit.\n")
    add()
    assert found(workspace, "lighthouse")[0] == "late.md"
    again = run(workspace)
    assert (again.documents, again.vectors, again.originals, again.quotes) == (0, 0, 0, 0)


def test_the_log_of_changes_is_trimmed_only_as_far_as_every_index_has_followed(deleted: Home) -> None:
    workspace, folder, add = deleted
    with Catalog(workspace.catalog_path) as catalog, open_session(workspace) as session:
        reader = IndexReader(workspace.index, session.live_embedder().space, catalog)
        reached = reader.view().generation.seq
        (folder / "late.md").write_text("# Late\n\nThe lighthouse is lit.\n")
        reader.close()
    add()
    run(workspace)
    with Catalog(workspace.catalog_path) as catalog:
        assert catalog.seq == reached + 1
        assert trimmed_to(catalog) == reached
        assert len(catalog.changes_since(0)) == 1
    assert sound(workspace)


def test_a_reader_that_holds_an_old_index_is_reported(deleted: Home) -> None:
    workspace, _, _ = deleted
    with open_session(workspace) as session:
        retriever = open_release(workspace, session.catalog, session.settings)
        done = run(workspace)
        assert done.held
        assert done.changes == 0
        assert [context.passage.text for context in retriever.search("tide7 noon", 1)]  # it moves on with this look
        retriever.reader.close()
    del retriever
    assert not run(workspace).held
    assert not holding(workspace)


def test_an_open_reading_transaction_is_reported(deleted: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, _, _ = deleted
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **options: connect(path, **options | {"timeout": 0.1}))
    with Catalog(workspace.catalog_path) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM passages").fetchone()
        with pytest.raises(BusyError, match="reading the catalog"):
            run(workspace)
        reader.execute("COMMIT")
    run(workspace)
    assert not holding(workspace)


def test_questions_made_of_deleted_titles_go(home: Home) -> None:
    workspace, folder, add = home
    (folder / "secret.md").write_text(f"# The {CANARY} title\n\nText.\n")
    (folder / "kept.md").write_text("# A harmless title\n\nOther text.\n")
    add()
    with open_session(workspace) as session:
        assert add_proxy(session.catalog, seed=1) == 2
    (folder / "secret.md").unlink()
    add()
    assert run(workspace).questions == 1
    assert not holding(workspace)
    with open_session(workspace) as session:
        assert sum(len(judgements.qrels(session.catalog, split)) for split in ("train", "dev", "test")) == 1  # type: ignore[arg-type]


def test_reports_lose_the_quote_and_keep_the_figures(home: Home) -> None:
    workspace, folder, add = home
    long = " ".join(f"word{number}" for number in range(90))
    (folder / "secret.md").write_text(f"# The {CANARY}\n\nThe {CANARY} & its nest < 5.\n")
    (folder / "kept.md").write_text(f"# A harmless title\n\nHarmless & fine < 5 {long}\n")
    add()
    page = workspace.runs / "2030-01-01-000000-tune" / "report.html"
    with open_session(workspace) as session:
        texts = [row[0] for row in session.catalog.execute("SELECT text FROM passages ORDER BY text")]
        with session.catalog.transaction():
            judgements.add(session.catalog, [Query("q", "Who & <what>?")], [], origin="labels")
    hits = tuple(Hit(f"Title {number}", text, relevant=number == 0) for number, text in enumerate(texts))
    cases = (
        Case("Who & <what>?", 0.0, 0.5, hits, hits[:1]),
        Case(f"What is the {CANARY}?", 0.5, 0.0, hits[:1], hits[:1]),
    )
    write_report(replace(report(), cases=cases), page)
    assert run(workspace).quotes == 1  # the question that is not in the catalog
    before = page.read_text()
    assert run(workspace).quotes == 0
    assert page.read_text() == before
    (folder / "secret.md").unlink()
    add()
    assert run(workspace).quotes == 1
    assert not holding(workspace)
    after = page.read_text()
    assert after.count(GONE) == 2
    assert "Harmless &amp; fine &lt; 5 word0" in after
    assert "Who &amp; &lt;what&gt;?" in after
