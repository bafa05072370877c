"""A sheet of samples that is written anew while a painter learns: references, what it draws from them, the true picture."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from honed.models.painter.compact import CompactPainter, Orders
from honed.tune.painter.pictures import Pictures, Rows
from honed.workspace import write_atomic

Pixels = NDArray[np.uint8]

GAP = 2
PAPER = 222
"""Grey between the pictures, which are mostly on white."""


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A watcher for `train_painter` that keeps a PNG file of samples up to date.

    Attributes:
        pictures: What there is.
        rows: The pictures that the painter is to draw, a line each; held out, or it shows what was learnt by heart.
        references: [len(rows), k] what they are drawn from, -1 for none.
        path: The file.
        cell: Side of a picture on the sheet, in pixels.
    """

    pictures: Pictures
    rows: Rows
    references: Rows
    path: Path
    cell: int = 64

    def __call__(self, painter: CompactPainter, step: int) -> None:
        """Draw the samples and write the file, whole or not at all. Seeds are fixed: only the painter changes."""
        drawn = painter.paint(orders_for(self.pictures, self.rows, self.references, seed=0))
        lines = [
            [
                *(self.pictures.pixels[one] if one >= 0 else None for one in known),
                None,
                picture,
                self.pictures.pixels[row],
            ]
            for known, picture, row in zip(self.references, drawn, self.rows, strict=True)
        ]
        write_atomic(self.path, sheet_png(lines, cell=self.cell))


def orders_for(pictures: Pictures, rows: Rows, references: Rows, *, seed: int) -> Orders:
    """Orders to draw some pictures anew from references [len(rows), k] (-1 for none), in their style and by their text."""
    return Orders(
        references=pictures.pixels[references],
        present=references >= 0,
        styles=pictures.styles[rows],
        texts=pictures.texts[rows],
        seeds=[seed + number for number in range(len(rows))],
    )


def sheet_png(lines: list[list[Pixels | None]], *, cell: int) -> bytes:
    """Lines of pictures [side, side, 3] as one PNG file; None leaves a gap."""
    from PIL import Image

    step, width = cell + GAP, max(len(line) for line in lines)
    paper = np.full((len(lines) * step + GAP, width * step + GAP, 3), PAPER, np.uint8)
    for down, line in enumerate(lines):
        for right, picture in enumerate(line):
            if picture is not None:
                enlarged = Image.fromarray(picture).resize((cell, cell), Image.Resampling.BICUBIC)
                top, left = down * step + GAP, right * step + GAP
                paper[top : top + cell, left : left + cell] = np.asarray(enlarged)
    file = BytesIO()
    Image.fromarray(paper).save(file, "PNG")
    return file.getvalue()
