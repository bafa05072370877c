"""How the stages learn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """How the stages learn. Chosen by dev and by folds over the train groups of one set of drawings.

    Attributes:
        ridges: Tried by the closed forms: what is added to the variance of every direction, in mean variances.
        widths: Lengths of a vector that are tried.
        neighbours: Tried for the expansion of queries.
        group_pictures: Pictures of a group in a step, at most; a larger group comes several times an epoch.
        batch: Pictures a step.
        temperature: Of the supervised contrastive loss, 0.1 as in its paper.
        first_block: The encoder learns from this block on; what lies before is frozen.
        shares: How much of the encoder's change is kept, tried on dev (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903).
    """

    seed: int = 13
    threads: int = 2
    ridges: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    widths: tuple[int, ...] = (128, 256, 512)
    neighbours: tuple[int, ...] = (1, 2, 3)
    group_pictures: int = 4
    batch: int = 128
    temperature: float = 0.1
    head_epochs: int = 40
    head_rate: float = 5e-4
    block_epochs: int = 4
    block_rate: float = 3e-4
    first_block: int = 8
    shares: tuple[float, ...] = (0.5, 1.0)
