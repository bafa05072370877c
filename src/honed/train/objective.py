"""The training loss: cross-entropy of each positive against every passage that is not one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

MASKED = -1e4
"""A logit that takes a passage out of the sum, still finite in bfloat16."""


def full_corpus_loss(
    queries: torch.Tensor,
    passages: torch.Tensor,
    positives: Sequence[NDArray[np.int64]],
    ignored: Sequence[NDArray[np.int64]],
    *,
    temperature: float,
) -> torch.Tensor:
    """InfoNCE with all passages of the corpus as negatives (van den Oord et al. 2018, arXiv:1807.03748).

    Every positive is one term of its query's mean: it competes with the negatives, not with the other positives
    (the "outside" sum of supervised contrastive learning, Khosla et al. 2020, arXiv:2004.11362).

    Args:
        queries: [b, d] with gradient.
        passages: [d, p] cached vectors, any float type.
        positives: For each query, columns of its positives; none may be empty.
        ignored: For each query, columns that are neither: likely positives without a label.
    """
    logits = (queries.to(passages.dtype) @ passages).float() / temperature
    rows = torch.from_numpy(np.repeat(np.arange(len(positives)), [len(item) for item in positives])).to(logits.device)
    columns = torch.from_numpy(np.concatenate(positives)).to(logits.device)
    negatives = logits.clone()
    negatives[rows, columns] = MASKED
    hidden = torch.from_numpy(np.repeat(np.arange(len(ignored)), [len(item) for item in ignored])).to(logits.device)
    negatives[hidden, torch.from_numpy(np.concatenate(ignored)).to(logits.device)] = MASKED
    rest = torch.logsumexp(negatives, dim=1)
    own = logits[rows, columns]
    terms = torch.logaddexp(own, rest[rows]) - own
    counts = torch.bincount(rows, minlength=len(positives)).float()
    return (terms / counts[rows]).sum() / len(positives)
