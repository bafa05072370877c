"""What the training of a painter hands back: a folder, and how near its drawings of dev are to the true ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from honed.evaluate.metrics import Scores
from honed.workspace import read_json, write_json


@dataclass(frozen=True, slots=True, eq=False)
class PaintCandidate:
    """A painter that goes to the test.

    Attributes:
        name: "painter", also the name of its folder and its file.
        what: One line for a person.
        folder: As `models.painter.compact.write_painter` wrote it.
        dev: Likeness to the true drawing of every dev target, drawn from retrieved references.
        seconds: Wall time that it took.
        tried: Variants that were compared on dev.
    """

    name: str
    what: str
    folder: Path
    dev: Scores
    seconds: float
    tried: int = 1
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Mean likeness on dev."""
        return float(np.nanmean(self.dev))

    def save(self) -> None:
        """Write `NAME.json` beside the folder; its existence means that the candidate is complete."""
        value = {key: entry for key, entry in asdict(self).items() if key != "folder"}
        write_json(self.folder.parent / f"{self.name}.json", {**value, "dev": self.dev.tolist()})

    @classmethod
    def load(cls, folder: Path) -> PaintCandidate | None:
        """Read the finished candidate of the painter in `folder`, if it is finished."""
        path = folder.parent / f"{folder.name}.json"
        if not path.is_file():
            return None
        value = read_json(path)
        return cls(folder=folder, **{**value, "dev": np.array(value["dev"], np.float64)})
