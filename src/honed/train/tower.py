"""A text tower that can learn: the model folder's weights in torch, pooled and normalised as at inference."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from honed.errors import missing_extra
from honed.models.folder import Tower, open_folder
from honed.models.weights import write_weights
from honed.types import Vectors
from honed.workspace import fsync_folder, fsync_tree

try:
    import torch
    from torch.nn.functional import normalize
    from transformers import AutoModel
    from transformers.utils import logging as transformers_logging
except ImportError as error:
    raise missing_extra(error.name or "torch", "tune") from error

TokenIds = Sequence[int]


class LearningTower:
    """One tower of a model folder, ready for gradient steps.

    Dropout is off: with a few thousand questions and one to four epochs it costs more steps than it saves, and without it
    a run is a pure function of its seed, which is what makes a resumed run end in the same weights.
    """

    def __init__(self, tower: Tower, prompt: str, *, max_tokens: int, threads: int, bf16: bool) -> None:
        from tokenizers import Tokenizer

        logging: Any = transformers_logging
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        torch.set_num_threads(threads)
        self.tower = tower
        self.prompt = prompt
        self.bf16 = bf16
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model: Any = AutoModel.from_pretrained(
            tower.path, local_files_only=True, use_safetensors=True, dtype=torch.float32
        ).to(self.device)
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        self._tokenizer: Any = Tokenizer.from_file(str(tower.tokenizer_path))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(min(max_tokens, tower.max_tokens))

    @classmethod
    def query_of(cls, folder: Path, *, max_tokens: int, threads: int, bf16: bool) -> LearningTower:
        """The query tower of a model folder."""
        opened = open_folder(folder)
        return cls(opened.query, opened.query_prompt, max_tokens=max_tokens, threads=threads, bf16=bf16)

    @classmethod
    def document_of(cls, folder: Path, *, max_tokens: int, threads: int, bf16: bool) -> LearningTower:
        """The document tower of a model folder."""
        opened = open_folder(folder)
        return cls(opened.document, opened.document_prompt, max_tokens=max_tokens, threads=threads, bf16=bf16)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, cut to the longest length that is trained on."""
        encoded = self._tokenizer.encode_batch_fast([self.prompt + text for text in texts])
        return [list(item.ids) for item in encoded]

    def words(self) -> list[str]:
        """Whole words of the vocabulary, in a fixed order."""
        return sorted(word for word in self._tokenizer.get_vocab() if word.isalpha() and len(word) > 2)

    def __call__(self, batch: Sequence[TokenIds]) -> torch.Tensor:
        """Unit vectors [len(batch), dimension] in float32, with gradient."""
        width = max(len(ids) for ids in batch)
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for row, item in enumerate(batch):
            ids[row, : len(item)] = torch.tensor(item)
            mask[row, : len(item)] = 1
        ids, mask = ids.to(self.device), mask.to(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        hidden = hidden.float()
        if self.tower.pooling == "cls":
            return normalize(hidden[:, 0], dim=-1)
        weights = mask.unsqueeze(-1).float()
        return normalize((hidden * weights).sum(1) / weights.sum(1), dim=-1)

    def grouped(self, batch: Sequence[TokenIds], size: int = 16) -> torch.Tensor:
        """As a call, for a batch of unlike lengths: encoded in groups of like length, returned in the order given."""
        order = sorted(range(len(batch)), key=lambda at: len(batch[at]))
        parts = [self([batch[at] for at in order[start : start + size]]) for start in range(0, len(order), size)]
        return torch.cat(parts)[torch.from_numpy(np.argsort(order))]

    def encode(self, texts: Sequence[str], *, batch: int = 32) -> Vectors:
        """Unit vectors of texts without gradient, [len(texts), dimension], sorted by length inside for speed."""
        if not texts:
            return np.zeros((0, self.tower.dimension), np.float32)
        tokens = self.tokens(texts)
        order = np.argsort([len(ids) for ids in tokens], kind="stable")
        out = np.zeros((len(texts), self.tower.dimension), np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), batch):
                rows = order[start : start + batch]
                out[rows] = self([tokens[row] for row in rows]).cpu().numpy()
        return out

    def parameters(self, *, freeze_words: bool, freeze_layers: int = 0) -> dict[str, torch.nn.Parameter]:
        """The parameters that are trained, by name.

        The word table is half of MiniLM's weights; its dense gradient costs a large share of a step and moves little.
        """
        frozen = ["embeddings."] if freeze_words else []
        frozen += [f"encoder.layer.{layer}." for layer in range(freeze_layers)]
        chosen = {}
        for name, parameter in self.model.named_parameters():
            learns = not name.startswith((*frozen, "pooler."))
            parameter.requires_grad_(learns)
            if learns:
                chosen[name] = parameter
        return chosen

    def weights(self) -> dict[str, np.ndarray[Any, Any]]:
        """A copy of all weights, float32."""
        return {name: value.detach().cpu().float().numpy().copy() for name, value in self.model.state_dict().items()}

    @contextmanager
    def blended(self, base: Mapping[str, np.ndarray[Any, Any]], share: float) -> Iterator[None]:
        """For the length of a block, weights are `base + share * (own - base)`."""
        own = self.weights()
        self.blend(base, share)
        try:
            yield
        finally:
            self.load(own)

    def blend(self, base: Mapping[str, np.ndarray[Any, Any]], share: float) -> None:
        """Move the weights to `base + share * (own - base)`."""
        self.load({name: base[name] + share * (value - base[name]) for name, value in self.weights().items()})

    def load(self, weights: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Take weights over."""
        state = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in weights.items()}
        self.model.load_state_dict(state)


def save_tower(base: Tower, weights: Mapping[str, np.ndarray[Any, Any]], folder: Path) -> None:
    """Write an ordinary one-tower model folder: everything of the base folder, with these weights.

    Names and set of tensors follow the base's own file, so whatever reads the base reads this.
    """
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(
        base.path, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.bin", "*.onnx", ".git*", "README.md")
    )
    kept = base.weights()
    tensors = {
        name: np.asarray(weights[_stripped(name)] if _stripped(name) in weights else kept[name]) for name in kept
    }
    write_weights(folder / "model.safetensors", tensors, metadata={"format": "pt"})
    fsync_tree(folder)  # the candidate's file, which calls the rung complete, is written after this
    fsync_folder(folder.parent)


def _stripped(name: str) -> str:
    """A tensor's name without the prefix that models saved with a head carry."""
    return name.removeprefix("bert.")
