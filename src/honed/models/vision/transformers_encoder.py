"""CLIP, SigLIP, DINOv2 and their like, from a folder or the hub, through transformers: the one encoder that loads torch.

Weights load from safetensors only, and code that comes with a model is refused. Pictures are prepared here with Pillow, as
the model's preprocessor_config.json says: the processors of transformers want torchvision.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from honed.errors import InputError, UsageError
from honed.models.folder import read_object
from honed.models.locate import locate
from honed.models.registry import Spec
from honed.models.vision.head import unit
from honed.models.vision.prepare import Pixels, Preparation
from honed.types import Vectors
from honed.workspace import sha256_file

if TYPE_CHECKING:
    from PIL import Image

BATCH = 16

NOTES = ("transformers_version", "_name_or_path", "dtype", "torch_dtype")
"""Entries of config.json that change no descriptor: everything is computed in float32."""

FILTERS = {2: "bilinear", 3: "bicubic"}
"""Numbers of Pillow's filters in preprocessor_config.json."""


class TransformersImageEncoder:
    """Pictures, and texts where the model has a tower for them, to descriptors in one space."""

    def __init__(self, folder: Path, *, cache_dir: Path | None = None, threads: int = 0) -> None:
        """Open a model folder; weights are loaded when the first picture is encoded.

        Args:
            folder: In the layout of transformers, with config.json, preprocessor_config.json and safetensors.
            cache_dir: Not used: nothing is derived from the model.
            threads: Cores to use, 0 for torch's own choice. Holds for the whole process.

        Raises:
            MissingError: A file is not there.
            InputError: The model asks to run code, has no safetensors, or wants pictures in a way that is not known here.
        """
        self.folder = folder
        self._config = read_object(folder / "config.json")
        if "auto_map" in self._config:
            raise InputError(f"{folder / 'config.json'} asks to run code that comes with the model; it is refused.")
        self._files = sorted(folder.glob("*.safetensors"))
        if not self._files:
            raise InputError(
                f"{folder} holds no weights in safetensors; pickles can run code and are refused.",
                hint="use a version of the model with model.safetensors",
            )
        self.preparation = preparation(read_object(folder / "preprocessor_config.json"))
        self._threads = threads

    @classmethod
    def from_spec(cls, spec: Spec, **options: Any) -> TransformersImageEncoder:
        """The encoder that `transformers:FOLDER` or `transformers:OWNER/NAME` names; options as above.

        Raises:
            MissingError: It is neither a folder nor in the local cache, and the hub may not be asked.
        """
        is_path = spec.name.startswith((".", "/", "~")) or Path(spec.name).is_dir()
        backend = "folder" if is_path else "hub"
        return cls(locate(Spec(backend, spec.name, spec.revision)), **options)

    @cached_property
    def space(self) -> str:
        """Fingerprint of weights, configuration and preparation. 32 hex digits."""
        config = {key: value for key, value in self._config.items() if key not in NOTES}
        weights = {path.name: sha256_file(path) for path in self._files}
        parts = {"config": config, "preparation": self.preparation.to_json(), "weights": weights}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    @cached_property
    def dimension(self) -> int:
        """Length of a descriptor."""
        side = self.preparation.side
        return int(self.encode_pixels(np.zeros((1, side, side, 3), np.uint8)).shape[1])

    @property
    def has_text(self) -> bool:
        """Whether texts can be encoded into the same space."""
        return "text_config" in self._config and hasattr(self._model, "get_text_features")

    def prepare(self, image: Image.Image) -> Pixels:
        """The pixels [side, side, 3] that `encode_pixels` takes."""
        return self.preparation(image)

    def encode_image(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Encode decoded pictures; returns [len(images), dimension], raw, in the order given."""
        parts = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
        return self._joined([self._run(np.stack([self.prepare(image) for image in part])) for part in parts])

    def encode_pixels(self, pixels: Sequence[Pixels] | Pixels) -> NDArray[np.float32]:
        """Encode what `prepare` gave, a picture a row; returns [len(pixels), dimension], raw, in the order given."""
        parts = (pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH))
        return self._joined([self._run(np.stack(list(part))) for part in parts])

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Encode texts; returns [len(texts), dimension], unit length, comparable with unit descriptors.

        Raises:
            UsageError: The model has no tower for texts.
        """
        if not self.has_text:
            raise UsageError(f"{self.folder.name} encodes pictures only.", hint="use a CLIP or SigLIP model")
        parts = []
        for start in range(0, len(texts), BATCH):
            tokens = self._tokens(list(texts[start : start + BATCH]))
            with torch.inference_mode():
                parts.append(_array(self._model.get_text_features(**tokens.to(self._model.device))))
        return unit(self._joined(parts))

    def _run(self, pixels: Pixels) -> NDArray[np.float32]:
        mean, deviation = (
            np.array(statistic, np.float32) for statistic in (self.preparation.mean, self.preparation.deviation)
        )
        values = torch.from_numpy((pixels - mean) / deviation).permute(0, 3, 1, 2).contiguous()
        with torch.inference_mode():
            given = values.to(self._model.device)
            if hasattr(self._model, "get_image_features"):
                return _array(self._model.get_image_features(pixel_values=given))
            return _array(self._model(pixel_values=given))

    def _joined(self, parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), np.float32)

    @cached_property
    def _model(self) -> Any:
        logging: Any = transformers_logging
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        if self._threads > 0:
            torch.set_num_threads(self._threads)
        model = AutoModel.from_pretrained(
            self.folder, use_safetensors=True, trust_remote_code=False, local_files_only=True, dtype=torch.float32
        )
        return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    @cached_property
    def _tokens(self) -> Any:
        """What makes padded batches of tokens. SigLIP was trained with every text at full length, CLIP was not."""
        tokenizer = AutoTokenizer.from_pretrained(self.folder, trust_remote_code=False, local_files_only=True)
        longest = int(self._model.config.text_config.max_position_embeddings)
        full = str(self._config.get("model_type", "")).startswith("siglip")

        def tokens(texts: list[str]) -> Any:
            padding = "max_length" if full else True
            return tokenizer(texts, padding=padding, truncation=True, max_length=longest, return_tensors="pt")

        return tokens


