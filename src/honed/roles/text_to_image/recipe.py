"""How the text matrix learns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextRecipe:
    """How the text matrix learns.

    Attributes:
        ridge: Of the regression that it starts from, in mean variances of the texts.
        noise: Share of a text's numbers that are left out in a step.
        shares: How much of the training is kept beyond the regression, tried on dev.
        leads: Captions that lead a question, tried on dev.
        weights: Weights of what is seen against captions, tried on dev.
    """

    seed: int = 13
    threads: int = 2
    batch: int = 256
    ridge: float = 0.1
    epochs: int = 15
    rate: float = 1e-3
    temperature: float = 0.05
    noise: float = 0.2
    shares: tuple[float, ...] = (0.0, 0.5, 1.0)
    leads: tuple[int, ...] = (0, 1, 3, 5)
    weights: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
