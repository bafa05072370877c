"""EfficientNet-Lite0 as an ONNX graph, built straight from its weights: no torch, no exporter.

    images [n, side, side, 3] uint8, RGB   ->   embedding [n, 1280 + maps] float32, not of unit length

Each convolution takes the batch norm behind it into its weights. "Lite" is EfficientNet (Tan and Le 2019,
https://arxiv.org/abs/1905.11946) without squeeze-and-excitation and with ReLU6, made for small processors. The last
feature map is pooled by a generalised mean (Radenovic et al. 2018, https://arxiv.org/abs/1711.02512): the p-th root of the
mean of p-th powers, which lies between the mean (p = 1) and the largest value. Earlier maps may join it, each averaged over
the cells of a small grid: they know how a thing is drawn and where its parts are, which the last one forgets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import InputError
from honed.models.graph_writer import OUTPUT, WEIGHTS_SUFFIX, GraphWriter
from honed.models.vision.prepare import Preparation

DIMENSION = 1280
STEM = 32
STRIDE = 32
"""The last map has one cell for so many pixels. Sides that are a multiple of it pad each convolution as at 224 pixels."""

EPSILON = 1e-3
"""Of the batch norms."""

NORM_PARTS = ("weight", "bias", "running_mean", "running_var")

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Block:
    """One inverted bottleneck: widen by `expand`, convolve each channel by itself, project."""

    kernel: int
    stride: int
    expand: int
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class _Stage:
    repeat: int
    kernel: int
    stride: int
    expand: int
    outputs: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


LITE0, LITE1 = 1.0, 1.1
"""Depth of the two: Lite1 has more blocks of the same widths. The first and the last stage are as long in both."""


def blocks(depth: float = LITE0) -> Iterator[Block]:
    """The blocks in order, sixteen of Lite0 and 21 of Lite1; the first of a stage strides and changes the number of channels."""
    channels = STEM
    for place, stage in enumerate(_STAGES):
        scaled = 0 < place < len(_STAGES) - 1
        for number in range(math.ceil(stage.repeat * depth) if scaled else stage.repeat):
            yield Block(stage.kernel, stage.stride if number == 0 else 1, stage.expand, channels, stage.outputs)
            channels = stage.outputs


Maps = Sequence[tuple[int, int]]
"""(block, grid), blocks ascending: the output of a block, averaged over grid x grid cells, joins the descriptor."""


def parts(maps: Maps) -> tuple[int, ...]:
    """Widths of the parts of a descriptor: the last map, then the others in order."""
    outputs = [block.outputs for block in blocks()]
    return (DIMENSION, *(outputs[number] * grid * grid for number, grid in maps))


def shapes(depth: float = LITE0) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that the graph is made of, in the words of the package `efficientnet-lite-pytorch`."""
    extents: dict[str, tuple[int, ...]] = {}

    def conv(name: str, norm: str, *shape: int) -> None:
        extents[f"{name}.weight"] = shape
        extents.update({f"{norm}.{part}": shape[:1] for part in NORM_PARTS})

    conv("_conv_stem", "_bn0", STEM, 3, 3, 3)
    for number, block in enumerate(blocks(depth)):
        name, wide = f"_blocks.{number}", block.inputs * block.expand
        if block.expand != 1:
            conv(f"{name}._expand_conv", f"{name}._bn0", wide, block.inputs, 1, 1)
        conv(f"{name}._depthwise_conv", f"{name}._bn1", wide, 1, block.kernel, block.kernel)
        conv(f"{name}._project_conv", f"{name}._bn2", block.outputs, wide, 1, 1)
    conv("_conv_head", "_bn1", DIMENSION, block.outputs, 1, 1)
    return extents


def checked(tensors: Mapping[str, NDArray[Any]], depth: float = LITE0) -> dict[str, Array]:
    """The tensors that the graph is made of, in float32. Others, such as the classifier, are left out.

    Raises:
        InputError: One is missing, has the wrong shape, or holds something that is not a number.
    """
    arrays = {}
    for name, shape in shapes(depth).items():
        if name not in tensors:
            raise InputError(f"The model has no weight '{name}'.", hint="is this a state dict of EfficientNet-Lite?")
        value = tensors[name].astype(np.float32, copy=False)
        if value.shape != shape:
            raise InputError(f"The weight '{name}' has the shape {list(value.shape)} instead of {list(shape)}.")
        if not np.isfinite(value).all():
            raise InputError(f"The weight '{name}' holds NaN or infinity.")
        arrays[name] = value
    return arrays


