"""What a compact painter is made of: the shape of its network, the styles that it knows, the space of its text vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from honed.errors import InputError

MODEL_TYPE = "honed-painter"

LIMITS = {
    "side": (8, 512),
    "patch": (1, 8),
    "layers": (1, 4),
    "attention": (0, 4),
    "references": (1, 8),
    "text": (1, 8192),
}
"""Smallest and largest value of each whole number: a config from elsewhere must not ask for all the memory there is."""

WIDEST, DEEPEST, WILDEST, MOST_STYLES = 1024, 6, 4.0, 4096


@dataclass(frozen=True, slots=True)
class PainterConfig:
    """The shape of a compact painter.

    Attributes:
        side: Of the square pictures, in pixels.
        patch: So many pixels a side become one cell of the U-Net; each halving of the resolution saves three quarters.
        channels: Of each level of the U-Net, from fine to coarse. Multiples of `GROUP` in net.py.
        layers: Residual blocks a level.
        attention: So many of the coarsest levels have self-attention.
        references: How many reference pictures it takes at once.
        spread: Noise on the reference that a drawing begins with: near 0 it stays close to that reference, at 1 it is free.
        text: Length of a text vector.
        text_space: Fingerprint of the embedder whose vectors it was trained with; empty for none.
        styles: Names of the styles that it was trained on.
    """

    side: int = 32
    patch: int = 1
    channels: tuple[int, ...] = (32, 64, 96)
    layers: int = 1
    attention: int = 1
    references: int = 3
    spread: float = 0.15
    text: int = 384
    text_space: str = ""
    styles: tuple[str, ...] = ()

    @property
    def coarsest(self) -> int:
        """The side must be a multiple of this."""
        return int(self.patch * 2 ** (len(self.channels) - 1))

    def to_json(self) -> dict[str, Any]:
        """As it is written to config.json."""
        return {"model_type": MODEL_TYPE, **asdict(self), "channels": [*self.channels], "styles": [*self.styles]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PainterConfig:
        """Read what `to_json` gave.

        Raises:
            InputError: It describes another model, or something is missing or out of range.
        """
        if value.get("model_type") != MODEL_TYPE:
            raise InputError(
                f"This is a model of type '{value.get('model_type')}', not '{MODEL_TYPE}'.",
                hint="name the folder of a pipeline diffusers:PATH",
            )
        missing = [field.name for field in fields(cls) if field.name not in value]
        if missing:
            raise InputError(f"The description of the painter lacks {', '.join(missing)}.")
        for name, (low, high) in LIMITS.items():
            if type(value[name]) is not int or not low <= value[name] <= high:
                raise InputError(f"The painter's '{name}' is a whole number from {low} to {high}, not {value[name]!r}.")
        for name, fits in _FITS.items():
            if not fits(value[name]):
                raise InputError(f"The painter's '{name}' cannot be {str(value[name])[:100]}.")
        config = cls(**{field.name: value[field.name] for field in fields(cls)})
        config = replace(
            config, channels=tuple(config.channels), styles=tuple(config.styles), spread=float(config.spread)
        )
        if config.side % config.coarsest:
            raise InputError(f"The side of {config.side} pixels is no multiple of {config.coarsest}.")
        return config


def _list_of(value: Any, fits: Callable[[Any], bool], low: int, high: int) -> bool:
    return isinstance(value, list) and low <= len(value) <= high and all(fits(item) for item in value)


_FITS: dict[str, Callable[[Any], bool]] = {
    "channels": lambda value: _list_of(value, lambda width: type(width) is int and 0 < width <= WIDEST, 1, DEEPEST),
    "styles": lambda value: _list_of(value, lambda name: isinstance(name, str), 0, MOST_STYLES),
    "spread": lambda value: type(value) in (int, float) and 0 < value <= WILDEST,
    "text_space": lambda value: isinstance(value, str),
}
