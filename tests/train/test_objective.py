from __future__ import annotations

import numpy as np
import pytest
import torch

from honed.train.objective import full_corpus_loss

NONE = np.empty(0, np.int64)


def unit(rng: np.random.Generator, rows: int) -> torch.Tensor:
    values = rng.standard_normal((rows, 8))
    return torch.from_numpy((values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32))


def naive(queries, passages, positives, ignored, temperature) -> float:
    """The definition, one exponential at a time."""
    total = 0.0
    for row, own in enumerate(positives):
        logits = (queries[row] @ passages).numpy().astype(np.float64) / temperature
        out = set(own.tolist()) | set(ignored[row].tolist())
        negatives = [logits[column] for column in range(len(logits)) if column not in out]
        terms = []
        for column in own:
            sums = np.exp(logits[column]) + np.sum(np.exp(negatives))
            terms.append(-np.log(np.exp(logits[column]) / sums))
        total += float(np.mean(terms))
    return total / len(positives)


def test_equals_the_definition_with_several_positives_and_ignored_ones() -> None:
    rng = np.random.default_rng(0)
    queries, passages = unit(rng, 3), unit(rng, 20).T.contiguous()
    positives = [np.array([1]), np.array([2, 5, 7]), np.array([0, 19])]
    ignored = [np.array([3, 4]), NONE, np.array([18])]
    found = full_corpus_loss(queries, passages, positives, ignored, temperature=0.2)
    assert float(found) == pytest.approx(naive(queries, passages, positives, ignored, 0.2), rel=1e-4)


def test_an_ignored_passage_gets_no_gradient() -> None:
    rng = np.random.default_rng(1)
    queries, passages = unit(rng, 1), unit(rng, 6).T.contiguous().requires_grad_()
    full_corpus_loss(queries, passages, [np.array([0])], [np.array([4])], temperature=0.1).backward()
    assert passages.grad is not None
    assert float(passages.grad[:, 4].abs().max()) == 0.0
    assert float(passages.grad[:, 0].abs().max()) > 0.0
    assert float(passages.grad[:, 1].abs().max()) > 0.0


def test_positives_do_not_compete_with_each_other() -> None:
    """Moving one positive closer must not raise the loss of another."""
    query = torch.tensor([[1.0, 0.0]])
    near = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.0, 1.0]]).T.contiguous()
    nearer = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]).T.contiguous()
    both = [np.array([0, 1])]
    assert float(full_corpus_loss(query, nearer, both, [NONE], temperature=0.1)) < float(
        full_corpus_loss(query, near, both, [NONE], temperature=0.1)
    )
