"""The network: a small U-Net of diffusers that sees the references beside the picture in the making, pixel by pixel.

It is trained with flow matching (Lipman et al. 2023, arXiv:2210.02747; rectified flow, Liu et al. 2023, arXiv:2209.03003): a
picture in the making is `(1 - t) * start + t * picture`, and the network says what the finished picture is.

Three things make it draw something within minutes on a CPU, where a network that is conditioned on one pooled vector of its
references gave coloured noise. The references enter as channels beside the picture. The way begins not at noise but at a
reference with noise on it (a coupling that depends on the data, Albergo et al. 2023, arXiv:2310.03725): what a short training
does not teach stays as in the reference, instead of being noise. And the answer is a mixture: for every pixel the network
weighs the references and the mean picture of the training set (a copy mechanism as in See et al. 2017, arXiv:1704.04368), and
adds what has to be different. Training goes into the differences from the style that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from honed.errors import missing_extra
from honed.models.painter.config import PainterConfig

try:
    import torch
    from diffusers.models.unets.unet_2d import UNet2DModel
    from torch.nn import functional
except ImportError as error:
    raise missing_extra(error.name or "diffusers", "imagine") from error

Tensor = torch.Tensor

GROUP = 16
"""Channels of each level are a multiple of this: the groups of the group norms."""

HEAD = 32
"""Channels of an attention head, where a level is wide enough."""

ALTERATIONS = 2
"""Marks of an augmented example: mirrored, colours exchanged. Known to the network, so that they do not leak into what it draws
(Karras et al. 2022, arXiv:2206.00364); never set when it draws."""

GROUND = -2.0
"""Weight (as a logit) of the mean picture beside references of weight 0, before training."""

CHANGE = 0.45
"""How far pixels of a drawing are from the mean of its references (root mean square)."""

CLOCK = 1000.0
"""diffusers counts time in thousandths."""


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """What a batch of b pictures is drawn from. Pixels run from -1 to 1.

    Attributes:
        references: [b, k, 3, side, side].
        present: [b, k], 1 where there is a reference, else 0.
        style: [b], number of the style from 1; 0 for none.
        text: [b, text] unit vectors.
        worded: [b], 1 where the text counts, else 0.
        altered: [b, ALTERATIONS], 1 where the example was augmented so.
    """

    references: Tensor
    present: Tensor
    style: Tensor
    text: Tensor
    worded: Tensor
    altered: Tensor

    def without_references(self) -> Condition:
        """The same with words and style alone."""
        return replace(self, present=torch.zeros_like(self.present))

    def without_words(self) -> Condition:
        """The same without text and style."""
        return replace(self, worded=torch.zeros_like(self.worded), style=torch.zeros_like(self.style))


class PainterNet(torch.nn.Module):
    """Estimates the finished picture from one in the making."""

    ground: Tensor

    def __init__(self, config: PainterConfig) -> None:
        super().__init__()
        self.config = config
        levels, area = len(config.channels), config.patch**2
        attends = [level >= levels - config.attention for level in range(levels)]
        self.unet: Any = UNet2DModel(
            sample_size=config.side // config.patch,
            in_channels=(3 + 4 * config.references) * area,
            out_channels=(3 + config.references + 1) * area,
            block_out_channels=config.channels,
            layers_per_block=config.layers,
            down_block_types=tuple("AttnDownBlock2D" if attend else "DownBlock2D" for attend in attends),
            up_block_types=tuple("AttnUpBlock2D" if attend else "UpBlock2D" for attend in reversed(attends)),
            attention_head_dim=min(HEAD, *config.channels),
            norm_num_groups=GROUP,
            resnet_time_scale_shift="scale_shift",
            class_embed_type="identity",
        )
        torch.nn.init.zeros_(self.unet.conv_out.weight)
        torch.nn.init.zeros_(self.unet.conv_out.bias)
        width = config.channels[0] * 4
        self.style = torch.nn.Embedding(len(config.styles) + 1, width)
        torch.nn.init.normal_(self.style.weight, std=0.02)
        self.text = torch.nn.Linear(config.text, width)
        self.wordless = torch.nn.Parameter(torch.zeros(width))
        self.altered = torch.nn.Linear(ALTERATIONS, width, bias=False)
        self.register_buffer("ground", torch.ones(3, config.side, config.side))

    def start(self, noise: Tensor, given: Condition) -> Tensor:
        """Where the way begins [b, 3, side, side]: the first reference under `spread` times the noise.

        Without a reference, the mean picture under the noise.
        """
        first = given.present[:, 0, None, None, None]
        return first * (given.references[:, 0] + self.config.spread * noise) + (1 - first) * (self.ground + noise)

    def evidence(self, drawing: Tensor, time: Tensor, given: Condition) -> Tensor:
        """What a picture in the making tells about the finished one beyond the mean of its references, [b, 3, side, side].

        Nothing at the start, all of it at the end: the best linear guess pixel by pixel (Wiener's filter; the preconditioning of
        Karras et al. 2022, arXiv:2206.00364, with the references as prior). Given the picture itself, a network takes noise for
        shapes until it has learnt at which time to trust it, which takes longer than all else: it drew blots.
        """
        share = time[:, None, None, None]
        first = given.present[:, 0, None, None, None]
        begin = first * given.references[:, 0] + (1 - first) * self.ground
        noise = ((1 - share) * (first * self.config.spread + (1 - first))).square()
        trust = share * CHANGE**2 / (share.square() * CHANGE**2 + noise).clamp_min(1e-6)
        return trust * (drawing - (1 - share) * begin - share * self._mean(given))

    def _mean(self, given: Condition) -> Tensor:
        """Mean of the references; the mean picture where there is none."""
        marks = given.present[:, :, None, None, None]
        count = marks.sum(1)
        mean = (given.references * marks).sum(1) / count.clamp_min(1.0)
        return torch.where(count > 0, mean, self.ground)

    def forward(self, drawing: Tensor, time: Tensor, given: Condition) -> Tensor:
        """The finished picture [b, 3, side, side] that a picture in the making at `time` [b] (0 noise, 1 done) will be."""
        marks = given.present[:, :, None, None, None]
        references = given.references * marks
        seen = torch.cat([references, marks.expand_as(references[:, :, :1])], 2).flatten(1, 2)
        evidence = self.evidence(drawing, time, given)
        out = self._network(torch.cat([evidence, seen], 1), time, self._words(given))
        weights = self._weights(out[:, 3:], given.present)
        sources = torch.cat([self.ground.expand(len(drawing), 1, *self.ground.shape), references], 1)
        return out[:, :3] + (weights[:, :, None] * sources).sum(1)

    def _network(self, seen: Tensor, time: Tensor, words: Tensor) -> Tensor:
        patch = self.config.patch
        cells = functional.pixel_unshuffle(seen, patch) if patch > 1 else seen
        out: Tensor = self.unet(cells, time * CLOCK, class_labels=words, return_dict=False)[0].float()
        pixels: Tensor = functional.pixel_shuffle(out, patch) if patch > 1 else out
        return pixels

    def _words(self, given: Condition) -> Tensor:
        """Style, text and marks as one vector [b, width], which the U-Net adds to that of the time."""
        scaled = given.text * self.config.text**0.5 / 4  # a unit vector of many numbers would be drowned by the bias
        text = torch.where(given.worded[:, None] > 0, self.text(scaled), self.wordless)
        words: Tensor = self.style(given.style) + text + self.altered(given.altered)
        return words

    def _weights(self, logits: Tensor, present: Tensor) -> Tensor:
        """How much of the mean picture and of each reference is in each pixel: [b, 1 + k, side, side], adding up to 1."""
        absent = torch.zeros_like(present).masked_fill(present < 0.5, -torch.inf)
        prior = torch.cat([torch.full_like(present[:, :1], GROUND), absent], 1)
        return (logits + prior[:, :, None, None]).softmax(1)
