"""A text tower at work: texts become batches of token ids for its graph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from honed.models.artefacts import Arrays
from honed.models.graph import build
from honed.models.probe_texts import probe_texts
from honed.models.tokens import Batch, batches, open_tokenizer, prepared
from honed.models.tower import Tower

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TextEncoder:
    """A tower with its tokenizer and prompt; an `artefacts.Encoder`, which runtimes can run and a probe can time."""

    has_int8: ClassVar[bool] = True

    def __init__(self, tower: Tower, prompt: str = "") -> None:
        """Take a tower and what stands before every text; files are read when they are needed."""
        self.tower = tower
        self.prompt = prompt

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tower's tokenizer, opened once.

        Raises:
            InputError: The file is not a tokenizer.
        """
        return open_tokenizer(self.tower)

    def batches(self, texts: Sequence[str]) -> list[Batch]:
        """Padded batches of like lengths, longest first."""
        return batches(self.tokenizer, prepared(self.tower, self.prompt, texts))

    def digest(self) -> str:
        """The tower's sha256: a prompt is text that the graph is given, and changes nothing in it."""
        return self.tower.digest()

    def write_graph(self, path: Path) -> None:
        """Write the encoder as an ONNX file, and its weights beside it.

        Raises:
            InputError: The architecture is not one that is built here, or a weight is missing or has the wrong shape.
        """
        build(self.tower, path)

    def trial(self) -> list[Arrays]:
        """The bundled texts in batches, without the prompt, for a probe of the machine."""
        return [batch.inputs for batch in batches(self.tokenizer, probe_texts())]
