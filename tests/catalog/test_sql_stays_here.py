"""Everybody else calls the catalog's verbs: another store can stand behind them."""

from __future__ import annotations

import re
from pathlib import Path

import honed

SOURCES = Path(honed.__file__).parent
SQL = re.compile(
    r"\"[^\"]*\b(?:SELECT\s.*\bFROM|INSERT\s+(?:OR\s+\w+\s+)?INTO|DELETE\s+FROM|UPDATE\s+\w+\s+SET|PRAGMA|VACUUM|REINDEX|"
    r"CREATE\s+(?:TABLE|INDEX|TRIGGER))\b"
)
DOORS = re.compile(r"\.(?:_?connection|execute|executemany|over)\b|\bimport sqlite3\b")


def offences(text: str) -> list[str]:
    """Lines that hold SQL or reach for the connection."""
    return [line for line in text.splitlines() if SQL.search(line) or DOORS.search(line)]


def test_no_sql_outside_of_the_catalog() -> None:
    wrong = {
        str(path.relative_to(SOURCES)): lines
        for path in sorted(SOURCES.rglob("*.py"))
        if "catalog" not in path.relative_to(SOURCES).parts and (lines := offences(path.read_text()))
    }
    assert not wrong


def test_sql_would_be_noticed() -> None:
    catalog = SOURCES / "catalog"
    for name in ("documents", "history", "images", "judgements", "vectors", "integrity"):
        assert offences((catalog / f"{name}.py").read_text())
