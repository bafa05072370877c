"""What runs an encoder's graph: ONNX Runtime or OpenVINO, at one of two precisions each.

Measured for MiniLM on two cores with AVX-512 BF16 and VNNI (`benchmarks/encoding`): whole corpora go fastest with one
thread a batch and as many batches at once as there are cores. A single query wants all cores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from honed.errors import UsageError
from honed.models.artefacts import Encoder, int8_graph, plain_graph

Outputs = NDArray[np.float32]
"""One vector a text or a picture, [n, dimension]."""


class Runtime(Protocol):
    """A graph that is ready to run: token ids to unit vectors, or pictures to descriptors. Safe to share between threads."""

    @property
    def name(self) -> str:
        """Which library and precision, such as "ort-int8"."""

    @property
    def workers(self) -> int:
        """How many calls of `run` at once keep the machine busy."""

    def run(self, *inputs: NDArray[Any]) -> Outputs:
        """Encode one batch: the graph's inputs in their order, each [n, ...]; returns [n, dimension]."""


class OrtRuntime:
    """ONNX Runtime on the CPU, one session."""

    def __init__(self, name: str, graph: Path, *, workers: int, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads take the core from the tokenizer and from the other workers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.name = name
        self.workers = workers
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self._names = [given.name for given in self._session.get_inputs()]

    def run(self, *inputs: NDArray[Any]) -> Outputs:
        """Encode one batch: the graph's inputs in their order, each [n, ...]; returns [n, dimension]."""
        result: Outputs = self._session.run(None, dict(zip(self._names, inputs, strict=True)))[0]
        return result


class OpenVinoRuntime:
    """OpenVINO on the CPU: one compiled model, one stream a worker."""

    def __init__(self, name: str, graph: Path, *, workers: int, threads: int) -> None:
        import openvino

        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16" if name.endswith("bf16") else "f32",
            "PERFORMANCE_HINT": "THROUGHPUT" if workers > 1 else "LATENCY",
            "NUM_STREAMS": workers,
            "INFERENCE_NUM_THREADS": workers * threads,
        }
        # No CACHE_DIR: it saves part of the start of a process and keeps as much as the model once more, which nobody verifies.
        self.name = name
        self.workers = workers
        self._model = openvino.Core().compile_model(str(graph), "CPU", options)
        self._names = [given.any_name for given in self._model.inputs]
        self._local = threading.local()
        # OpenVINO's binding sets itself up in its first inference, and two threads that make their first one together can
        # wait for each other for ever (seen once, with the stacks in docs/log.md): make it here, alone.
        self.run(*(_zeros(given) for given in self._model.inputs))

    def run(self, *inputs: NDArray[Any]) -> Outputs:
        """Encode one batch: the graph's inputs in their order, each [n, ...]; returns [n, dimension]."""
        if not hasattr(self._local, "request"):
            self._local.request = self._model.create_infer_request()
        return np.array(self._local.request.infer(dict(zip(self._names, inputs, strict=True)))[0], np.float32)


def _zeros(given: Any) -> NDArray[Any]:
    """The smallest array that fits an input of an OpenVINO model."""
    shape = [1 if extent.is_dynamic else extent.get_length() for extent in given.partial_shape]
    return np.zeros(shape, given.element_type.to_dtype())


RUNTIMES: dict[str, tuple[type[OrtRuntime] | type[OpenVinoRuntime], Callable[[Encoder, Path], Path]]] = {
    "ort-fp32": (OrtRuntime, plain_graph),
    "ort-int8": (OrtRuntime, int8_graph),
    "openvino-fp32": (OpenVinoRuntime, plain_graph),
    "openvino-bf16": (OpenVinoRuntime, plain_graph),
}
"""Name -> class and the graph that it takes. The first is the reference that the others are compared with."""

REFERENCE = "ort-fp32"


def cores(threads: int = 0) -> int:
    """How many cores this process may use; `threads` above zero limits them."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(threads, available) if threads > 0 else available


def open_runtime(name: str, encoder: Encoder, cache_dir: Path, *, threads: int = 0, single: bool = False) -> Runtime:
    """A runtime that is ready to encode.

    Args:
        name: One of `RUNTIMES`.
        encoder: A text tower or an image encoder.
        cache_dir: Where graphs are kept between processes.
        threads: Cores to use, 0 for all that this process may use.
        single: For one batch at a time with all cores (queries), instead of a batch a core (corpora).

    Raises:
        UsageError: There is no such runtime.
        ImportError: Its library is not installed.
    """
    if name not in RUNTIMES:
        raise UsageError(f"There is no runtime '{name}'.", hint=f"one of: {', '.join(RUNTIMES)}")
    make, graph = RUNTIMES[name]
    available = cores(threads)
    workers, per_worker = (1, available) if single else (available, 1)
    return make(name, graph(encoder, cache_dir), workers=workers, threads=per_worker)
