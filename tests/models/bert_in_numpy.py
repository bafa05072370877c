"""BERT's forward pass as in the paper, in float64: what the graph is compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

erf = np.vectorize(math.erf)


def encode(weights: Mapping[str, Any], ids: list[int], *, heads: int, layers: int, pooling: str = "mean") -> Any:
    """One text without padding; returns its unit vector [hidden]."""

    def get(name: str) -> Any:
        return weights[name].astype(np.float64)

    def linear(states: Any, name: str) -> Any:
        return states @ get(f"{name}.weight").T + get(f"{name}.bias")

    def norm(states: Any, name: str) -> Any:
        centred = states - states.mean(-1, keepdims=True)
        scaled = centred / np.sqrt(centred.var(-1, keepdims=True) + 1e-12)
        return scaled * get(f"{name}.weight") + get(f"{name}.bias")

    words, positions = get("embeddings.word_embeddings.weight"), get("embeddings.position_embeddings.weight")
    states = words[ids] + positions[: len(ids)] + get("embeddings.token_type_embeddings.weight")[0]
    states = norm(states, "embeddings.LayerNorm")
    for layer in range(layers):
        name = f"encoder.layer.{layer}"
        query, key, value = (
            linear(states, f"{name}.attention.self.{part}").reshape(len(ids), heads, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ value
        mixed = linear(mixed.transpose(1, 0, 2).reshape(states.shape), f"{name}.attention.output.dense")
        states = norm(states + mixed, f"{name}.attention.output.LayerNorm")
        inner = linear(states, f"{name}.intermediate.dense")
        inner = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
        states = norm(states + linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    pooled = states[0] if pooling == "cls" else states.mean(0)
    return pooled / np.linalg.norm(pooled)
