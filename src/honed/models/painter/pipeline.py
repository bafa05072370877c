"""Any text-to-image pipeline of diffusers as a painter: a folder or a hub id, safetensors only, none of its own code run.

References come in by what the pipeline can do. With an IP-Adapter (Ye et al. 2023, arXiv:2308.06721) all of them steer the
drawing; without one the drawing starts from a noised reference (SDEdit, Meng et al. 2022, arXiv:2108.01073), a different one
for each picture. Without references it draws from the words alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from honed.errors import InputError, MissingError, UsageError, missing_extra
from honed.models.folder import read_object
from honed.models.registry import Spec
from honed.models.vision.prepare import Preparation
from honed.workspace import sha256_file

try:
    import torch
    from diffusers import AutoPipelineForImage2Image, AutoPipelineForText2Image
except ImportError as error:
    raise missing_extra(error.name or "diffusers", "imagine") from error

if TYPE_CHECKING:
    from PIL import Image

INDEX = "model_index.json"

LIBRARIES = frozenset(("diffusers", "transformers"))
"""Where the parts of a pipeline may come from; anything else is a file of code beside the weights."""

ADAPTED_REFERENCES, BEGINNINGS = 4, 3

LORA_WEIGHTS = "pytorch_lora_weights.safetensors"
"""What diffusers calls the file of a LoRA."""


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """How a pipeline draws.

    Attributes:
        steps: Denoising steps.
        guidance: On the words.
        strength: How far a drawing moves away from its reference: 0 copies it, 1 forgets it. Without an IP-Adapter only.
        adapter_scale: How much the references count. With an IP-Adapter only.
        side: Of the pictures in pixels; 0 for what the pipeline was made for.
    """

    steps: int = 25
    guidance: float = 5.0
    strength: float = 0.7
    adapter_scale: float = 0.6
    side: int = 0


class DiffusersPainter:
    """Draws with a pipeline of diffusers."""

    def __init__(
        self, pipeline: Any, *, name: str, settings: PipelineSettings | None = None, adapted: bool = False
    ) -> None:
        """Take a pipeline that is loaded and on its device; `adapted` says that an IP-Adapter is in it."""
        self.pipeline = pipeline
        self.settings = settings or PipelineSettings()
        self._name = name
        self._adapted = adapted
        pipeline.set_progress_bar_config(disable=True)

    @classmethod
    def from_spec(
        cls,
        spec: Spec,
        *,
        device: str = "",
        settings: PipelineSettings | None = None,
        lora: Path | None = None,
        ip_adapter: str = "",
    ) -> DiffusersPainter:
        """The pipeline that a spec of the backend `diffusers` names.

        Args:
            spec: A folder, or a hub id with a revision.
            device: Empty for a GPU if there is one.
            settings: How it draws.
            lora: Folder that `tune.painter.lora` wrote.
            ip_adapter: Weights of an IP-Adapter: `FOLDER_OR_HUB_ID/SUBFOLDER/NAME.safetensors`.

        Raises:
            MissingError: The folder is not there, or the hub id cannot be had.
            InputError: It holds pickles or code of its own.
        """
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
        pipeline = load_pipeline(spec, dtype=torch.float16 if place.startswith("cuda") else torch.float32).to(place)
        if lora is not None:
            pipeline.load_lora_weights(str(lora), weight_name=LORA_WEIGHTS)
        if ip_adapter:
            _load_adapter(pipeline, ip_adapter)
        name = f"diffusers:{spec.name}"
        if lora is not None:
            name += f"+{lora.name}-{sha256_file(lora / LORA_WEIGHTS)[:12]}"
        return cls(pipeline, name=name, settings=settings, adapted=bool(ip_adapter))

    @property
    def name(self) -> str:
        """What is shown to a user and written into the metadata of a picture."""
        return self._name

    @property
    def styles(self) -> tuple[str, ...]:
        """None: for a pipeline the style is part of the words."""
        return ()

    @property
    def references(self) -> int:
        """As many as an IP-Adapter looks at; without one each drawing begins with another of a few."""
        return ADAPTED_REFERENCES if self._adapted else BEGINNINGS

    def generate(
        self, text: str, references: Sequence[Image.Image], *, n: int, seed: int, style: str = ""
    ) -> list[Image.Image]:
        """Draw n RGB pictures. Picture i of a seed is the same for any n.

        Args:
            text: What to draw.
            references: Best first; may be empty.
            n: How many.
            seed: The same seed, text, style and references give the same pictures on the same machine.
            style: Put behind the text, as in "a red umbrella, noto style".

        Raises:
            UsageError: n is below 1, or the pipeline cannot start from a picture.
        """
        if n < 1:
            raise UsageError(f"{n} pictures cannot be drawn.", hint="ask for 1 or more")
        prompt = f"{text}, {style} style" if style else text
        side = self.side
        prepare = Preparation(side, "pad", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        squares = [_picture(prepare, reference) for reference in references]
        return [self._one(prompt, squares, number, seed + number, side) for number in range(n)]

    def _one(self, prompt: str, references: list[Image.Image], number: int, seed: int, side: int) -> Image.Image:
        shared = {
            "prompt": prompt,
            "num_inference_steps": self.settings.steps,
            "guidance_scale": self.settings.guidance,
            "generator": torch.Generator("cpu").manual_seed(seed),
        }
        if self._adapted:  # it must see a picture: without references a white one, which counts nothing
            self.pipeline.set_ip_adapter_scale(self.settings.adapter_scale if references else 0.0)
            seen = references or [_blank(side)]
            made = self.pipeline(**shared, ip_adapter_image=[seen], height=side, width=side)
        elif references:
            start = references[number % len(references)]
            made = self._from_picture()(**shared, image=start, strength=self.settings.strength)
        else:
            made = self.pipeline(**shared, height=side, width=side)
        picture: Image.Image = made.images[0].convert("RGB")
        return picture

    def _from_picture(self) -> Any:
        """The same parts as a pipeline that starts from a picture; nothing is loaded again."""
        try:
            pipeline = AutoPipelineForImage2Image.from_pipe(self.pipeline)
        except ValueError as error:
            raise UsageError(
                f"'{self.name}' cannot draw from a picture.", hint="give it an IP-Adapter, or no references"
            ) from error
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    @property
    def side(self) -> int:
        """Pixels a side that it draws: as the settings say, or what the pipeline was trained for."""
        if self.settings.side:
            return self.settings.side
        network = getattr(self.pipeline, "unet", None) or self.pipeline.transformer
        return int(network.config.sample_size) * int(self.pipeline.vae_scale_factor)


def load_pipeline(spec: Spec, *, dtype: torch.dtype = torch.float32) -> Any:
    """The pipeline of a folder or a hub id, on the CPU.

    Raises:
        MissingError: The folder is not there, or the hub id cannot be had.
        InputError: It holds pickles or code of its own.
    """
    folder = Path(spec.name).expanduser()
    if folder.is_dir():
        check_pipeline(folder)
    elif spec.name.startswith((".", "/", "~")):
        raise MissingError(f"There is no folder {folder}.", hint="give a folder with a model_index.json, or a hub id")
    options: dict[str, Any] = {"revision": spec.revision} if spec.revision else {}
    source = str(folder) if folder.is_dir() else spec.name
    try:
        auto: Any = AutoPipelineForText2Image
        return auto.from_pretrained(source, use_safetensors=True, torch_dtype=dtype, **options)
    except OSError as error:
        raise MissingError(
            f"The pipeline '{spec.name}' cannot be loaded.", hint="safetensors are needed; is the name right?"
        ) from error


def check_pipeline(folder: Path) -> None:
    """Refuse a folder that needs more than safetensors and the libraries' own classes.

    Raises:
        MissingError: There is no model_index.json.
        InputError: A part is of another library, or is code in the folder.
    """
    for name, part in read_object(folder / INDEX).items():
        if name.startswith("_") or not isinstance(part, list) or part == [None, None]:
            continue
        if part[0] not in LIBRARIES:
            raise InputError(
                f"The part '{name}' of {folder} is code of its own ({part[0]}), which is never run.",
                hint="use a pipeline whose parts are classes of diffusers and transformers",
            )


def _load_adapter(pipeline: Any, path: str) -> None:
    """Load an IP-Adapter from `PLACE/SUBFOLDER/NAME.safetensors`."""
    place, _, rest = path.rpartition("/")
    source, _, subfolder = place.rpartition("/")
    if not rest.endswith(".safetensors") or not source:
        raise UsageError(
            f"'{path}' names no IP-Adapter.", hint="write it as FOLDER_OR_HUB_ID/SUBFOLDER/NAME.safetensors"
        )
    pipeline.load_ip_adapter(source, subfolder=subfolder, weight_name=rest)


def _picture(prepare: Preparation, reference: Image.Image) -> Image.Image:
    """A reference as a square picture on white."""
    from PIL import Image as pillow

    return pillow.fromarray(prepare(reference))


def _blank(side: int) -> Image.Image:
    from PIL import Image as pillow

    return pillow.new("RGB", (side, side), "white")