def build(
    tensors: Mapping[str, NDArray[Any]], preparation: Preparation, power: float, path: Path, *, maps: Maps = ()
) -> None:
    """Write the ONNX file, and its weights beside it with the suffix `.weights`.

    Args:
        tensors: The state dict, names as in the package `efficientnet-lite-pytorch`. The classifier may be left out.
        preparation: The side of the pictures, and the mean and deviation of the pixels.
        power: The p of the generalised mean over the last feature map.
        path: Where the graph goes.
        maps: Which earlier maps join the descriptor.

    Raises:
        InputError: A weight is missing or has the wrong shape.
    """
    side = preparation.side
    with path.with_suffix(WEIGHTS_SUFFIX).open("wb") as file:
        graph = GraphWriter(file)
        network = _Network(graph, checked(tensors))
        states = network.conv(_pixels(graph, preparation), "_conv_stem", "_bn0", stride=2)
        cells, map_outputs = side // 2, []
        for number, block in enumerate(blocks()):
            states, cells = network.block(states, block, f"_blocks.{number}"), -(-cells // block.stride)
            if number in dict(maps):
                map_outputs.append(_on_grid(graph, states, block.outputs, cells, dict(maps)[number]))
        pooled = _pool(graph, network.conv(states, "_conv_head", "_bn1"), power, output="" if map_outputs else OUTPUT)
        if map_outputs:
            graph.node("Concat", pooled, *map_outputs, axis=1, output=OUTPUT)
    path.write_bytes(graph.model({"images": (np.uint8, ("batch", side, side, 3))}, sum(parts(maps))))


def _pixels(graph: GraphWriter, preparation: Preparation) -> str:
    """Pixels as the network was trained on them, channels first."""
    mean, deviation = (np.array(values, np.float32) for values in (preparation.mean, preparation.deviation))
    centred = graph.node("Sub", graph.floats("images"), graph.constant(mean, "mean"))
    scaled = graph.node("Mul", centred, graph.constant(1 / deviation, "scale"))
    return graph.node("Transpose", scaled, perm=[0, 3, 1, 2])


def _pool(graph: GraphWriter, states: str, power: float, *, output: str) -> str:
    """One number a channel."""
    if power == 1:
        return graph.node("ReduceMean", states, graph.ints(2, 3), keepdims=0, output=output)
    powers = graph.node("Pow", states, graph.number(power))
    mean = graph.node("ReduceMean", powers, graph.ints(2, 3), keepdims=0)
    return graph.node("Pow", mean, graph.number(1 / power), output=output)


def _on_grid(graph: GraphWriter, states: str, channels: int, cells: int, grid: int) -> str:
    """A map of cells x cells averaged over grid x grid parts that overlap where they do not fit: one matrix product."""
    averages = np.zeros((cells, grid), np.float32)
    for part in range(grid):
        start, stop = part * cells // grid, -(-(part + 1) * cells // grid)
        averages[start:stop, part] = 1 / (stop - start)
    weights = graph.constant(np.kron(averages, averages), f"grid_{len(graph.nodes)}")
    flat = graph.node("Reshape", states, graph.ints(0, channels, cells * cells))
    return graph.node("Reshape", graph.node("MatMul", flat, weights), graph.ints(0, channels * grid * grid))


class _Network:
    """Adds layers to a graph."""

    def __init__(self, graph: GraphWriter, tensors: Mapping[str, Array]) -> None:
        self._graph = graph
        self._tensors = tensors
        self._limits = graph.number(0.0), graph.number(6.0)

    def block(self, states: str, block: Block, name: str) -> str:
        inner = states
        if block.expand != 1:
            inner = self.conv(inner, f"{name}._expand_conv", f"{name}._bn0")
        inner = self.conv(inner, f"{name}._depthwise_conv", f"{name}._bn1", stride=block.stride, depthwise=True)
        inner = self.conv(inner, f"{name}._project_conv", f"{name}._bn2", relu=False)
        same = block.stride == 1 and block.inputs == block.outputs
        return self._graph.node("Add", inner, states) if same else inner

    def conv(
        self, states: str, name: str, norm: str, *, stride: int = 1, depthwise: bool = False, relu: bool = True
    ) -> str:
        """A convolution (`depthwise`: of each channel by itself) and its batch norm as one, padded as TensorFlow pads."""
        gain, shift, mean, variance = (self._tensors[f"{norm}.{part}"] for part in NORM_PARTS)
        gain = gain / np.sqrt(variance + np.float32(EPSILON))
        weights = self._tensors[f"{name}.weight"] * gain[:, None, None, None]
        kernel = weights.shape[-1]
        before = (kernel - stride) // 2
        value = self._graph.node(
            "Conv",
            states,
            self._graph.constant(weights, f"{name}.weight"),
            self._graph.constant(shift - mean * gain, f"{name}.bias"),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, kernel - stride - before, kernel - stride - before],
            group=len(weights) if depthwise else 1,
        )
        return self._graph.node("Clip", value, *self._limits) if relu else value
