"""A BERT-family encoder as an ONNX graph, built straight from safetensors: no torch, no exporter.

The graph holds everything from token ids to unit vectors, so that each runtime is one call:

    input_ids, attention_mask, token_type_ids  [n, length] int64   ->   embedding  [n, dimension] float32

Query, key and value are one multiplication, and the scale 1/sqrt(head) is folded into the query weights. The weights lie in
a second file, which a runtime maps instead of copying, so that a session opens sooner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import InputError
from honed.models.graph_writer import OUTPUT, WEIGHTS_SUFFIX, GraphWriter
from honed.models.tower import WORD_TABLE, Tower

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""What the graph takes, in this order."""

MASKED = -1e9
"""Added to the score of padding; large enough to vanish in softmax, and finite in bfloat16."""

Array = NDArray[np.float32]


def build(tower: Tower, path: Path) -> None:
    """Write the ONNX file of one tower, and its weights beside it with the suffix `.weights`.

    Raises:
        InputError: The architecture is not one that is built here, or a weight is missing or has the wrong shape.
    """
    shape = Shape.of(tower.config)
    with path.with_suffix(WEIGHTS_SUFFIX).open("wb") as file:
        graph = GraphWriter(file)
        _encoder(graph, _Checked(tower), shape, tower.pooling)
    path.write_bytes(graph.model(dict.fromkeys(INPUTS, (np.int64, ("batch", "length"))), shape.hidden))


