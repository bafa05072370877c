"""A grid of samples that is written anew while a painter learns: references, what it draws from them, the true picture."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from honed.roles.image_generator.held_out import RETRIEVED, Draw, Targets
from honed.workspace import write_atomic

Pixels = NDArray[np.uint8]

GAP = 2
PAPER = 222
"""Grey between the pictures, which are mostly on white."""


@dataclass(frozen=True, slots=True, eq=False)
class SampleGrid:
    """A PNG file of samples that is kept up to date while a painter learns.

    Attributes:
        targets: The pictures that it is to draw, a line each; held out, or the grid shows what was learnt by heart.
        path: The file.
        cell: Side of a picture on the grid, in pixels.
    """

    targets: Targets
    path: Path
    cell: int = 64

    def show(self, draw: Draw) -> None:
        """Draw the samples and write the file, whole or not at all. The noise is the same each time: only the painter changes."""
        pictures, rows, references = self.targets.pictures, self.targets.rows, self.targets.references(RETRIEVED)
        lines = [
            [*(pictures.pixels[other] if other >= 0 else None for other in given), None, picture, pictures.pixels[row]]
            for given, picture, row in zip(references, draw(self.targets, references), rows, strict=True)
        ]
        write_atomic(self.path, grid_png(lines, cell=self.cell))


def grid_png(lines: list[list[Pixels | None]], *, cell: int) -> bytes:
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
