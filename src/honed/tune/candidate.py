"""What a rung hands back: everything that the next rung, the gate and a release need to know of a candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import UsageError
from honed.evaluate.metrics import Scores
from honed.evaluate.significance import standard_error
from honed.workspace import read_json, write_json


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A system that competes on dev.

    Attributes:
        name: Of the rung: "fusion", "adapter", "query-tower", "both-towers".
        what: One line for a person.
        weight: Fusion weight, picked on dev.
        dev: Primary metric of every dev query.
        seconds: Wall time that it took.
        tried: Variants that were compared on dev to pick this one.
        query_folder: Model folder of the query tower, if it is not the base's.
        document_folder: Model folder of the document tower, if it is not the base's: passages must be embedded anew.
        adapter: File of the query-side matrix, if there is one.
        notes: What a reader of the report should know.
    """

    name: str
    what: str
    weight: float
    dev: Scores
    seconds: float
    tried: int
    query_folder: Path | None = None
    document_folder: Path | None = None
    adapter: Path | None = None
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Mean of the primary metric on dev."""
        return float(np.nanmean(self.dev))

    def save(self, folder: Path) -> None:
        """Write `NAME.json` into the run's folder; its existence means that the rung is complete."""
        value = asdict(self) | {"dev": self.dev.tolist()}
        for key in ("query_folder", "document_folder", "adapter"):
            value[key] = value[key].name if value[key] else None
        write_json(folder / f"{self.name}.json", value)

    @classmethod
    def load(cls, folder: Path, name: str) -> Candidate | None:
        """Read a finished rung's candidate, if it is finished."""
        path = folder / f"{name}.json"
        if not path.is_file():
            return None
        value = read_json(path)
        value["dev"] = np.array(value["dev"], np.float64)
        value["notes"] = tuple(value["notes"])
        for key in ("query_folder", "document_folder", "adapter"):
            value[key] = folder / value[key] if value[key] else None
        return cls(**value)


def choose(candidates: Sequence[Candidate], clusters: NDArray[Any]) -> Candidate:
    """The candidate that goes to the test; `clusters` are those of the dev queries: see `cheapest`."""
    return candidates[cheapest([candidate.dev for candidate in candidates], clusters)]


def cheapest(dev: Sequence[Scores], clusters: NDArray[Any]) -> int:
    """Place of the first one within one standard error of the best on dev.

    The order of the sequence is the order of cost. The standard error is that of the paired difference to the best, so
    close relatives are told apart by less than strangers (the one-standard-error rule, Breiman et al. 1984), and it is
    that of a mean over clusters, as in the verdict.

    Args:
        dev: For each candidate its score of every dev query, shape [queries]; NaN where nothing is relevant.
        clusters: [queries] label of each query's cluster.

    Raises:
        UsageError: There is no candidate, or nothing in dev is judged.
    """
    if not dev:
        raise UsageError(
            "Every way to tune gave up, so there is nothing to test.", hint="give it more time: honed tune --budget 30m"
        )
    judged = ~np.isnan(np.stack(dev)).any(axis=0)
    if not judged.any():
        raise UsageError("No query of dev has a score, so nothing can be chosen.", hint="check the labels of dev")
    means = [float(scores[judged].mean()) for scores in dev]
    best = int(np.argmax(means))
    errors = (standard_error((dev[best] - scores)[judged], clusters[judged]) for scores in dev)
    return next(place for place, error in enumerate(errors) if means[best] - means[place] <= error)
