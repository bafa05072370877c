"""Texts to padded batches of token ids: like lengths together, a budget of tokens a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from honed.errors import InputError
from honed.models.tower import Tower

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKEN_BUDGET = 512
"""Padded tokens a batch. bf16 hardly minds the size; int8 is slower with larger batches (`benchmarks/encoding`)."""

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts of like lengths: their places in the list that was given [n], and a graph's inputs [n, length]."""

    positions: Ids
    input_ids: Ids
    attention_mask: Ids

    @property
    def inputs(self) -> tuple[Ids, Ids, Ids]:
        """Ids, mask and (all zero) types, as `Runtime.run` takes them."""
        return self.input_ids, self.attention_mask, np.zeros_like(self.input_ids)


def open_tokenizer(tower: Tower) -> Tokenizer:
    """The tower's fast tokenizer, cutting at its longest input. Padding is left to `batches`.

    Raises:
        InputError: The file is not a tokenizer.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(tower.tokenizer_path))
    except Exception as error:  # the library raises bare Exception
        raise InputError(f"{tower.tokenizer_path} is not a tokenizer: {error}.") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(tower.max_tokens)
    return tokenizer


def prepared(tower: Tower, prompt: str, texts: Sequence[str]) -> list[str]:
    """Texts as the tower's tokenizer takes them, for search and for training: prompted, lowered where it asks for that.

    A question mark stands for each half of a surrogate pair: those are no characters and stop the tokenizer.
    """
    whole = [_valid(prompt + text) for text in texts]
    return [text.lower() for text in whole] if tower.lowercase else whole


def batches(tokenizer: Tokenizer, texts: Sequence[str], *, budget: int = TOKEN_BUDGET) -> list[Batch]:
    """Batches of like lengths, longest first, each of at most `budget` tokens with padding, or of one text."""
    rows = [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]
    order = sorted(range(len(rows)), key=lambda position: -len(rows[position]))
    groups: list[list[int]] = []
    for position in order:
        if not groups or (len(groups[-1]) + 1) * len(rows[groups[-1][0]]) > budget:
            groups.append([])
        groups[-1].append(position)
    return [_pad(rows, group) for group in groups]


def _valid(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _pad(rows: list[list[int]], group: list[int]) -> Batch:
    """One batch as wide as its first text. The id of padding does not matter, because it is masked: 0."""
    ids = np.zeros((len(group), len(rows[group[0]])), np.int64)
    mask = np.zeros_like(ids)
    for line, position in enumerate(group):
        ids[line, : len(rows[position])] = rows[position]
        mask[line, : len(rows[position])] = 1
    return Batch(np.array(group, np.int64), ids, mask)
