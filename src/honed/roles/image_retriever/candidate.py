"""What an image rung hands back: a head, how queries are expanded, an encoder if it changed, and dev."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from honed.evaluate.image_board import ImageBoard
from honed.evaluate.metrics import Scores
from honed.models.vision.head import ImageHead
from honed.roles.image_retriever.bench import Descriptors
from honed.tuning.candidate import cheapest
from honed.workspace import read_json, write_json


@dataclass(frozen=True, slots=True, eq=False)
class ImageCandidate:
    """A way to see that competes on dev.

    Attributes:
        name: Of the rung.
        what: One line for a person.
        head: From descriptors to vectors.
        dev: recall@1 of every dev query.
        seconds: Wall time that it took.
        tried: Variants that were compared on dev to pick this one.
        neighbours: Nearest pictures that a query is expanded with.
        encoder_folder: Of the tuned encoder; None where the base encoder stays.
    """

    name: str
    what: str
    head: ImageHead
    dev: Scores
    seconds: float
    tried: int
    neighbours: int = 0
    encoder_folder: Path | None = None
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Mean of recall@1 on dev."""
        return float(np.nanmean(self.dev))

    def measure(self, board: ImageBoard, descriptors: Descriptors) -> dict[str, Scores]:
        """Every metric on a board, from raw descriptors by this candidate's encoder."""
        return board.measure(self.head.apply(descriptors), neighbours=self.neighbours)

    def save(self, folder: Path) -> None:
        """Write the head, then `NAME.json`; the existence of the latter means that the rung is complete."""
        self.head.write(folder / f"{self.name}-head.safetensors")
        value = {key: entry for key, entry in asdict(self).items() if key != "head"}
        value["dev"] = [None if np.isnan(score) else float(score) for score in self.dev]
        value["encoder_folder"] = self.encoder_folder.name if self.encoder_folder else None
        write_json(folder / f"{self.name}.json", value)

    @classmethod
    def load(cls, folder: Path, name: str) -> ImageCandidate | None:
        """Read a finished rung's candidate, if it is finished.

        Raises:
            IntegrityError: Its head is damaged.
        """
        path = folder / f"{name}.json"
        if not path.is_file():
            return None
        value = read_json(path)
        value["dev"] = np.array([np.nan if score is None else score for score in value["dev"]])
        value["notes"] = tuple(value["notes"])
        value["encoder_folder"] = folder / value["encoder_folder"] if value["encoder_folder"] else None
        return cls(head=ImageHead.read(folder / f"{name}-head.safetensors"), **value)


def choose_images(candidates: Sequence[ImageCandidate]) -> ImageCandidate:
    """The candidate that goes to the test: the cheapest within one standard error of the best on dev."""
    return candidates[cheapest([candidate.dev for candidate in candidates])]
