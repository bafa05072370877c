"""Tables as Markdown, in groups of rows under a repeated header, so that each group can be read alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

ROWS_PER_BLOCK = 40
Row = Sequence[str]


def markdown_tables(rows: Iterable[Row], *, rows_per_block: int = ROWS_PER_BLOCK) -> Iterator[str]:
    """Markdown tables of a stream of rows whose first row is the header; short rows are filled up.

    A table of one row has no header: it becomes a line of its cells.
    """
    stream = iter(rows)
    header = next(stream, None)
    if header is None:
        return
    head = f"{_line(header)}\n{_line(['---'] * len(header))}"
    group: list[str] = []
    written = False
    for row in stream:
        filled = [*row, *[""] * (len(header) - len(row))]
        if not any(cell.strip() for cell in filled):
            continue
        group.append(_line(filled))
        if len(group) == rows_per_block:
            yield "\n".join([head, *group])
            group, written = [], True
    if group:
        yield "\n".join([head, *group])
    elif not written:
        yield " | ".join(cell for cell in map(_cell, header) if cell)


def _line(cells: Row) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
