"""Fine-tune a Stable Diffusion pipeline on a user's pictures with LoRA (Hu et al. 2021, arXiv:2106.09685), through peft.

Only low-rank additions to the attention of the U-Net are trained. Texts and pictures go through the frozen text encoder and
VAE once, before the first step.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from honed.errors import UsageError, missing_extra
from honed.models.painter.compact import to_tensor
from honed.models.painter.pipeline import LORA_WEIGHTS
from honed.roles.image_generator.pictures import Pixels, epoch_rows
from honed.train.fit import Checkpoint, Fit, Schedule, fit
from honed.workspace import fsync_tree

try:
    import torch
    from diffusers import DDPMScheduler
    from diffusers.utils.state_dict_utils import convert_state_dict_to_diffusers
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict
except ImportError as error:
    raise missing_extra(error.name or "peft", "imagine") from error

TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
"""The attention's projections, as diffusers calls them."""

ENCODED = 8
"""Pictures that go through the VAE at once."""


@dataclass(frozen=True, slots=True)
class LoraRecipe:
    """How a LoRA is trained."""

    seed: int = 13
    rank: int = 8
    batch: int = 4
    rate: float = 1e-4
    bf16: bool = False


def train_lora(
    pipeline: Any, pixels: Pixels, prompts: Sequence[str], folder: Path, *, recipe: LoraRecipe, steps: int
) -> Fit:
    """Train a LoRA and write it to `folder`, where `DiffusersPainter.from_spec(lora=folder)` finds it.

    A training that was killed goes on where it was.

    Args:
        pipeline: From `load_pipeline`; it has the LoRA in it afterwards.
        pixels: [n, side, side, 3] bytes, of the side that the pipeline draws.
        prompts: n texts.
        folder: For the weights, and for the checkpoint while it is unfinished.
        recipe: How.
        steps: Gradient steps.

    Raises:
        UsageError: The pipeline is of another make than Stable Diffusion 1 or 2.
        HonedError: The loss is not a number, or no weight moved.
    """
    _check(pipeline, pixels, prompts)
    texts, latents = _texts(pipeline, prompts), _latents(pipeline, pixels)
    unet = pipeline.unet
    for part in (unet, pipeline.vae, pipeline.text_encoder):
        part.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        unet.add_adapter(
            LoraConfig(r=recipe.rank, lora_alpha=recipe.rank, init_lora_weights="gaussian", target_modules=[*TARGETS])
        )
    learnt = {name: value for name, value in unet.named_parameters() if value.requires_grad}
    schedule = DDPMScheduler.from_config(pipeline.scheduler.config)  # type: ignore[no-untyped-call]
    rows = np.arange(len(latents))

    def loss_of(step: int) -> torch.Tensor:
        chosen = torch.from_numpy(epoch_rows(rows, recipe.batch, recipe.seed, step))
        return _denoising_loss(unet, schedule, latents[chosen], texts[chosen], recipe, step)

    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(folder, _key(texts, latents, recipe, steps))
    done = fit(learnt, loss_of, Schedule(steps, recipe.rate, math.inf), checkpoint=checkpoint)
    state = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))  # type: ignore[no-untyped-call]
    type(pipeline).save_lora_weights(folder, unet_lora_layers=state, weight_name=LORA_WEIGHTS, safe_serialization=True)
    checkpoint.path.unlink(missing_ok=True)
    fsync_tree(folder)
    return done


def _denoising_loss(
    unet: Any, schedule: Any, latents: torch.Tensor, texts: torch.Tensor, recipe: LoraRecipe, step: int
) -> torch.Tensor:
    """Squared error of what the scheduler's objective asks for (noise, or velocity), at random times."""
    generator = torch.Generator().manual_seed(int(np.random.default_rng([recipe.seed, 2, step]).integers(2**62)))
    noise = torch.randn(latents.shape, generator=generator).to(latents.device)
    times = torch.randint(schedule.config.num_train_timesteps, (len(latents),), generator=generator).to(latents.device)
    noised = schedule.add_noise(latents, noise, times)
    velocity = schedule.config.prediction_type == "v_prediction"
    target = schedule.get_velocity(latents, noise, times) if velocity else noise
    with torch.autocast(latents.device.type, torch.bfloat16, enabled=recipe.bf16):
        estimate = unet(noised, times, encoder_hidden_states=texts, return_dict=False)[0]
    return torch.nn.functional.mse_loss(estimate.float(), target.float())


@torch.no_grad()
def _texts(pipeline: Any, prompts: Sequence[str]) -> torch.Tensor:
    """Prompts as the U-Net takes them, [n, tokens, width]."""
    tokens = pipeline.tokenizer(
        list(prompts),
        padding="max_length",
        max_length=pipeline.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    states: torch.Tensor = pipeline.text_encoder(tokens.input_ids.to(pipeline.device))[0]
    return states


@torch.no_grad()
def _latents(pipeline: Any, pixels: Pixels) -> torch.Tensor:
    """Pictures as the VAE sees them (the middle of its distribution), [n, channels, height, width]."""
    parts = []
    for start in range(0, len(pixels), ENCODED):
        pictures = to_tensor(pixels[start : start + ENCODED]).to(pipeline.device, pipeline.vae.dtype)
        parts.append(pipeline.vae.encode(pictures).latent_dist.mode() * pipeline.vae.config.scaling_factor)
    return torch.cat(parts)


def _key(texts: torch.Tensor, latents: torch.Tensor, recipe: LoraRecipe, steps: int) -> str:
    digest = hashlib.sha256(json.dumps([asdict(recipe), steps], sort_keys=True).encode())
    for part in (texts, latents):
        digest.update(part.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _check(pipeline: Any, pixels: Pixels, prompts: Sequence[str]) -> None:
    if len(pixels) != len(prompts) or not len(pixels):
        raise UsageError(f"{len(pixels)} pictures and {len(prompts)} texts do not go together.")
    parts = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
    if hasattr(pipeline, "text_encoder_2") or any(getattr(pipeline, part, None) is None for part in parts):
        raise UsageError(
            f"A {type(pipeline).__name__} is not tuned here.",
            hint="give a pipeline of Stable Diffusion 1 or 2, or tune the compact painter",
        )
