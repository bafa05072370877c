"""What a training stage hands back, for any role: what it weighs on dev, and what a release would pin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        name: Of the stage.
        what: One line for a person.
        dev: The metric that decides, for every dev query; NaN where nothing is judged.
        seconds: Wall time that it took.
        tried: Variants that were compared on dev to pick this one.
        files: What was learned: the role's name for it -> file or folder inside the run's folder.
        values: What a release pins besides, as JSON.
        details: What a reader of the report may want to know, as JSON.
    """

    name: str
    what: str
    dev: Scores
    seconds: float
    tried: int
    files: Mapping[str, Path] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Mean over the judged dev queries."""
        return float(np.nanmean(self.dev))

    def save(self, folder: Path) -> None:
        """Write `NAME.json` into the run's folder, last: its existence means that the stage is complete."""
        value = asdict(self) | {"dev": self.dev.tolist()}
        value["files"] = {name: path.relative_to(folder).as_posix() for name, path in self.files.items()}
        write_json(folder / f"{self.name}.json", value)

    @classmethod
    def load(cls, folder: Path, name: str) -> Candidate | None:
        """The candidate of a finished stage; None where it is not finished."""
        path = folder / f"{name}.json"
        if not path.is_file():
            return None
        value = read_json(path)
        value["dev"] = np.array(value["dev"], np.float64)
        value["files"] = {key: folder / relative for key, relative in value["files"].items()}
        return cls(**value)


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