def preparation(config: Mapping[str, Any]) -> Preparation:
    """The preparation that a preprocessor_config.json describes.

    Raises:
        InputError: It wants something that is not known here.
    """
    try:
        scale = 1 / float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
        normal = config.get("do_normalize", True)
        mean, deviation = (
            tuple(float(number) * scale for number in (config[key] if normal else [default] * 3))
            for key, default in (("image_mean", 0.0), ("image_std", 1.0))
        )
        resample: Any = FILTERS[config.get("resample", 3)]
        size, crop = config["size"], config.get("crop_size")
        if not config.get("do_center_crop", False):
            return Preparation(_square(size), "stretch", mean, deviation, resample=resample)  # type: ignore[arg-type]
        side = _square(crop)
        short = size["shortest_edge"] if isinstance(size, dict) and "shortest_edge" in size else _square(size)
        keep = min(1.0, side / short)
        return Preparation(side, "crop", mean, deviation, keep=keep, resample=resample)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(
            f"preprocessor_config.json asks for pictures in a way that is not known here: {error!r}."
        ) from error


def _square(value: Any) -> int:
    """The side of a square, which is written as a number or as height and width."""
    sides = {value} if isinstance(value, int) else {value["height"], value["width"]}
    (side,) = sides
    return int(side)


def _array(output: Any) -> NDArray[np.float32]:
    """One vector a picture or text: the pooled one, else that of the first token."""
    pooled = getattr(output, "pooler_output", output)
    vectors = output.last_hidden_state[:, 0] if pooled is None else pooled
    return np.asarray(vectors.float().cpu().numpy(), np.float32)