def _encoder(graph: GraphWriter, weights: _Checked, shape: Shape, pooling: str) -> None:
    """From token ids to the unit vector."""
    mask = graph.floats("attention_mask")
    states = _embed(graph, weights, shape)
    bias = _attention_bias(graph, mask)
    for layer in range(shape.layers):
        states = _layer(graph, weights, shape, states, bias, f"encoder.layer.{layer}")
    _pool(graph, states, mask, pooling)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the graph needs to know of config.json."""

    layers: int
    hidden: int
    heads: int
    activation: str
    epsilon: float
    first_position: int

    @classmethod
    def of(cls, config: dict[str, Any]) -> Shape:
        """Read and check a configuration.

        Raises:
            InputError: The architecture or one of its options is not built here.
        """
        kind = config.get("model_type")
        if kind not in ("bert", "roberta", "xlm-roberta"):
            raise _unsupported(f"the architecture '{kind}'")
        if config.get("position_embedding_type", "absolute") != "absolute":
            raise _unsupported(f"position embeddings of type '{config['position_embedding_type']}'")
        if config.get("is_decoder") or config.get("add_cross_attention"):
            raise _unsupported("a decoder")
        if config.get("hidden_act", "gelu") not in ACTIVATIONS:
            raise _unsupported(f"the activation '{config['hidden_act']}'")
        try:
            shape = cls(
                layers=int(config["num_hidden_layers"]),
                hidden=int(config["hidden_size"]),
                heads=int(config["num_attention_heads"]),
                activation=config.get("hidden_act", "gelu"),
                epsilon=float(config.get("layer_norm_eps", 1e-12)),
                first_position=0 if kind == "bert" else int(config.get("pad_token_id", 1)) + 1,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"config.json does not describe an encoder: {error!r}.") from error
        if shape.layers < 1 or shape.heads < 1 or shape.hidden < 1 or shape.hidden % shape.heads:
            raise InputError(f"config.json asks for {shape.hidden} dimensions in {shape.heads} heads.")
        return shape


ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "gelu": ("Gelu", {"approximate": "none"}),
    "gelu_new": ("Gelu", {"approximate": "tanh"}),
    "gelu_pytorch_tanh": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
}


class _Checked:
    """Weights by their name inside the encoder, with the shape that is expected."""

    def __init__(self, tower: Tower) -> None:
        self._weights = tower.weights()
        self._prefix = tower.prefix()

    def __call__(self, name: str, *shape: int) -> Array:
        """One tensor in float32; -1 in `shape` matches anything."""
        try:
            value = self._weights[self._prefix + name].astype(np.float32, copy=False)
        except KeyError:
            raise InputError(
                f"The model has no weight '{name}'.", hint="is this the encoder of its config.json?"
            ) from None
        if len(shape) != value.ndim or any(
            want not in (-1, have) for want, have in zip(shape, value.shape, strict=True)
        ):
            raise InputError(f"The weight '{name}' has the shape {list(value.shape)} instead of {list(shape)}.")
        return value


def _embed(graph: GraphWriter, weights: _Checked, shape: Shape) -> str:
    """Word, position and type vectors, summed and normalised."""
    words = graph.constant(weights(WORD_TABLE, -1, shape.hidden), "words")
    positions = weights("embeddings.position_embeddings.weight", -1, shape.hidden)[shape.first_position :]
    types = graph.constant(weights("embeddings.token_type_embeddings.weight", -1, shape.hidden), "types")
    length = graph.node("Shape", "input_ids", start=1, end=2)
    used = graph.node("Slice", graph.constant(positions, "positions"), graph.ints(0), length, graph.ints(0))
    total = graph.node("Add", graph.node("Gather", words, "input_ids"), graph.node("Gather", types, "token_type_ids"))
    return _norm(graph, weights, shape, graph.node("Add", total, used), "embeddings.LayerNorm")


def _attention_bias(graph: GraphWriter, mask: str) -> str:
    """0 for tokens and a large negative number for padding, [n, 1, 1, length]."""
    gone = graph.node("Sub", graph.number(1.0), mask)
    return graph.node("Unsqueeze", graph.node("Mul", gone, graph.number(MASKED)), graph.ints(1, 2))


def _layer(graph: GraphWriter, weights: _Checked, shape: Shape, states: str, bias: str, name: str) -> str:
    """Self-attention and feed-forward, each with its residual and norm."""
    mixed = _attention(graph, weights, shape, states, bias, f"{name}.attention.self")
    mixed = _linear(graph, weights, mixed, f"{name}.attention.output.dense", shape.hidden, shape.hidden)
    states = _norm(graph, weights, shape, graph.node("Add", mixed, states), f"{name}.attention.output.LayerNorm")
    inner = _linear(graph, weights, states, f"{name}.intermediate.dense", -1, shape.hidden)
    operator, attributes = ACTIVATIONS[shape.activation]
    inner = graph.node(operator, inner, **attributes)
    outer = _linear(graph, weights, inner, f"{name}.output.dense", shape.hidden, -1)
    return _norm(graph, weights, shape, graph.node("Add", outer, states), f"{name}.output.LayerNorm")


def _attention(graph: GraphWriter, weights: _Checked, shape: Shape, states: str, bias: str, name: str) -> str:
    """Multi-head attention before its output projection, [n, length, hidden]."""
    size = shape.hidden // shape.heads
    matrices = [weights(f"{name}.{part}.weight", shape.hidden, shape.hidden).T for part in ("query", "key", "value")]
    biases = [weights(f"{name}.{part}.bias", shape.hidden) for part in ("query", "key", "value")]
    scale = np.float32(1 / math.sqrt(size))
    matrix = np.concatenate([matrices[0] * scale, *matrices[1:]], axis=1)
    shift = np.concatenate([biases[0] * scale, *biases[1:]])
    joined = graph.node("MatMul", states, graph.constant(matrix, f"{name}.qkv.weight"))
    joined = graph.node("Add", joined, graph.constant(shift, f"{name}.qkv.bias"))
    parts = graph.split(joined, 3)
    folded = [graph.node("Reshape", part, graph.ints(0, 0, shape.heads, size)) for part in parts]
    query, value = (graph.node("Transpose", folded[part], perm=[0, 2, 1, 3]) for part in (0, 2))
    key = graph.node("Transpose", folded[1], perm=[0, 2, 3, 1])
    scores = graph.node("MatMul", query, key)
    attention = graph.node("Softmax", graph.node("Add", scores, bias), axis=-1)
    mixed = graph.node("Transpose", graph.node("MatMul", attention, value), perm=[0, 2, 1, 3])
    return graph.node("Reshape", mixed, graph.ints(0, 0, shape.hidden))


def _linear(graph: GraphWriter, weights: _Checked, states: str, name: str, rows: int, columns: int) -> str:
    matrix = graph.constant(weights(f"{name}.weight", rows, columns).T, f"{name}.weight")
    product = graph.node("MatMul", states, matrix)
    return graph.node("Add", product, graph.constant(weights(f"{name}.bias", rows), f"{name}.bias"))


def _norm(graph: GraphWriter, weights: _Checked, shape: Shape, states: str, name: str) -> str:
    scale = graph.constant(weights(f"{name}.weight", shape.hidden), f"{name}.weight")
    shift = graph.constant(weights(f"{name}.bias", shape.hidden), f"{name}.bias")
    return graph.node("LayerNormalization", states, scale, shift, axis=-1, epsilon=shape.epsilon)


def _pool(graph: GraphWriter, states: str, mask: str, pooling: str) -> None:
    """One vector a text, of length one."""
    if pooling == "cls":
        pooled = graph.node("Gather", states, graph.constant(np.array(0, np.int64), "first"), axis=1)
    else:
        # The sum is enough: the unit length that follows makes the division by the count void.
        weighted = graph.node("MatMul", graph.node("Unsqueeze", mask, graph.ints(1)), states)
        pooled = graph.node("Squeeze", weighted, graph.ints(1))
    norm = graph.node("ReduceL2", pooled, graph.ints(1), keepdims=1)
    graph.node("Div", pooled, graph.node("Max", norm, graph.number(1e-12)), output=OUTPUT)


def _unsupported(what: str) -> InputError:
    return InputError(
        f"The encoder has {what}, which is not built here.",
        hint="use a BERT, RoBERTa or XLM-RoBERTa encoder, or serve this one and name it openai:MODEL@URL",
    )
