"""A text tower that can learn: the model folder's weights in torch, pooled and normalised as at inference."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from honed.errors import IntegrityError, missing_extra
from honed.models.embedder import LocalEmbedder
from honed.models.folder import ModelFolder, open_folder
from honed.models.probe_texts import SENTENCES
from honed.models.tokens import open_tokenizer, prepared
from honed.models.tower import Tower
from honed.models.weights import Weights, write_weights
from honed.types import Vectors
from honed.workspace import fsync_folder, fsync_tree

try:
    import torch
    from torch.nn.functional import normalize
    from transformers import MODEL_MAPPING, AutoConfig
    from transformers.utils import logging as transformers_logging
except ImportError as error:
    raise missing_extra(error.name or "torch", "tune") from error

TokenIds = Sequence[int]

READ_BACK = (*SENTENCES[:7], SENTENCES[0].upper())
"""Texts by which saved weights are compared with the tower in memory; one is in capitals."""

AGREEMENT = 1e-4
"""Largest difference of any number of two unit vectors: two libraries in float32 stay far below it, other weights do not."""


class LearningTower:
    """One tower of a model folder, ready for gradient steps.

    Dropout is off: with a few thousand questions and one to four epochs it costs more steps than it saves, and without it
    a run is a pure function of its seed, which is what makes a resumed run end in the same weights.
    """

    def __init__(
        self, model: ModelFolder, side: Literal["query", "document"], *, max_tokens: int, threads: int, bf16: bool
    ) -> None:
        logging: Any = transformers_logging
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        torch.set_num_threads(threads)
        self.side = side
        self.tower: Tower = getattr(model, side)
        self.prompt: str = getattr(model, f"{side}_prompt")
        self.threads = threads
        self.bf16 = bf16
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model: Any = _loaded(self.tower).to(self.device)
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        self._longest = min(max_tokens, self.tower.max_tokens)
        self._tokenizer: Any = open_tokenizer(self.tower)
        self._tokenizer.enable_truncation(self._longest)

    @classmethod
    def query_of(cls, folder: Path, *, max_tokens: int, threads: int, bf16: bool) -> LearningTower:
        """The query tower of a model folder."""
        return cls(open_folder(folder), "query", max_tokens=max_tokens, threads=threads, bf16=bf16)

    @classmethod
    def document_of(cls, folder: Path, *, max_tokens: int, threads: int, bf16: bool) -> LearningTower:
        """The document tower of a model folder."""
        return cls(open_folder(folder), "document", max_tokens=max_tokens, threads=threads, bf16=bf16)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, cut to the longest length that is trained on."""
        encoded = self._tokenizer.encode_batch_fast(prepared(self.tower, self.prompt, texts))
        return [list(item.ids) for item in encoded]

    def words(self) -> list[str]:
        """Whole words of the vocabulary, in a fixed order."""
        return whole_words(list(self._tokenizer.get_vocab()))

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

    def encode_as_served(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts as search has them: in float32, cut at the model's own length."""
        bf16, self.bf16 = self.bf16, False
        self._tokenizer.enable_truncation(self.tower.max_tokens)
        try:
            return self.encode(texts)
        finally:
            self._tokenizer.enable_truncation(self._longest)
            self.bf16 = bf16

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


def _loaded(tower: Tower) -> Any:
    """The encoder in torch, from the tensors that serving reads: transformers alone knows few of the prefixes."""
    config: Any = AutoConfig.from_pretrained(tower.path, local_files_only=True)
    prefix = tower.prefix()
    state = {
        name.removeprefix(prefix): torch.from_numpy(np.array(value, np.float32))
        for name, value in tower.weights().items()
        if name.startswith(prefix) and value.dtype.kind == "f"
    }
    model_class: Any = MODEL_MAPPING[type(config)]
    return model_class.from_pretrained(None, config=config, state_dict=state, dtype=torch.float32)


WORDPIECE, SENTENCEPIECE, BYTE_LEVEL = "##", "\u2581", "\u0120"
"""What a piece of a vocabulary begins with: WordPiece marks the inside of a word, the others mark its beginning."""


def whole_words(vocabulary: Sequence[str]) -> list[str]:
    """The pieces of a vocabulary that are words of three letters or more, sorted; all that are letters if there are none."""
    mark = max(
        (WORDPIECE, SENTENCEPIECE, BYTE_LEVEL), key=lambda mark: sum(piece.startswith(mark) for piece in vocabulary)
    )
    pieces = list(vocabulary)
    if mark != WORDPIECE:
        pieces = [piece for piece in vocabulary if piece.startswith(mark)]
        pieces = [_bytes_as_text(piece) if mark == BYTE_LEVEL else piece.removeprefix(mark) for piece in pieces]
    letters = sorted({piece for piece in pieces if piece.isalpha()})
    return [word for word in letters if len(word) > 2] or letters or sorted(vocabulary)


def _bytes_as_text(piece: str) -> str:
    """A piece of byte-level BPE, which writes each byte as a letter of its own, as the text that it stands for."""
    from tokenizers import decoders

    text: str = decoders.ByteLevel().decode([piece])
    return text.strip()


def save_tower(tower: LearningTower, folder: Path, *, share: float) -> float:
    """Write an ordinary one-tower model folder: everything of the base folder, with the tower's weights.

    Names and set of tensors follow the base's own file, so whatever reads the base reads this. What was written is read
    back through the runtime that will serve it, and has to give the vectors of the tower in memory.

    Args:
        tower: What has learned.
        folder: Where; what is there goes.
        share: How much of what was learned the tower keeps; with 0 its weights may be the base's.

    Returns:
        Largest relative change of any saved tensor against the base's file.

    Raises:
        IntegrityError: What was saved is not what was trained; the folder must not be used.
    """
    base = tower.tower
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(
        base.path, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.bin", "*.onnx", ".git*", "README.md")
    )
    kept, prefix, own = base.weights(), base.prefix(), tower.weights()
    inside = {name: name.removeprefix(prefix) for name in kept if name.startswith(prefix)}
    tensors = {name: np.asarray(own.get(inside.get(name, ""), kept[name])) for name in kept}
    write_weights(folder / "model.safetensors", tensors, metadata={"format": "pt"})
    fsync_tree(folder)  # the candidate's file, which calls the stage complete, is written after this
    fsync_folder(folder.parent)
    moved = _change(kept, Weights(folder / "model.safetensors"))
    if share and not moved:
        raise IntegrityError("The weights that were saved are those of the untuned model.", hint=_DEFECT)
    difference = _read_back(tower, folder)
    if not difference <= AGREEMENT:
        raise IntegrityError(
            f"The weights that were saved give other vectors than those that were trained (by {difference:.2g}).",
            hint=_DEFECT,
        )
    return moved


_DEFECT = "this is a defect: please report it with the model's name and the run's folder"


def _change(before: Weights, after: Weights) -> float:
    """Largest relative change of any tensor of floats: norm of the change over norm before, or itself where that was 0."""
    changes = [
        float(np.linalg.norm(after[name] - before[name])) / (float(np.linalg.norm(before[name])) or 1.0)
        for name in before
        if before[name].dtype.kind == "f"
    ]
    return max(changes, default=0.0)


def _read_back(tower: LearningTower, folder: Path) -> float:
    """Largest difference between the vectors of the saved folder, as search will have them, and those of the tower."""
    with TemporaryDirectory(dir=folder.parent, prefix=".read-back-") as cache:
        served = LocalEmbedder(folder, cache_dir=Path(cache), threads=tower.threads)
        vectors = served.encode_query(READ_BACK) if tower.side == "query" else served.encode_document(READ_BACK)
    return float(np.abs(vectors - tower.encode_as_served(READ_BACK)).max())
