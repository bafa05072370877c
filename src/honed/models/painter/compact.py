"""The compact painter: a folder of a few megabytes that draws small pictures from retrieved ones, on a CPU.

FOLDER/config.json         the shape of the network, names of styles, space of the text vectors
FOLDER/model.safetensors   weights (the running average of training)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import InputError, IntegrityError, MissingError, UsageError, missing_extra
from honed.models.folder import read_object
from honed.models.painter.config import PainterConfig
from honed.models.painter.net import ALTERATIONS, Condition, PainterNet
from honed.models.painter.sampler import Sampling, draw, noise_of
from honed.models.registry import Spec
from honed.models.vision.prepare import Preparation
from honed.models.weights import Weights, write_described
from honed.protocols import Embedder
from honed.workspace import sha256_file, write_json

try:
    import torch
except ImportError as error:
    raise missing_extra(error.name or "torch", "imagine") from error

if TYPE_CHECKING:
    from PIL import Image

CONFIG, WEIGHTS = "config.json", "model.safetensors"

SAMPLING = "sampling"
"""Key of the description under which steps and guidance stand."""

BATCH = 32
"""Pictures that are drawn at once."""

Pixels = NDArray[np.uint8]
"""RGB, [n, side, side, 3]."""


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """What to draw, n pictures.

    Attributes:
        references: [n, k, side, side, 3] bytes.
        present: [n, k], which of them there are.
        styles: [n], number of the style from 1; 0 for none.
        texts: [n, text] unit vectors; zeros where there are no words.
        seeds: n numbers.
    """

    references: Pixels
    present: NDArray[np.bool_]
    styles: NDArray[np.int64]
    texts: NDArray[np.float32]
    seeds: Sequence[int]


class CompactPainter:
    """Draws square pictures from reference pictures, a style and words; any of them may be missing."""

    def __init__(
        self,
        config: PainterConfig,
        net: PainterNet,
        *,
        name: str,
        embedder: Embedder | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        """Take a network that is ready.

        Args:
            config: Its shape.
            net: In evaluation mode, on the device that is to draw.
            name: Shown, and written into the metadata of every picture.
            embedder: Turns words into vectors, by its document tower, which a release pins. Without one, words are not looked at.
            sampling: Steps and guidance, unless a call says otherwise.

        Raises:
            UsageError: The embedder is not the one that the painter was trained with.
        """
        if embedder is not None and config.text_space and embedder.space != config.text_space:
            raise UsageError(
                "The painter was trained with the words of another embedder.",
                hint="use the release that both belong to, or run `honed tune --role image-generator`",
            )
        self.config = config
        self.net = net
        self.sampling = sampling or Sampling()
        self._name = name
        self._embedder = embedder

    @classmethod
    def from_spec(
        cls, spec: Spec, *, embedder: Embedder | None = None, device: str = "", sampling: Sampling | None = None
    ) -> CompactPainter:
        """The painter in the folder that a spec of the backend `compact` names. `device` is empty for the best there is."""
        folder = Path(spec.name).expanduser()
        config, tensors = read_painter(folder)
        net = PainterNet(config)
        load_weights(net, tensors)
        net.eval().to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        name = f"compact:{folder.name}-{painter_digest(folder)[:12]}"
        return cls(config, net, name=name, embedder=embedder, sampling=sampling or read_sampling(folder))

    @property
    def name(self) -> str:
        """What is shown to a user and written into the metadata of a picture: the folder's name and a fingerprint."""
        return self._name

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that can be asked for."""
        return self.config.styles

    @property
    def references(self) -> int:
        """How many reference pictures it takes at once."""
        return self.config.references

    @cached_property
    def preparation(self) -> Preparation:
        """What happens to a reference before the network: the whole picture, on white."""
        return Preparation(self.config.side, "pad", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def generate(
        self,
        text: str,
        references: Sequence[Image.Image],
        *,
        n: int,
        seed: int,
        style: str = "",
        sampling: Sampling | None = None,
    ) -> list[Image.Image]:
        """Draw n pictures of `config.side` pixels, each beginning with another of the references while there are any.

        Picture i is the same for any n.

        Args:
            text: What to draw; may be empty.
            references: Best first; those beyond `config.references` are left out.
            n: How many.
            seed: The same seed, text, style and references give the same pictures on the same machine.
            style: One of `styles`, or empty.
            sampling: Steps and guidance, if not the painter's own.

        Raises:
            UsageError: The style is unknown, or n is below 1.
        """
        from PIL import Image as pillow

        if n < 1:
            raise UsageError(f"{n} pictures cannot be drawn.", hint="ask for 1 or more")
        slots = self.config.references
        kept = [self.preparation(picture) for picture in references[:slots]]
        pixels = np.zeros((slots, self.config.side, self.config.side, 3), np.uint8)
        pixels[: len(kept)] = kept or 0
        styles, texts = np.array([self.style_number(style)]), self._text(text)[None]
        present = np.arange(slots)[None] < len(kept)
        drawn = []
        for number in range(n):  # one by one: a batch of another size adds floats in another order
            turned = pixels[_turned(len(kept), slots, number)][None]
            drawn += list(self.paint(Orders(turned, present, styles, texts, [seed + number]), sampling))
        return [pillow.fromarray(picture) for picture in drawn]

    def style_number(self, style: str) -> int:
        """Number of a style as `Orders` counts them; 0 for an empty name.

        Raises:
            UsageError: The painter was not trained on it.
        """
        if not style:
            return 0
        if style not in self.styles:
            names = ", ".join(self.styles[:20]) or "none"
            raise UsageError(f"The painter knows no style '{style}'.", hint=f"it knows: {names}")
        return self.styles.index(style) + 1

    def paint(self, orders: Orders, sampling: Sampling | None = None) -> Pixels:
        """Draw every order; returns [n, side, side, 3] bytes. A picture depends on its own order alone, but for rounding."""
        chosen = sampling or self.sampling
        pictures = np.empty((len(orders.seeds), self.config.side, self.config.side, 3), np.uint8)
        device = self.net.ground.device
        for start in range(0, len(pictures), BATCH):
            rows = slice(start, start + BATCH)
            noise = noise_of(orders.seeds[rows], self.config.side).to(device)
            drawn = draw(self.net, noise, condition(orders, rows, device), chosen)
            pictures[rows] = to_bytes(drawn)
        return pictures

    def _text(self, text: str) -> NDArray[np.float32]:
        if not text or self._embedder is None:
            return np.zeros(self.config.text, np.float32)
        return np.asarray(self._embedder.encode_document([text])[0], np.float32)


def _turned(count: int, slots: int, number: int) -> NDArray[np.int64]:
    """Order of the slots for a picture: `count` references turned so that its own comes first, then the empty slots."""
    turned = (np.arange(count) + number) % max(count, 1)
    return np.concatenate([turned, np.arange(count, slots)])


def condition(orders: Orders, rows: slice, device: torch.device) -> Condition:
    """Some of the orders as the network takes them."""
    texts = torch.from_numpy(np.ascontiguousarray(orders.texts[rows], np.float32)).to(device)
    return Condition(
        references=to_tensor(orders.references[rows]).to(device),
        present=torch.from_numpy(orders.present[rows].astype(np.float32)).to(device),
        style=torch.from_numpy(np.asarray(orders.styles[rows], np.int64)).to(device),
        text=texts,
        worded=(texts.abs().sum(1) > 0).float(),
        altered=torch.zeros(len(texts), ALTERATIONS, device=device),
    )


def to_tensor(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Bytes [..., side, side, 3] as numbers from -1 to 1 [..., 3, side, side]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, -3))).float() / 127.5 - 1.0


def to_bytes(pictures: torch.Tensor) -> Pixels:
    """Numbers from -1 to 1 [n, 3, side, side] as bytes [n, side, side, 3]."""
    scaled = ((pictures.float().clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
    return np.asarray(scaled.permute(0, 2, 3, 1).cpu().numpy())


def load_weights(net: PainterNet, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Give a network its weights.

    Raises:
        IntegrityError: A weight is missing, too many, of the wrong shape, or holds something that is not a number.
    """
    state = {name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise IntegrityError(
            "The painter's weights do not fit its description.", hint="fetch or tune it again"
        ) from error
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise IntegrityError("The painter's weights hold NaN or infinity.", hint="tune it again")


def read_painter(folder: Path) -> tuple[PainterConfig, Weights]:
    """Description and weights of a painter's folder.

    Raises:
        MissingError: The folder or one of its files is not there.
        InputError: It describes another kind of model.
        IntegrityError: The file of weights is damaged.
    """
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise MissingError(f"There is no painter in {folder}.", hint="train one: honed tune --role image-generator")
    return PainterConfig.from_json(read_object(folder / CONFIG)), Weights(folder / WEIGHTS)


def write_painter(folder: Path, config: PainterConfig, tensors: Mapping[str, NDArray[Any]]) -> Path:
    """Write a painter so that `read_painter` reads it: weights first, config.json last, both durable. Returns the folder."""
    return write_described(folder / WEIGHTS, tensors, folder / CONFIG, config.to_json())


def write_sampling(folder: Path, sampling: Sampling) -> None:
    """Add to a painter's description how it draws unless it is told otherwise."""
    write_json(folder / CONFIG, {**read_object(folder / CONFIG), SAMPLING: asdict(sampling)})


def read_sampling(folder: Path) -> Sampling:
    """How a painter draws; the defaults where nothing was written.

    Raises:
        InputError: What was written is no sampling.
    """
    value = read_object(folder / CONFIG).get(SAMPLING, {})
    try:
        return Sampling(**value)
    except (TypeError, UsageError) as error:
        raise InputError(f"The painter's '{SAMPLING}' cannot be {str(value)[:100]}.", hint="tune it again") from error


def painter_digest(folder: Path) -> str:
    """sha256 over weights and description."""
    parts = {"weights": sha256_file(folder / WEIGHTS), **read_object(folder / CONFIG)}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
