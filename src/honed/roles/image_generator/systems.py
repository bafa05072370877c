"""The painter of any release on held-out pictures, drawn from what that release's own search finds."""

from __future__ import annotations

from honed.catalog import history
from honed.errors import UsageError
from honed.models.painter.compact import CompactPainter
from honed.protocols import ImageGenerator
from honed.release.build import manifest_of, row_of
from honed.release.open import painter_of
from honed.roles.image_generator.collection import collect
from honed.roles.image_generator.drawing import by_painter
from honed.roles.image_generator.evaluation import sliced
from honed.roles.image_generator.held_out import RETRIEVED, Targets, draw_and_measure
from honed.roles.image_generator.perceptual import PerceptualFeatures
from honed.roles.image_generator.snapshot import PIPELINE_REFERENCES, PIPELINE_SIDE, test_set
from honed.session import Session
from honed.tuning.role import Measurement, checked_split

LABELS = "pictures"
"""Where the labels come from: the true pictures, which no drawing has seen."""


def measured(session: Session, system: str, split: str, metric: str) -> Measurement:
    """Likeness of every drawing of a split to the true picture.

    Args:
        system: "live" or a release.

    Raises:
        UsageError: There is no such system or split, or the painter has learned from the split.
        MissingError: The release has no painter.
    """
    chosen = checked_split(split)
    if chosen == "train":
        raise UsageError("Painters learn from train, so nothing is measured there.", hint="--split dev or test")
    names = ["live", *(row.name for row in history.releases(session.catalog))]
    if system not in names:
        raise UsageError(f"'{system}' draws nothing.", hint=f"systems are: {', '.join(names)}")
    row = row_of(session.catalog, system)
    painter = painter_of(session.workspace, manifest_of(session.workspace, row), session.settings)
    collection = collect(session, *shape_of(painter), lambda _: None, release=row.name)
    rows = collection.rows[chosen]
    targets = Targets(collection.pictures, rows, rows, 0.0, session.settings.seed)
    drawn = draw_and_measure(
        by_painter(painter, collection), targets, PerceptualFeatures.judge(), kinds=(RETRIEVED,)
    ).drawn[RETRIEVED]
    return Measurement(
        system=system,
        release=row.name,
        digest=f"{row.manifest_sha256} {painter.name}",
        scores=drawn.measured.scores,
        questions=sliced(collection, chosen),
        test=test_set(collection, chosen, metric, fresh_only=session.settings.test == "fresh"),
        unit="pictures",
        labels=LABELS,
    )


def shape_of(painter: ImageGenerator) -> tuple[int, int]:
    """Side of the pictures that a painter is judged by, and how many references it draws from."""
    if isinstance(painter, CompactPainter):
        return painter.config.side, painter.config.references
    return PIPELINE_SIDE, PIPELINE_REFERENCES
