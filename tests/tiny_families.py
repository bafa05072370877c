"""Tiny encoders of every family that is served, with random weights and the vocabulary that each family has in earnest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from honed.models.weights import Weights, write_weights
from tests import toy

HIDDEN, LONGEST = 32, 64
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
WORDS = (*toy.PLAIN, *toy.JARGON)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def bert(folder: Path) -> Path:
    """WordPiece in small letters, no prefix: as MiniLM is saved."""
    return toy.model(folder)


def cased_bert(folder: Path) -> Path:
    """WordPiece that keeps capitals and knows no words with them; sentence_bert_config.json asks for small letters."""
    toy.model(folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": LONGEST, "do_lower_case": True}))
    return folder


def bert_under_another_name(folder: Path) -> Path:
    """The same tensors as `bert`, each behind a prefix that transformers does not look for."""
    path = toy.model(folder) / "model.safetensors"
    tensors = {f"model.{name}": np.array(value) for name, value in Weights(path).items()}
    write_weights(path, tensors)
    return folder


def roberta_with_a_head(folder: Path) -> Path:
    """Byte-level BPE; every tensor of the encoder behind "roberta.", and those of the head."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=2000, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return _saved(folder, "RobertaForMaskedLM", tokenizer)


def xlm_roberta(folder: Path) -> Path:
    """A unigram vocabulary as SentencePiece writes it, no prefix."""
    pieces = [*SPECIALS[:4], "\u2581", *(f"\u2581{word}" for word in WORDS), *LETTERS, "<mask>"]
    tokenizer = Tokenizer(models.Unigram([(piece, -float(at > 3)) for at, piece in enumerate(pieces)], unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(SPECIALS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return _saved(folder, "XLMRobertaModel", tokenizer)


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "bert": bert,
    "cased-bert": cased_bert,
    "bert-under-another-name": bert_under_another_name,
    "roberta-with-a-head": roberta_with_a_head,
    "xlm-roberta": xlm_roberta,
}


def _saved(folder: Path, name: str, tokenizer: Tokenizer) -> Path:
    """A model of transformers with random weights, in the layout of sentence-transformers."""
    import torch
    import transformers

    library: Any = transformers
    model_class = getattr(library, name)
    config = model_class.config_class(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * HIDDEN,
        max_position_embeddings=LONGEST + 2,
        type_vocab_size=1,
        pad_token_id=1,
        initializer_range=0.1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model_class(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    files = {
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": LONGEST,
            "bos_token": "<s>",
            "pad_token": "<pad>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "mask_token": "<mask>",
        },
        "sentence_bert_config.json": {"max_seq_length": LONGEST, "do_lower_case": False},
        "1_Pooling/config.json": {"embedding_dimension": HIDDEN, "pooling_mode": "mean"},
        "modules.json": [
            {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for at, (path, kind) in enumerate(
                [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
            )
        ],
    }
    (folder / "1_Pooling").mkdir()
    for file, value in files.items():
        (folder / file).write_text(json.dumps(value))
    return folder
