"""CSV and TSV: rows in small groups, each under the header, so that a passage of a table can be read alone."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from honed.ingest.codes import Refused
from honed.ingest.outline import Outline
from honed.ingest.parse import Job
from honed.ingest.parse.tables import markdown_tables
from honed.ingest.parse.text import read_text
from honed.types import Parsed

MOST_COLUMNS = 1000
MOST_CELL_CHARACTERS = 1 << 20
_DELIMITERS = ",;\t|"


def parse(source: BinaryIO, job: Job) -> Parsed:
    """One table block for each group of rows; the first row that is not empty is the header."""
    text = read_text(source).replace("\0", "")
    delimiter = "\t" if job.media_type == "text/tab-separated-values" else _delimiter(text)
    csv.field_size_limit(MOST_CELL_CHARACTERS)
    outline, ragged = Outline(), [0]
    try:
        for table in markdown_tables(_rows(text, delimiter, ragged)):
            outline.add(table, kind="table")
    except csv.Error as error:
        raise Refused("corrupt", str(error)) from error
    warnings = (f"{ragged[0]} rows have more or fewer cells than the header",) if ragged[0] else ()
    return Parsed(job.stem, outline.finish(), job.media_type, warnings=warnings)


def _rows(text: str, delimiter: str, ragged: list[int]) -> Iterator[list[str]]:
    width = 0
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
        if len(row) > MOST_COLUMNS:
            raise Refused("bomb", f"a row has {len(row)} cells")
        if not any(cell.strip() for cell in row):
            continue
        width = width or len(row)
        ragged[0] += len(row) != width
        # What goes beyond the header stays, in its last column.
        yield row if len(row) <= width else [*row[: width - 1], delimiter.join(row[width - 1 :])]


def _delimiter(text: str) -> str:
    """The delimiter that occurs, equally often, on most of the first lines."""
    lines = [line for line in text[: 1 << 16].split("\n")[:50] if line.strip()]

    def agreement(delimiter: str) -> tuple[int, int]:
        counts = Counter(count for line in lines if (count := line.count(delimiter)))
        return counts.most_common(1)[0][::-1] if counts else (0, 0)

    return max(_DELIMITERS, key=agreement) if lines else ","
