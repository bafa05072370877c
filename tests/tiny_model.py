"""A deterministic two-layer BERT in the layout of sentence-transformers, written in milliseconds without torch.

Its word vectors are large and its layers small, so a fresh model is close to a bag of words: texts that share words
are near each other, which makes retrieval with it sensible before anyone trains it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from honed.models.weights import write_weights

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,;:?!'-()/%"
MAX_TOKENS = 64
DEFAULT_TEXTS = (
    "the heart pumps blood through the body and fever is a sign of infection",
    "what causes back pain and how is it treated with rest and exercise",
    "a contract may be terminated by either party with thirty days notice",
)


def make_tiny_bert(
    folder: Path,
    *,
    seed: int = 0,
    layers: int = 2,
    hidden: int = 32,
    vocab_texts: Sequence[str] = DEFAULT_TEXTS,
) -> Path:
    """Write the model folder and return it. Same arguments, same bytes. `hidden` is a multiple of 4 (four heads)."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(vocab_texts)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    vocab = tokenizer.get_vocab()
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in sorted(vocab, key=vocab.__getitem__)))
    write_weights(folder / "model.safetensors", _weights(len(vocab), seed, layers, hidden))
    _write_configs(folder, len(vocab), layers, hidden)
    return folder


def _tokenizer(texts: Sequence[str]) -> Tokenizer:
    """WordPiece over the words of the texts, with single characters so that no word is unknown."""
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    words = {piece for text in texts for piece, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))}
    characters = sorted(set(LETTERS) | {character for word in words for character in word})
    pieces = [*SPECIALS, *characters, *(f"##{character}" for character in characters)]
    pieces += sorted(words - set(pieces))
    vocab = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])],
    )
    tokenizer.add_special_tokens(list(SPECIALS))
    return tokenizer


def _weights(vocab: int, seed: int, layers: int, hidden: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}

    def matrix(name: str, rows: int, columns: int, scale: float) -> None:
        tensors[name] = random.normal(0, scale, (rows, columns)).astype(np.float32)

    def linear(name: str, rows: int, columns: int) -> None:
        matrix(f"{name}.weight", rows, columns, 0.02)
        tensors[f"{name}.bias"] = np.zeros(rows, np.float32)

    def norm(name: str) -> None:
        tensors[f"{name}.weight"] = np.ones(hidden, np.float32)
        tensors[f"{name}.bias"] = np.zeros(hidden, np.float32)

    matrix("embeddings.word_embeddings.weight", vocab, hidden, 1.0)
    matrix("embeddings.position_embeddings.weight", MAX_TOKENS, hidden, 0.02)
    matrix("embeddings.token_type_embeddings.weight", 2, hidden, 0.02)
    norm("embeddings.LayerNorm")
    for layer in range(layers):
        prefix = f"encoder.layer.{layer}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            linear(f"{prefix}.{part}", hidden, hidden)
        norm(f"{prefix}.attention.output.LayerNorm")
        linear(f"{prefix}.intermediate.dense", 2 * hidden, hidden)
        linear(f"{prefix}.output.dense", hidden, 2 * hidden)
        norm(f"{prefix}.output.LayerNorm")
    linear("pooler.dense", hidden, hidden)
    return tensors


def _write_configs(folder: Path, vocab: int, layers: int, hidden: int) -> None:
    _write_json(
        folder / "config.json",
        {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "attention_probs_dropout_prob": 0.1,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "hidden_size": hidden,
            "initializer_range": 0.02,
            "intermediate_size": 2 * hidden,
            "layer_norm_eps": 1e-12,
            "max_position_embeddings": MAX_TOKENS,
            "num_attention_heads": 4,
            "num_hidden_layers": layers,
            "pad_token_id": 0,
            "type_vocab_size": 2,
            "vocab_size": vocab,
        },
    )
    tokens = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIALS, strict=True))
    _write_json(folder / "special_tokens_map.json", tokens)
    tokenizer = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": MAX_TOKENS}
    _write_json(folder / "tokenizer_config.json", tokenizer | tokens)
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": MAX_TOKENS, "do_lower_case": False})
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    _write_json(
        folder / "modules.json",
        [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{name}"}
            for number, (path, name) in enumerate(modules)
        ],
    )
    (folder / "1_Pooling").mkdir(exist_ok=True)
    pooling = {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    _write_json(folder / "1_Pooling" / "config.json", pooling)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
